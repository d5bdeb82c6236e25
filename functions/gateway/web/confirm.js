// @ts-check
// Dialogs: one that asks before something is done, one that shows something large.

import { el } from "./dom.js";
import { button } from "./pieces.js";

/**
 * Asks; resolves to whether to go on. Escape is no.
 * @param {{title: string, text: string, action: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, action, danger = false }) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = button(action, () => close(true), danger ? "danger" : "primary");
    const no = button("Cancel", () => close(false));
    const close = (/** @type {boolean} */ chosen) => {
      answer = chosen;
      dialog.close();
    };
    const dialog = modal(title, [el("p", {}, text), el("div", { class: "actions" }, no, yes)], () => resolve(answer));
    no.focus();
  });
}

/** Shows content under a title until it is closed. @param {string} title @param {Node} content */
export function show(title, content) {
  const close = button("Close", () => dialog.close());
  const dialog = modal(title, [content, el("div", { class: "actions" }, close)]);
  dialog.classList.add("wide");
  dialog.scrollTop = 0;
}

/** @param {string} title @param {Node[]} content @param {() => void} [closed] */
function modal(title, content, closed = () => undefined) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const dialog = /** @type {HTMLDialogElement} */ (el("dialog", { "aria-labelledby": "dialog-title" }, heading, ...content));
  dialog.onclose = () => {
    dialog.remove();
    closed();
  };
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
