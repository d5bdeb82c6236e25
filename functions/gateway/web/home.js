// @ts-check
// The workspaces to choose from.

import { ask, at } from "./api.js";
import { el, patch } from "./dom.js";
import { empty } from "./pieces.js";
import { age } from "./text.js";

/** @typedef {import("./main.js").Page} Page */

/** @param {Page} page @returns {() => void} */
export function home({ root, failed, entitle }) {
  entitle("");
  let left = false;
  ask(at([])).then(({ workspaces }) => {
    if (left) return;
    // Who has one workspace has nothing to choose.
    if (workspaces.length === 1) return location.replace(link(workspaces[0].name));
    patch(
      root,
      el("h1", {}, "Workspaces"),
      workspaces.length
        ? el("ul", { class: "cards" }, workspaces.map(card))
        : empty("There is no workspace yet. The first deployment makes one:", "kaos train deploy -s SOURCE_DIR -d DATA_DIR"),
    );
  }, failed);
  return () => (left = true);
}

/** Where a workspace, or a run of it, is shown. @param {...string} steps */
export function link(...steps) {
  return `#/${steps.map(encodeURIComponent).join("/")}`;
}

/** @param {{name: string, created: string}} workspace */
function card({ name, created }) {
  return el("li", { "data-key": name }, el("a", { href: link(name) }, name), el("span", { class: "faint" }, `made ${age(created, Date.now())}`));
}
