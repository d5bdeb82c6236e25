// @ts-check
// The runs of a workspace, newest first, a page at a time; as they are at this moment.

import { at, timed } from "./api.js";
import { el, patch } from "./dom.js";
import { follow } from "./follow.js";
import { link } from "./home.js";
import { paced } from "./paced.js";
import { badge, command, empty, problem, progress } from "./pieces.js";
import { GROUPS, inherited, isFinal, seconds, title } from "./run.js";
import { age, clock, counted, duration } from "./text.js";

/** @typedef {import("./wire.js").Run} Run */

const PAGE = 50;
const LEAST_PAUSE = 300;
const TICK = 1000;
// The server's time comes cut to seconds.
const OVERLAP = 2000;
const TYPES = ["kaos.run.changed", "kaos.job.started", "kaos.job.finished"];

/**
 * @param {import("./main.js").Page} page
 * @param {string} workspace
 * @param {URLSearchParams} query `state`: one of GROUPS; `before`: the run that the page before ended with
 * @returns {() => void}
 */
export function list({ root, failed, entitle, condition }, workspace, query) {
  const asked = query.get("state") ?? "";
  const group = Object.hasOwn(GROUPS, asked) ? asked : "";
  const before = query.get("before") ?? "";
  /** @type {Run[] | null} */
  let runs = null;
  let more = false;
  let seen = 0;
  /** @type {import("./api.js").Failure | null} */
  let trouble = null;
  entitle(workspace);

  async function load() {
    const path = at([workspace, "runs"], { limit: PAGE + 1, state: GROUPS[group], before });
    try {
      const { answer, date } = await timed(path);
      runs = answer.runs.slice(0, PAGE);
      more = answer.runs.length > PAGE;
      seen = date;
      trouble = null;
    } catch (error) {
      trouble = failed(error);
    }
    draw();
  }

  function draw() {
    if (stopped || !(runs || trouble)) return;
    const now = Date.now();
    patch(
      root,
      el("h1", {}, workspace),
      filters(workspace, group),
      trouble && problem(trouble),
      runs && (runs.length > 0 ? table(runs, now) : nothing(workspace, group, before)),
      runs && pages(workspace, runs, { group, before, more }),
      runs && !before && !group && inherits(runs, workspace),
    );
  }

  let stopped = false;
  const refresh = paced(load, LEAST_PAUSE);
  const ticking = setInterval(() => !document.hidden && draw(), TICK);
  const unfollow = follow({
    // What happened while nobody listened is in the list; the stream goes on from when that was read.
    async path() {
      await load();
      return at([workspace, "events"], { follow: true, type: TYPES, since: new Date(seen - OVERLAP).toISOString() });
    },
    told: () => refresh.soon(),
    condition,
  });
  return () => {
    stopped = true;
    clearInterval(ticking);
    refresh.stop();
    unfollow();
  };
}

/** @param {string} workspace @param {string} chosen */
function filters(workspace, chosen) {
  const choice = (/** @type {string} */ name) =>
    el(
      "a",
      { href: name ? `${link(workspace)}?state=${encodeURIComponent(name)}` : link(workspace), "aria-current": name === chosen && "page" },
      name || "all",
    );
  return el("nav", { class: "chips", "aria-label": "Runs by state" }, ["", ...Object.keys(GROUPS)].map(choice));
}

/** @param {Run[]} runs @param {number} now */
function table(runs, now) {
  const heads = ["Run", "State", "Progress", "Submitted", "Took"].map((name) => el("th", { scope: "col" }, name));
  return el(
    "table",
    { class: "runs" },
    el("caption", { class: "unseen" }, "Runs, newest first"),
    el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, runs.map((run) => row(run, now))),
  );
}

/** @param {Run} run @param {number} now */
function row(run, now) {
  const others = inherited(run).join(" + ");
  const trials = run.trial_count > 1 && counted(run.trial_count, "trial");
  const more = [others && `with ${others}`, trials, run.retry_of && "retry", run.author].filter(Boolean).join(" · ");
  return el(
    "tr",
    { "data-key": run.id },
    el(
      "th",
      { scope: "row" },
      el("a", { href: link(run.workspace, run.id) }, title(run)),
      el("span", { class: "faint", title: more }, more || run.id),
    ),
    el("td", { class: "state" }, badge(run.state)),
    el("td", { class: "progress" }, progress(run, now)),
    el("td", { class: "when" }, el("time", { datetime: run.created, title: clock(run.created) }, age(run.created, now))),
    el("td", { class: `took ${isFinal(run) ? "" : "moving"}` }, duration(seconds(run, now))),
  );
}

/** @param {string} workspace @param {string} group @param {string} before */
function nothing(workspace, group, before) {
  if (before) return empty("There are no older runs.");
  if (group) return empty(`No run is ${group}.`);
  return empty("No runs yet. Deploy code and data, and watch them here:", `kaos train deploy -s SOURCE_DIR -d DATA_DIR -w ${workspace}`);
}

/** @param {string} workspace @param {Run[]} runs @param {{group: string, before: string, more: boolean}} shown */
function pages(workspace, runs, { group, before, more }) {
  if (!before && !more) return null;
  const page = (/** @type {string} */ last) => {
    const query = new URLSearchParams({ ...(group && { state: group }), ...(last && { before: last }) });
    return query.size ? `${link(workspace)}?${query}` : link(workspace);
  };
  return el(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    before ? el("a", { href: page("") }, "← Newest runs") : el("span"),
    more && el("a", { href: page(runs[runs.length - 1].id) }, "Older runs →"),
  );
}

/** What is sticky. @param {Run[]} runs @param {string} workspace */
function inherits(runs, workspace) {
  const inputs = runs.find((run) => run.inputs.image)?.inputs;
  if (!inputs) return null;
  return el(
    "p",
    { class: "hint" },
    "The next training takes what it does not bring from here: code ", el("code", {}, `/${inputs.source}`),
    ", data ", el("code", {}, `/${inputs.data}`), ". To search on them: ",
    command(`kaos train deploy -h PARAMS.json -w ${workspace}`),
  );
}
