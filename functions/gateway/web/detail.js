// @ts-check
// One run: how it goes, what it was made of, its trials, what it printed; and what can be done about it.

import { back, facts, heading, reason } from "./about.js";
import { Failure, ask, at, isPassing, lines } from "./api.js";
import { confirm, show } from "./confirm.js";
import { el, patch } from "./dom.js";
import { save } from "./download.js";
import { follow } from "./follow.js";
import { link } from "./home.js";
import { log } from "./log.js";
import { metrics } from "./metrics.js";
import { paced } from "./paced.js";
import { badge, button, problem } from "./pieces.js";
import { drawing } from "./provenance.js";
import { isFinal, isRepeatable, logged, namesTrials, telling, title } from "./run.js";
import { amount, counted } from "./text.js";
import { timeline } from "./timeline.js";
import { full, known, table } from "./trials.js";

/** @typedef {import("./wire.js").Run} Run */
/** @typedef {import("./wire.js").Trial} Trial */
/** @typedef {import("./wire.js").Stage} Stage */

const LEAST_PAUSE = 300;
const TICK = 1000;
// No event tells that a trial has begun or ended: the record does.
const TRIALS_PAUSE = 2000;
// Of a run that is over, curves are read again where they are few.
const MOST_CURVED_TRIALS = 200;
const MOST_REPORTS = 20_000;

/**
 * @param {import("./main.js").Page} page
 * @param {string} workspace
 * @param {string} id
 * @returns {() => void}
 */
