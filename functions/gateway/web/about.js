// @ts-check
// What a run's record says: whose it is and how it stands, why it ended as it did, what it was made of.

import { el } from "./dom.js";
import { link } from "./home.js";
import { badge, command, problem, words } from "./pieces.js";
import { isRepeatable, missing, seconds, title } from "./run.js";
import { age, amount, clock, duration } from "./text.js";

/** @typedef {import("./wire.js").Run} Run */

/** @param {string} workspace */
export function back(workspace) {
  return el("p", { class: "back" }, el("a", { href: link(workspace) }, `← ${workspace}`));
}

/** @param {Run} run @param {number} now */
export function heading(run, now) {
  return el(
    "header",
    { class: "title" },
    el("h1", {}, title(run)),
    badge(run.state),
    el(
      "p",
      { class: "faint" },
      run.author && `${run.author} · `,
      el("time", { datetime: run.created, title: age(run.created, now) }, clock(run.created)),
      " · ",
      el("span", { class: "numeric" }, duration(seconds(run, now))),
      run.force && " · by force",
      " · run ",
      el("code", {}, run.id),
    ),
  );
}

/** Why it did not succeed or goes on without work, and what to do. @param {Run} run */
export function reason(run) {
  if (run.same_as) {
    return el("div", { class: "note" }, el("p", {}, "Nothing new to train: these are the models of ", runLink(run, run.same_as), "."), el("p", {}, command(`kaos train deploy --force -w ${run.workspace}`)));
  }
  if (run.state === "succeeded" && run.train.skipped) return el("div", { class: "note" }, el("p", {}, "Nothing new to train: every trial had been done before."));
  if (run.state === "waiting") {
    return el("div", { class: "note" }, el("p", {}, "It waits for an input that the workspace does not have yet. This brings it:"), missing(run).map((text) => el("p", {}, command(text))));
  }
  if (!run.error) return null;
  if (run.state === "killed") return el("div", { class: "note" }, el("p", {}, words(run.error.message)));
  const advice = isRepeatable(run)
    ? "The log below tells more. Mend the bundle and deploy it again; where the cause was outside of it, retry."
    : "Mend the bundle and deploy it again.";
  return problem(run.error, el("p", { class: "faint" }, advice));
}

/** @param {Run} run */
export function facts(run) {
  const sizes = Object.fromEntries(Object.values(run.parts).map((part) => [part.kind, part.size]));
  const bundle = (/** @type {string} */ id, /** @type {string[]} */ ...kinds) => {
    if (!id) return null;
    const kind = kinds.find((each) => run.parts[each]);
    return [el("code", {}, `/${id}`), el("span", { class: "faint" }, kind ? (sizes[kind] ? ` ${amount(sizes[kind])} uploaded` : "") : " inherited from the workspace")];
  };
  const parts = run.parts;
  const options = Object.entries(run.options).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`);
  /** @type {[string, any][]} */
  const pairs = [
    ["code", bundle(run.inputs.source || parts.source?.bundle, "source")],
    ["data", bundle(run.inputs.data || parts.data?.bundle || parts.manifest?.bundle, "data", "manifest")],
    ["hyperparams", bundle(run.inputs.params || parts.params?.bundle, "params")],
    ["image", run.inputs.image && el("code", {}, `sha256:${run.inputs.image}`)],
    ["each trial", options.join(", ")],
    ["retry of", run.retry_of && runLink(run, run.retry_of)],
    ["build job", run.build.job && el("code", {}, run.build.job)],
    ["fetch job", run.fetch.job && el("code", {}, run.fetch.job)],
    ["train job", run.train.job && el("code", {}, run.train.job)],
    ["command line", command(`kaos train info -w ${run.workspace} -r ${run.id}`)],
  ];
  return el("dl", { class: "facts" }, pairs.filter(([, value]) => value).map(([name, value]) => el("div", { "data-key": name }, el("dt", {}, name), el("dd", {}, value))));
}

/** @param {Run} run @param {string} id */
function runLink(run, id) {
  return el("a", { href: link(run.workspace, id) }, `run ${id}`);
}
