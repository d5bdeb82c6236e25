// @ts-check
// Where the page begins: shows what the address names, and asks for the token where the gateway does.

import { Failure, ask, at, setToken, token } from "./api.js";
import { el, patch } from "./dom.js";
import { home, link } from "./home.js";
import { list } from "./list.js";
import { problem } from "./pieces.js";
import { signin } from "./signin.js";

/**
 * What a view is given.
 * @typedef {object} Page
 * @property {HTMLElement} root where it draws
 * @property {(error: unknown) => Failure} failed what to show of an error; leads to the sign-in where it is one of the token
 * @property {(...parts: string[]) => void} entitle names what is shown, from the workspace on
 * @property {(now: import("./follow.js").Condition) => void} condition tells how its stream is
 */

const root = /** @type {HTMLElement} */ (document.getElementById("main"));
const places = /** @type {HTMLSelectElement} */ (document.getElementById("workspaces"));
const status = /** @type {HTMLElement} */ (document.getElementById("condition"));
const leave = /** @type {HTMLElement} */ (document.getElementById("leave"));
const WORDS = { live: "Live", connecting: "Reconnecting …", over: "" };
let stop = () => undefined;

/** Shows what the address names: `#/<workspace>/<run>`. */
function route() {
  stop();
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [workspace, run] = path.split("/").map(named);
  condition("over");
  leave.hidden = !token();
  const page = { root, failed, entitle, condition };
  if (run) stop = /** @type {() => undefined} */ (open(page, workspace, run));
  else if (workspace) stop = /** @type {() => undefined} */ (list(page, workspace, new URLSearchParams(query)));
  else stop = /** @type {() => undefined} */ (home(page));
  void offer(workspace ?? "");
}

/** Shows a run, by modules that the list does not wait for. @param {Page} page @param {string} workspace @param {string} run */
function open(page, workspace, run) {
  let leave = () => undefined;
  let left = false;
  import("./detail.js").then(({ detail }) => {
    if (!left) leave = /** @type {() => undefined} */ (detail(page, workspace, run));
  }, failed);
  return () => {
    left = true;
    leave();
  };
}

/** @param {unknown} error @returns {Failure} */
function failed(error) {
  const told = error instanceof Failure ? error : new Failure(0, "page.failed", `The page failed: ${error}. Load it again.`);
  if (told.status === 401) enter();
  else if (!root.firstElementChild || root.querySelector("form, noscript")) patch(root, problem(told));
  return told;
}

function enter() {
  stop();
  condition("over");
  leave.hidden = true;
  /** @type {HTMLElement} */ (places.parentElement).hidden = true;
  entitle("Sign in");
  signin(root, route);
}

/** Fills the choice of workspaces. @param {string} chosen */
async function offer(chosen) {
  try {
    const { workspaces } = await ask(at([]));
    const names = workspaces.map((/** @type {{name: string}} */ each) => each.name);
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    patch(
      places,
      !chosen && el("option", { value: "", "data-key": "" }, "Choose a workspace"),
      names.map((/** @type {string} */ name) => el("option", { value: name, "data-key": name }, name)),
    );
    places.value = chosen;
    /** @type {HTMLElement} */ (places.parentElement).hidden = !names.length;
  } catch {
    return; // Whatever is wrong, the view tells.
  }
}

/** @param {...string} parts */
function entitle(...parts) {
  document.title = [...parts.filter(Boolean).reverse(), "kaos"].join(" · ");
}

/** @param {import("./follow.js").Condition} now */
function condition(now) {
  status.className = `condition ${now}`;
  if (status.textContent !== WORDS[now]) status.textContent = WORDS[now];
}

/** @param {string} step */
function named(step) {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

places.onchange = () => {
  location.hash = places.value ? link(places.value) : "#/";
};
/** @type {HTMLElement} */ (document.querySelector(".skip")).onclick = (event) => {
  // Its address would be one of a workspace.
  event.preventDefault();
  root.focus();
};
leave.onclick = () => {
  setToken("");
  enter();
};
addEventListener("hashchange", () => {
  route();
  scrollTo(0, 0);
  root.focus({ preventScroll: true });
});
route();