export function detail({ root, failed, entitle, condition }, workspace, id) {
  const path = (/** @type {string[]} */ ...steps) => [workspace, "runs", id, ...steps];
  const told = metrics();
  /** @type {import("./trials.js").Choice} */
  const choice = { sort: null, ascending: false, page: 0, opened: "" };
  /** @type {Run | null} */
  let run = null;
  /** @type {Failure | null} */
  let trouble = null;
  /** @type {{stage: Stage, element: HTMLElement, seek: (text: string) => void, stop: () => void} | null} */
  let viewer = null;
  /** @type {Stage | ""} */
  let wanted = "";
  let doing = "";
  let sequence = "";
  let stopped = false;
  const left = new AbortController();
  entitle(workspace, id);

  async function load() {
    try {
      run = /** @type {Run} */ (await ask(at(path())));
      entitle(workspace, title(run));
      trouble = null;
      if (!stopped) unfollow ??= listen(run);
    } catch (error) {
      trouble = failed(error);
    }
    draw();
  }

  function draw() {
    if (stopped) return;
    if (!run) return trouble && patch(root, back(workspace), problem(trouble));
    const now = Date.now();
    const trials = known(run, told);
    patch(
      root,
      back(workspace),
      heading(run, now),
      trouble && problem(trouble),
      doing && el("p", { class: "doing", role: "status" }, doing),
      el("div", { class: "actions", "data-key": "actions" }, buttons(run, trials)),
      reason(run),
      el("section", { "data-key": "stages" }, el("h2", {}, "Stages"), timeline(run, now)),
      models(run, trials),
      logs(run),
      el("section", { "data-key": "inputs" }, el("h2", {}, "Made of"), facts(run)),
    );
  }

  /** @param {Run} found @param {Trial[]} trials */
  function buttons(found, trials) {
    const models = trials.filter((trial) => trial.model).length;
    return [
      models > 0 && button(models > 1 ? `Download ${counted(models, "model")}` : "Download model", () => download("model"), "primary"),
      isRepeatable(found) && button("Retry", () => void retry(found), "primary"),
      found.parts.source?.commit || found.inputs.source ? button("Code", () => download("code")) : null,
      found.parts.data?.commit || found.inputs.data ? button("Data", () => download("data")) : null,
      !isFinal(found) && button("Kill", () => void kill(found), "danger"),
    ];
  }

  /** @param {Run} found @param {Trial[]} trials */
  function models(found, trials) {
    if (!trials.length) return null;
    const acts = { redraw: draw, download: (/** @type {Trial} */ trial) => download("model", trial), provenance, kill: killTrial, read: readTrial };
    const single = trials.length === 1;
    const trained = trials.some((trial) => trial.model);
    const name = isFinal(found) ? (trained ? "Trained models" : "Trials") : "Trials so far";
    return el(
      "section",
      { "data-key": "trials" },
      el("h2", {}, single ? (trained ? "Trained model" : "Trial") : `${name} `, !single && el("span", { class: "faint" }, trials.length.toLocaleString("en"))),
      single ? [el("p", {}, badge(trials[0].state)), full(found, trials[0], told, acts)] : table(found, trials, told, choice, acts),
    );
  }

  /** @param {Run} found */
  function logs(found) {
    const stages = logged(found);
    if (!stages.length) return null;
    const stage = wanted && stages.includes(wanted) ? wanted : telling(found);
    if (viewer?.stage !== stage) {
      viewer?.stop();
      viewer = { stage, ...log(found, stage, { withTrial: namesTrials(found, stage), failed: complain }) };
    }
    const choices = stages.map((name) => {
      const choose = () => {
        wanted = name;
        draw();
      };
      return el("button", { type: "button", "aria-pressed": String(name === stage), class: "toggle", onclick: choose }, name);
    });
    // What is in its place stays there: to move it would lose its scrolling.
    const shown = viewer.element.isConnected ? viewer.element.cloneNode() : viewer.element;
    return el("section", { "data-key": "log" }, el("div", { class: "line" }, el("h2", {}, "Log"), el("div", { class: "group" }, choices)), shown);
  }

  /** Shows a trial's lines in the log. @param {Trial} trial */
  function readTrial(trial) {
    wanted = "train";
    draw();
    viewer?.seek(trial.id);
    viewer?.element.scrollIntoView({ block: "center" });
  }

  /** Says what is being done, does it, and shows what went wrong. @param {string} words @param {() => Promise<unknown>} action */
  async function act(words, action) {
    doing = words;
    trouble = null;
    draw();
    try {
      await action();
    } catch (error) {
      trouble = failed(error);
    }
    doing = "";
    draw();
  }

  /** @param {unknown} error */
  function complain(error) {
    trouble = failed(error);
    draw();
  }

  /** @param {"model" | "code" | "data"} what @param {Trial} [trial] */
  function download(what, trial) {
    const name = `${workspace}-${trial ? trial.model.replace(":", "-") : `${id}-${what}`}.tar`;
    return act(`Downloading ${name} …`, () =>
      save(at(path("files", what), { trial: trial?.id }), name, (bytes) => {
        doing = `Downloading ${name} … ${amount(bytes)}`;
        redraw.soon();
      }),
    );
  }

  /** @param {Trial} trial */
  function provenance(trial) {
    return act("", async () => {
      const lineage = await ask(at([workspace, "models", trial.model, "provenance"], { run: id }));
      show(`Where ${trial.model} comes from`, el("div", { class: "scroll", tabindex: 0 }, drawing(lineage)));
    });
  }

  /** @param {Run} found */
  async function kill(found) {
    const text = `${title(found)} is ${found.state}. Its processes end, what they printed is kept, and a killed run can be retried.`;
    if (!(await confirm({ title: "Kill this run?", text, action: "Kill run", danger: true }))) return;
    await act("Killing …", () => ask(at(path("kill")), { method: "POST" }));
    refresh.soon();
  }

  /** @param {Trial} trial */
  async function killTrial(trial) {
    const text = `Trial ${trial.id} ends without a model; the others go on.`;
    if (!(await confirm({ title: "Kill this trial?", text, action: "Kill trial", danger: true }))) return;
    await act("Killing …", () => ask(at(path("trials", trial.id, "kill")), { method: "POST" }));
    refresh.soon();
  }

  /** @param {Run} found */
  async function retry(found) {
    const text = "A new run of the same inputs does again what did not succeed; nothing is uploaded.";
    if (!(await confirm({ title: "Retry this run?", text, action: "Retry" }))) return;
    await act("Retrying …", async () => {
      const made = await ask(at(path("retry")), { method: "POST", body: {} });
      location.hash = link(made.workspace, made.id);
    });
  }

  /** The curves of a run that is over: its reports are kept for some days. */
  async function curves() {
    let reports = 0;
    try {
      for await (const items of lines(at(path("events"), { type: "kaos.metrics.reported" }), left.signal)) {
        for (const event of items) told.add(event.data);
        reports += items.length;
        if (reports > MOST_REPORTS) break;
      }
    } catch {
      return; // They are an ornament: all values are in the record.
    }
    draw();
  }

  /** Listens to a run that goes on; of one that is over, reads what its trials told. */
  function listen(/** @type {Run} */ found) {
    if (isFinal(found)) {
      condition("over");
      if (found.trial_count <= MOST_CURVED_TRIALS) void curves();
      return () => undefined;
    }
    return follow({
      path: () => at(path("events"), { follow: true, after: sequence }),
      told(events) {
        for (const event of events) {
          sequence = event.sequence;
          if (event.type === "kaos.metrics.reported") told.add(event.data);
        }
        if (events.some((event) => event.type !== "kaos.metrics.reported")) refresh.soon();
        else redraw.soon();
      },
      condition(now) {
        condition(now);
        refresh.soon();
      },
      failed: complain,
    });
  }

  /** @type {(() => void) | null} */
  let unfollow = null;
  const refresh = paced(load, LEAST_PAUSE);
  const redraw = paced(async () => void draw(), LEAST_PAUSE);
  const ticking = setInterval(() => !document.hidden && run && !isFinal(run) && draw(), TICK);
  const looking = setInterval(() => {
    const isOpen = run ? run.state === "training" : isPassing(trouble);
    if (isOpen && !document.hidden) refresh.soon();
  }, TRIALS_PAUSE);
  refresh.soon();
  return () => {
    stopped = true;
    left.abort();
    clearInterval(ticking);
    clearInterval(looking);
    refresh.stop();
    redraw.stop();
    unfollow?.();
    viewer?.stop();
  };
}
