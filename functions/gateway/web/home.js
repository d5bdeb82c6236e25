// @ts-check
// The workspaces to choose from, and how the newest run of each is.

import { ask, at } from "./api.js";
import { el, patch } from "./dom.js";
import { badge, empty } from "./pieces.js";
import { title } from "./run.js";
import { age } from "./text.js";

/** @typedef {import("./main.js").Page} Page */
/** @typedef {import("./wire.js").Run} Run */

// Workspaces that none of these belongs to are shown without.
const NEWEST = "v1/runs?limit=200";

/** @param {Page} page @returns {() => void} */
export function home({ root, failed, entitle }) {
  entitle("");
  let left = false;

  /** @param {{name: string, created: string}[]} workspaces @param {Run[]} runs newest first */
  function draw(workspaces, runs) {
    if (left) return;
    const cards = workspaces.map((each) => card(each, runs.find((run) => run.workspace === each.name)));
    const nothing = () => empty("There is no workspace yet. The first deployment makes one:", "kaos train deploy -s SOURCE_DIR -d DATA_DIR");
    patch(root, el("h1", {}, "Workspaces"), cards.length ? el("ul", { class: "cards" }, cards) : nothing());
  }

  async function load() {
    const { workspaces } = await ask(at([]));
    if (left) return;
    // Who has one workspace has nothing to choose.
    if (workspaces.length === 1) return location.replace(link(workspaces[0].name));
    draw(workspaces, []);
    draw(workspaces, (await ask(NEWEST)).runs);
  }

  load().catch(failed);
  return () => (left = true);
}

/** Where a workspace, or a run of it, is shown. @param {...string} steps */
export function link(...steps) {
  return `#/${steps.map(encodeURIComponent).join("/")}`;
}

/** @param {{name: string, created: string}} workspace @param {Run | undefined} newest */
function card({ name, created }, newest) {
  const now = Date.now();
  return el(
    "li",
    { "data-key": name },
    el("a", { href: link(name) }, name),
    el("span", { class: "faint" }, newest ? `${title(newest)}, ${age(newest.created, now)}` : `made ${age(created, now)}`),
    el("span", { class: "state" }, newest && badge(newest.state)),
  );
}
