// @ts-check
// The trials of a run as a table: best first, by any metric or cost, a page at a time; one of them in full.

import { el } from "./dom.js";
import { sparkline } from "./metrics.js";
import { badge, button } from "./pieces.js";
import { isFinal } from "./run.js";
import { amount, counted, duration, parameters, score } from "./text.js";

/** @typedef {import("./wire.js").Run} Run */
/** @typedef {import("./wire.js").Trial} Trial */
/** @typedef {import("./metrics.js").Metrics} Metrics */

/**
 * What the table is sorted by: a metric, or a cost. They may have the same name.
 * @typedef {{cost: boolean, name: string}} Measure
 *
 * What the user has chosen of the table. `sort` is null for the first metric by name.
 * @typedef {object} Choice
 * @property {Measure | null} sort
 * @property {boolean} ascending
 * @property {number} page from 0
 * @property {string} opened the trial that is shown in full
 *
 * @typedef {object} Acts
 * @property {() => void} redraw
 * @property {(trial: Trial) => unknown} download
 * @property {(trial: Trial) => unknown} provenance
 * @property {(trial: Trial) => unknown} kill
 * @property {(trial: Trial) => unknown} read
 */

const PAGE = 25;
// What a table is wide enough for; the others are among the choices, and in the trial's own part.
const MOST_COLUMNS = 4;
/** @type {Record<string, {of: (trial: Trial) => number | null, shown: (value: number) => string}>} */
const COSTS = {
  time: { of: (trial) => trial.seconds, shown: duration },
  cpu: { of: (trial) => trial.cpu_seconds, shown: duration },
  memory: { of: (trial) => trial.peak_bytes, shown: amount },
};

/**
 * The trials as they are known: of a run under way also what was told since its record was read.
 * @param {Run} run
 * @param {Metrics} told
 * @returns {Trial[]}
 */
export function known(run, told) {
  const found = run.trials ?? [];
  if (isFinal(run) || !told.newest().size) return found;
  const there = new Set(found.map((trial) => trial.id));
  const begun = [...told.newest().keys()].filter((id) => !there.has(id)).map(blank);
  return [...found, ...begun].map((trial) => {
    const newest = told.newest().get(trial.id);
    if (!newest || trial.model) return trial;
    return { ...trial, metrics: { ...trial.metrics, ...newest.metrics }, step: newest.step ?? trial.step };
  });
}

/**
 * Best first: numbers before text before nothing; equal ones in the order of their ids.
 * @param {Trial[]} trials
 * @param {Measure} by
 * @param {boolean} ascending
 */
export function ranked(trials, by, ascending) {
  const value = (/** @type {Trial} */ trial) => (by.cost ? COSTS[by.name].of(trial) : metric(trial, by.name));
  const rank = (/** @type {unknown} */ found) => (typeof found === "number" && !Number.isNaN(found) ? 0 : typeof found === "string" ? 1 : 2);
  return [...trials].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = rank(a) - rank(b);
    if (order) return order;
    if (typeof a === "number" && typeof b === "number" && a !== b && rank(a) === 0) return ascending ? a - b : b - a;
    if (typeof a === "string" && typeof b === "string" && a !== b) return a < b ? -1 : 1;
    return one.id < other.id ? -1 : 1;
  });
}

/**
 * @param {Run} run
 * @param {Trial[]} trials
 * @param {Metrics} told
 * @param {Choice} choice
 * @param {Acts} acts
 */
export function table(run, trials, told, choice, acts) {
  const names = [...new Set(trials.flatMap((trial) => Object.keys(trial.metrics)))].sort();
  const by = choice.sort ?? (names.length ? { cost: false, name: names[0] } : { cost: true, name: "time" });
  const shown = columns(names, by);
  const pages = Math.ceil(trials.length / PAGE);
  const page = Math.min(choice.page, pages - 1);
  const rows = ranked(trials, by, choice.ascending).slice(page * PAGE, (page + 1) * PAGE);
  const withParams = trials.some((trial) => Object.keys(trial.params).length);
  const width = 2 + (withParams ? 1 : 0) + shown.length + Object.keys(COSTS).length;
  const sorter = (/** @type {boolean} */ cost) => (/** @type {string} */ name) => head({ cost, name }, by, choice, acts);
  return el(
    "div",
    {},
    names.length > shown.length && chooser(names, by, choice, acts),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Trials" },
      el(
        "table",
        { class: "trials" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "Trial"),
            el("th", { scope: "col" }, "State"),
            withParams && el("th", { scope: "col", class: "params" }, "Hyperparams"),
            shown.map(sorter(false)),
            Object.keys(COSTS).map(sorter(true)),
          ),
        ),
        el("tbody", {}, rows.flatMap((trial) => {
          const opened = choice.opened === trial.id;
          const line = row(trial, { shown, withParams, by, told, opened, choice, acts });
          return opened ? [line, el("tr", { class: "full", "data-key": `${trial.id} full` }, el("td", { colspan: width }, full(run, trial, told, acts)))] : [line];
        })),
      ),
    ),
    pages > 1 && pager(trials.length, page, pages, choice, acts),
  );
}

/**
 * One trial with all that is known of it.
 * @param {Run} run
 * @param {Trial} trial
 * @param {Metrics} told
 * @param {Acts} acts
 */
