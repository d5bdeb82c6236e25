// @ts-check
// What several views show: a state, the steps of a run, what to type, what went wrong.

import { el } from "./dom.js";
import { isFinal, steps, taken } from "./run.js";
import { duration, hours } from "./text.js";

/** @typedef {import("./wire.js").Run} Run */
/** @typedef {import("./api.js").Failure} Failure */

// Beside its colour, each has a sign of its own.
/** @type {Record<string, string>} */
const SIGNS = { succeeded: "✓", failed: "✕", rejected: "✕", killed: "■", running: "●", waiting: "…", reused: "↺", never: "–", pending: "○" };
/** @type {Record<string, string>} */
const WORDS = { reused: "reused", never: "not reached", pending: "to come" };

/** A state as a word in its colour. @param {string} state */
export function badge(state) {
  return el("span", { class: `badge ${tone(state)}` }, el("span", { class: "dot", "aria-hidden": "true" }), state);
}

/** The colour that a state of a run, a step or a trial has. @param {string} state */
export function tone(state) {
  if (["succeeded", "failed", "killed", "rejected", "waiting"].includes(state)) return state;
  return ["reused", "never", "pending", "skipped"].includes(state) ? "plain" : "running";
}

/** Ingest, fetch, build, train, done: each with its sign and its time. @param {Run} run @param {number} now */
export function progress(run, now) {
  const found = steps(run).map((step) => {
    const seconds = taken(step, now);
    const time = seconds !== null && step.state !== "waiting" ? duration(seconds) : WORDS[step.state] ?? step.state;
    return part(step.name, step.state, time);
  });
  const end = isFinal(run) ? run.state : "pending";
  const told = end === "succeeded" ? hours(run.times.succeeded ?? run.created) : end === "pending" ? "–" : end;
  return el("ol", { class: "steps" }, found, part("done", end, told));
}

/** @param {string} name @param {string} state @param {string} time */
function part(name, state, time) {
  return el(
    "li",
    { class: tone(state), title: `${name}: ${WORDS[state] ?? state}` },
    el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[state] ?? "●"),
    el("span", { class: "name" }, name, el("span", { class: "unseen" }, `, ${WORDS[state] ?? state}`)),
    el("span", { class: "time" }, time),
  );
}

/** What to type; a click selects it. @param {string} text */
export function command(text) {
  return el("code", { class: "command" }, text);
}

/** Where there is nothing. @param {string} words @param {...string} commands what brings something */
export function empty(words, ...commands) {
  return el("div", { class: "empty" }, el("p", {}, words), ...commands.map((text) => el("p", {}, command(text))));
}

/** A sentence of the gateway, in which what to type stands between backticks. @param {string} sentence */
export function words(sentence) {
  return sentence.split("`").map((part, number) => (number % 2 ? el("code", {}, part) : part));
}

/** What went wrong. @param {{code: string, message: string}} error @param {...import("./dom.js").Child} more */
export function problem(error, ...more) {
  return el("div", { class: "problem", role: "alert" }, el("p", {}, words(error.message), " ", el("code", { class: "code" }, error.code)), ...more);
}

/** A button. @param {string} words @param {() => unknown} onclick @param {string} [kind] */
export function button(words, onclick, kind = "") {
  return el("button", { type: "button", class: kind, onclick }, words);
}
