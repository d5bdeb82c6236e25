// @ts-check
// Asks for the API token, which stays in this tab.

import { Failure, ask, at, isPassing, setToken, token } from "./api.js";
import { el, patch } from "./dom.js";
import { command, problem } from "./pieces.js";

/**
 * Shows the form; calls `entered` once the gateway takes the token.
 * @param {HTMLElement} root
 * @param {() => void} entered
 */
export function signin(root, entered) {
  const refused = token() !== "";
  const input = el("input", {
    id: "token", type: "password", autocomplete: "off", spellcheck: "false", autocapitalize: "off", required: true,
  });
  const told = el("div", { "data-own": true });
  const form = el(
    "form",
    { class: "signin", "data-key": "signin", "data-own": true },
    el("h1", {}, "Sign in"),
    el("p", {}, "This gateway asks for its API token. On the machine of the stack, this tells it as KAOS_TOKEN:"),
    el("p", {}, command("kaos status --credentials")),
    el("label", { for: "token" }, "Token"),
    input,
    el("button", { type: "submit", class: "primary" }, "Sign in"),
    told,
    el("p", { class: "faint" }, "It is kept in this browser tab, and forgotten with it."),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    void enter();
  };

  async function enter() {
    setToken(/** @type {HTMLInputElement} */ (input).value.trim());
    try {
      await ask(at([]));
      entered();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (!isPassing(error)) setToken("");
      patch(told, problem(error.status === 401 ? wrong() : error));
      input.focus();
    }
  }

  setToken("");
  if (refused) patch(told, problem(wrong()));
  patch(root, form);
  root.querySelector("input")?.focus();
}

function wrong() {
  return { code: "auth.token", message: "The gateway does not take this token: see that it is of this stack." };
}
