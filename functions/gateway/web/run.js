// @ts-check
// Reads a run's record for people: its stages, how long they took, and what can be done about how it ended.
// As kaos/cli/runs.py does.

/** @typedef {import("./wire.js").Run} Run */
/** @typedef {import("./wire.js").Job} Job */
/** @typedef {import("./wire.js").Stage} StageName */

/**
 * One step of a run. `state` is how it is shown; `begin` and `end` are milliseconds, null where there are none (yet).
 * @typedef {object} Step
 * @property {"ingest" | StageName} name
 * @property {"pending" | "running" | "waiting" | "succeeded" | "failed" | "killed" | "reused" | "never"} state
 * @property {number | null} begin
 * @property {number | null} end
 * @property {string} job
 */

const ENDS = ["succeeded", "failed", "killed", "rejected"];
/** States by what a person asks for. @type {Record<string, string[]>} */
export const GROUPS = {
  "in progress": ["received", "ingesting", "building", "waiting", "training"],
  succeeded: ["succeeded"],
  failed: ["failed"],
  killed: ["killed"],
  rejected: ["rejected"],
};

/** Whether it never changes again. @param {Run} run */
export function isFinal(run) {
  return ENDS.includes(run.state);
}

/** Whose submission it is: the names of its bundles. @param {Run} run */
export function title(run) {
  const names = run.expected.map((kind) => run.parts[kind]?.name || kind);
  return names.join(" + ") || run.id;
}

/** The bundles that its training takes from the workspace, by their names. @param {Run} run */
export function inherited(run) {
  const { source, data } = run.inputs;
  const brought = run.expected.map((kind) => (kind === "manifest" ? "data" : kind));
  const ids = [!brought.includes("source") && source, !brought.includes("data") && data];
  return ids.filter(Boolean).map((id) => String(id).split(":")[0]);
}

/** When it ended, or `now` (milliseconds). @param {Run} run @param {number} now */
export function ended(run, now) {
  const told = isFinal(run) ? run.times[run.state] : undefined;
  return told ? Date.parse(told) : now;
}

/** Seconds that the whole run took, or has taken until now. @param {Run} run @param {number} now */
export function seconds(run, now) {
  return Math.max(0, (ended(run, now) - Date.parse(run.created)) / 1000);
}

/** The steps from its bundles to its models. @param {Run} run @returns {Step[]} */
export function steps(run) {
  const found = [ingest(run)];
  if (run.expected.includes("manifest") || run.fetch.job) found.push(step(run, "fetch", run.expected.includes("manifest")));
  found.push(step(run, "build", run.expected.includes("source")), training(run));
  return found;
}

/** Seconds of a step, or null where it has not begun. @param {Step} step @param {number} now */
export function taken(step, now) {
  return step.begin === null ? null : Math.max(0, ((step.end ?? now) - step.begin) / 1000);
}

/** Seconds of the run in which no job was at work and no input awaited: what kaos needed. @param {Run} run @param {number} now */
export function overhead(run, now) {
  const { waiting, training } = run.times;
  let until = Date.parse(run.created);
  let working = 0;
  const spans = steps(run)
    .filter((step) => step.job && step.begin !== null)
    .map((step) => [Number(step.begin), step.end ?? now])
    .concat(waiting ? [[Date.parse(waiting), training ? Date.parse(training) : ended(run, now)]] : [])
    .sort((one, other) => one[0] - other[0]);
  for (const [begin, end] of spans) {
    working += Math.max(0, end - Math.max(begin, until));
    until = Math.max(until, end);
  }
  return Math.max(0, seconds(run, now) - working / 1000);
}

/** The stages that have a log, or will have. @param {Run} run @returns {StageName[]} */
export function logged(run) {
  /** @type {StageName[]} */
  const stages = ["build", "fetch", "train"];
  return stages.filter((name) => run[name].job && !(run[name].skipped && run[name].state === "succeeded" && name !== "train"));
}