export function full(run, trial, told, acts) {
  const names = Object.keys(trial.metrics).sort();
  const costs = Object.entries(COSTS).map(([name, cost]) => {
    const value = cost.of(trial);
    return el("div", { class: "tile", "data-key": `cost of ${name}` }, el("dt", {}, name), el("dd", {}, value === null ? "–" : cost.shown(value)));
  });
  const tiles = names.map((name) =>
    el("div", { class: "tile", "data-key": name }, el("dt", {}, name), el("dd", {}, score(metric(trial, name)), sparkline(name, told.curve(trial.id, name)))),
  );
  return el(
    "div",
    { class: "trial" },
    el("dl", { class: "tiles" }, tiles, costs),
    el(
      "p",
      { class: "faint" },
      trial.step !== null && `Step ${score(trial.step)}. `,
      Object.keys(trial.params).length > 0 && ["Hyperparams: ", parameters(trial.params), ". "].join(""),
      trial.omitted && "It has more metrics or hyperparameters than are kept (16 KiB). ",
      trial.model && "Model ",
      trial.model && el("code", {}, trial.model),
    ),
    trial.reason && el("p", { class: "reason" }, trial.reason),
    el(
      "div",
      { class: "actions" },
      run.trial_count > 1 && trial.model && button("Download model", () => acts.download(trial)),
      trial.model && button("Where it comes from", () => acts.provenance(trial)),
      run.trial_count > 1 && trial.state !== "skipped" && button("Its log", () => acts.read(trial)),
      !isFinal(run) && !trial.model && trial.state === "running" && button("Kill this trial", () => acts.kill(trial), "danger"),
    ),
  );
}

/**
 * @param {Trial} trial
 * @param {{shown: string[], withParams: boolean, by: Measure, told: Metrics, opened: boolean, choice: Choice, acts: Acts}} how
 */
function row(trial, { shown, withParams, by, told, opened, choice, acts }) {
  const toggle = () => {
    choice.opened = opened ? "" : trial.id;
    acts.redraw();
  };
  const values = shown.map((name) => {
    const isChosen = !by.cost && name === by.name;
    return el("td", { class: `number ${isChosen ? "by" : ""}` }, score(metric(trial, name)), isChosen && sparkline(name, told.curve(trial.id, name)));
  });
  const costs = Object.values(COSTS).map((cost) => {
    const value = cost.of(trial);
    return el("td", { class: "number" }, value === null ? "–" : cost.shown(value));
  });
  return el(
    "tr",
    { "data-key": trial.id },
    el("th", { scope: "row" }, el("button", { type: "button", class: "opens", "aria-expanded": String(opened), onclick: toggle }, trial.id)),
    el("td", {}, badge(trial.state)),
    withParams && el("td", { class: "params" }, parameters(trial.params)),
    values,
    costs,
  );
}

/** @param {Measure} measure @param {Measure} by @param {Choice} choice @param {Acts} acts */
function head(measure, by, choice, acts) {
  const { cost, name } = measure;
  const sorted = cost === by.cost && name === by.name;
  const onclick = () => {
    // Metrics: the highest first, as `kaos train info` does. Costs: the lowest.
    choice.ascending = sorted ? !choice.ascending : cost;
    choice.sort = measure;
    choice.page = 0;
    acts.redraw();
  };
  const arrow = sorted ? (choice.ascending ? "▲" : "▼") : "";
  return el(
    "th",
    { scope: "col", class: "number", "aria-sort": sorted && (choice.ascending ? "ascending" : "descending"), "data-key": `${cost} ${name}` },
    el("button", { type: "button", class: "sorts", onclick }, name, el("span", { class: "arrow", "aria-hidden": "true" }, arrow)),
  );
}

/** @param {string[]} names @param {Measure} by @param {Choice} choice @param {Acts} acts */
function chooser(names, by, choice, acts) {
  const onchange = (/** @type {{target: HTMLSelectElement}} */ event) => {
    choice.sort = { cost: false, name: names[event.target.selectedIndex] };
    choice.ascending = false;
    choice.page = 0;
    acts.redraw();
  };
  const options = names.map((name) => el("option", { "data-key": name, selected: !by.cost && name === by.name }, name));
  return el("label", { class: "chooser" }, `Best by (of ${counted(names.length, "metric")}) `, el("select", { onchange }, options));
}

/** @param {number} count @param {number} page @param {number} pages @param {Choice} choice @param {Acts} acts */
function pager(count, page, pages, choice, acts) {
  const go = (/** @type {number} */ to) => () => {
    choice.page = to;
    acts.redraw();
  };
  return el(
    "nav",
    { class: "pages", "aria-label": "Pages of trials" },
    el("button", { type: "button", disabled: page === 0, onclick: go(page - 1) }, "← Better"),
    el("span", {}, `${(page * PAGE + 1).toLocaleString("en")}–${Math.min(count, (page + 1) * PAGE).toLocaleString("en")} of ${counted(count, "trial")}`),
    el("button", { type: "button", disabled: page === pages - 1, onclick: go(page + 1) }, "Worse →"),
  );
}

/** @param {string[]} names @param {Measure} by */
function columns(names, by) {
  const others = names.filter((name) => by.cost || name !== by.name);
  const chosen = new Set([...(by.cost ? [] : [by.name]), ...others].slice(0, MOST_COLUMNS));
  return names.filter((name) => chosen.has(name));
}

/** A metric may be called `constructor`, which every object has. @param {Trial} trial @param {string} name */
function metric(trial, name) {
  return Object.hasOwn(trial.metrics, name) ? trial.metrics[name] : undefined;
}

/** @param {string} id @returns {Trial} */
function blank(id) {
  return {
    id, model: "", state: "running", params: {}, metrics: {}, step: null, omitted: false,
    seconds: null, cpu_seconds: null, peak_bytes: null, reason: "",
  };
}
