// @ts-check
// The stages of a run on one axis of time, and what kaos itself needed around them.

import { el, svg } from "./dom.js";
import { tone } from "./pieces.js";
import { ended, overhead, seconds, steps, taken } from "./run.js";
import { duration, hours } from "./text.js";

/** @typedef {import("./wire.js").Run} Run */
/** @typedef {import("./run.js").Step} Step */

// A bar that takes no time is still to be seen, in percent.
const THINNEST = 0.6;
/** @type {Record<string, string>} */
const NOTES = { reused: "made before", never: "not reached", pending: "to come", waiting: "waits for an input" };

/** @param {Run} run @param {number} now */
export function timeline(run, now) {
  const begin = Date.parse(run.created);
  const length = Math.max(1, ended(run, now) - begin);
  return el(
    "table",
    { class: "timeline" },
    el("caption", { class: "unseen" }, "Stages"),
    el("tbody", {}, steps(run).map((step) => row(step, begin, length, now)), around(run, now)),
  );
}

/** @param {Step} step @param {number} begin @param {number} length milliseconds @param {number} now */
function row(step, begin, length, now) {
  const seconds = taken(step, now);
  return el(
    "tr",
    { "data-key": step.name },
    el("th", { scope: "row" }, step.name),
    el("td", { class: "bar" }, seconds === null ? el("span", { class: "faint" }, NOTES[step.state] ?? "") : bar(step, begin, length, now)),
    el("td", { class: "when" }, step.begin === null ? "" : hours(new Date(step.begin).toISOString())),
    el("td", { class: "took" }, seconds === null ? "–" : duration(seconds)),
    el("td", { class: `word ${tone(step.state)}` }, step.state === "never" ? "" : step.state),
  );
}

/** @param {Step} step @param {number} begin @param {number} length @param {number} now */
function bar(step, begin, length, now) {
  const start = (((step.begin ?? begin) - begin) / length) * 100;
  const width = Math.max(THINNEST, (((step.end ?? now) - (step.begin ?? begin)) / length) * 100);
  const x = Math.max(0, Math.min(start, 100 - THINNEST));
  return track(x, Math.min(width, 100 - x), tone(step.state));
}

/** Drawn, since a strict policy allows no style in markup. @param {number} x @param {number} width percent @param {string} kind */
function track(x, width, kind) {
  const rect = (/** @type {import("./dom.js").Attributes} */ attributes) => svg("rect", { height: "100%", rx: 6, ...attributes });
  return svg(
    "svg",
    { class: "track", width: "100%", height: 12, "aria-hidden": "true" },
    rect({ class: "base", width: "100%" }),
    rect({ class: `fill ${kind}`, x: `${x.toFixed(2)}%`, width: `${width.toFixed(2)}%` }),
  );
}

/** @param {Run} run @param {number} now */
function around(run, now) {
  const cells = (/** @type {string} */ name, /** @type {number} */ value, /** @type {string} */ words) => [
    el("th", { scope: "row" }, name),
    el("td", { class: "bar faint" }, words),
    el("td", { class: "when" }),
    el("td", { class: "took" }, duration(value)),
    el("td", { class: "word" }),
  ];
  return [
    el("tr", { class: "sum", "data-key": "overhead" }, ...cells("overhead", overhead(run, now), "what kaos needed around the stages")),
    el("tr", { "data-key": "total" }, ...cells("total", seconds(run, now), "from submission to end")),
  ];
}