/** The stage whose log tells most: where it is, or where it ended. @param {Run} run @returns {StageName} */
export function telling(run) {
  const stages = logged(run);
  const bad = stages.find((name) => ["failed", "killed"].includes(run[name].state));
  return bad ?? stages.at(-1) ?? "build";
}

/** Whether all of its bundles are stored, so that it can be done again. @param {Run} run */
export function isRepeatable(run) {
  return isFinal(run) && run.state !== "succeeded" && run.expected.every((kind) => run.parts[kind]?.commit);
}

/** Whether lines of its log must name their trial. @param {Run} run @param {StageName} stage */
export function namesTrials(run, stage) {
  return stage === "fetch" || (stage === "train" && (run.trial_count > 1 || run.expected.includes("params")));
}

/** What it waits for, and how to bring it. @param {Run} run */
export function missing(run) {
  const has = (/** @type {string} */ kind) => run.expected.includes(kind);
  const wanted = [];
  if (!has("source")) wanted.push("kaos train deploy -s SOURCE_DIR");
  if (!has("data") && !has("manifest")) wanted.push("kaos train deploy -d DATA_DIR");
  return wanted.map((command) => `${command} -w ${run.workspace}`);
}

/** @param {Run} run @returns {Step} */
function ingest(run) {
  const moments = [run.times.building, run.times.waiting, run.times.training, run.build.started, run.fetch.started];
  const passed = moments.filter(Boolean).map((time) => Date.parse(String(time)));
  const begin = Date.parse(run.created);
  if (passed.length) return { name: "ingest", state: "succeeded", begin, end: Math.min(...passed), job: "" };
  if (!isFinal(run)) return { name: "ingest", state: "running", begin, end: null, job: "" };
  const whole = run.same_as || run.state === "succeeded";
  return { name: "ingest", state: whole ? "succeeded" : outcome(run), begin, end: ended(run, begin), job: "" };
}

/** @param {Run} run @param {"build" | "fetch"} name @param {boolean} expected @returns {Step} */
function step(run, name, expected) {
  const job = run[name];
  if (!job.job || (job.skipped && !job.started)) {
    if (!expected || job.skipped || run.same_as) return { ...blank(name), state: "reused" };
    return { ...blank(name), state: isFinal(run) ? "never" : "pending" };
  }
  return worked(run, name);
}

/** @param {Run} run @returns {Step} */
function training(run) {
  if (run.same_as) return { ...blank("train"), state: "reused" };
  if (run.train.job) return worked(run, "train");
  if (run.state === "waiting") {
    return { ...blank("train"), state: "waiting", begin: Date.parse(run.times.waiting) };
  }
  return { ...blank("train"), state: isFinal(run) ? "never" : "pending" };
}

/** @param {Run} run @param {StageName} name @returns {Step} */
function worked(run, name) {
  const job = run[name];
  // While a job goes on, its record has no times: it began when the run entered that state, or a moment later.
  const entered = job.finished ? null : run.times[name === "train" ? "training" : "building"];
  const time = job.started ?? entered;
  const begin = time ? Date.parse(time) : null;
  const end = job.finished ? Date.parse(job.finished) : isFinal(run) ? ended(run, 0) : null;
  /** @type {Step["state"]} */
  let state = "running";
  // A job of trials that failed has succeeded in Pachyderm's eyes; the run has not.
  if (job.state === "succeeded") state = name === "train" && run.state === "failed" ? "failed" : "succeeded";
  else if (job.state === "failed" || job.state === "killed") state = job.state;
  else if (isFinal(run)) state = outcome(run);
  return { name, state, begin, end, job: job.job };
}

/** @param {Run} run @returns {"succeeded" | "failed" | "killed"} */
function outcome(run) {
  return run.state === "killed" ? "killed" : run.state === "succeeded" ? "succeeded" : "failed";
}

/** @param {Step["name"]} name @returns {Step} */
function blank(name) {
  return { name, state: "pending", begin: null, end: null, job: "" };
}
