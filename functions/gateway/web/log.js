// @ts-check
// A stage's log: all lines are held, in bounds, and only those in sight are in the document.

import { at, lines as read } from "./api.js";
import { el, patch } from "./dom.js";
import { hand } from "./download.js";
import { follow } from "./follow.js";
import { button } from "./pieces.js";
import { clock, counted, hours, safe } from "./text.js";

/** @typedef {import("./wire.js").Run} Run */
/** @typedef {import("./wire.js").Line} Line */
/** @typedef {{time: string, trial: string, text: string}} Row */

// 100,000 lines of a usual log are 30 MB here. The rest is in the file that "Save" makes.
const MOST_LINES = 100_000;
const TAIL = 10_000;
// As log.css has it.
const ROW = 20;
const AROUND = 12;
const LEAST_ROWS = 3;
// A line may have 16 KiB; nobody reads so far to the right.
const MOST_CHARACTERS = 2000;
const TYPING = 150;

/**
 * @param {Run} run
 * @param {import("./wire.js").Stage} stage
 * @param {{withTrial: boolean, failed: (error: any) => unknown}} how
 * @returns {{element: HTMLElement, seek: (text: string) => void, stop: () => void}} `seek` shows the lines of a trial
 */
export function log(run, stage, { withTrial, failed }) {
  const path = (/** @type {object} */ query) => at([run.workspace, "runs", run.id, "logs"], { stage, ...query });
  /** @type {Row[]} */
  let rows = [];
  /** @type {Map<string, number>} */
  let last = new Map();
  let dropped = 0;
  let earlier = 0;
  let whole = false;
  let isOver = false;
  let following = true;
  /** @type {number[]} numbers of lines, counted with the dropped ones */
  let found = [];
  let sought = "";
  let current = -1;
  let timer = 0;
  let frame = 0;
  let place = 0;

  const space = el("div", { class: "space" });
  const shown = el("ol", { class: "rows" });
  space.append(shown);
  const view = el("div", { class: "view", tabindex: 0, role: "region", "aria-label": `Log of ${stage}` }, space);
  const field = /** @type {HTMLInputElement} */ (el("input", { type: "search", placeholder: "Search", "aria-label": "Search the log" }));
  const only = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox" }));
  const matches = el("span", { class: "faint", role: "status" });
  const follows = button("Follow", () => setFollowing(!following), "toggle");
  const begin = button("Earlier lines", () => restart(true));
  const counter = el("span", { class: "faint" });
  const bar = el(
    "div",
    { class: "bar" },
    field,
    button("↑", () => step(-1), "small"),
    button("↓", () => step(1), "small"),
    el("label", { class: "check" }, only, "only matches"),
    matches,
    el("span", { class: "fills" }),
    begin,
    follows,
    button("Save", save),
  );
  const element = el("div", { class: "log", "data-own": true, "data-key": `${run.id} ${stage}` }, bar, view, counter);
  bar.children[1].setAttribute("aria-label", "Previous match");
  bar.children[2].setAttribute("aria-label", "Next match");

  view.onscroll = () => {
    // Who scrolls up reads; who comes to the end follows.
    if (view.scrollTop < place - 1) following = false;
    else if (view.scrollTop + view.clientHeight >= view.scrollHeight - ROW) following = true;
    place = view.scrollTop;
    soon();
  };
  field.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(search, TYPING);
  };
  field.onkeydown = (event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") field.value = "";
  };
  only.onchange = soon;

  /** @param {Line[]} lines */
  function add(lines) {
    for (const line of lines) {
      const writer = `${line.job} ${line.trial}`;
      const before = last.get(writer);
      if (before !== undefined && line.seq <= before) continue;
      const gap = line.seq - (before ?? -1) - 1;
      if (gap > 0 && before === undefined && !whole) earlier += gap;
      else if (gap > 0) push({ time: line.time, trial: line.trial, text: `… ${counted(gap, "line")} missing …` });
      last.set(writer, line.seq);
      push({ time: line.time, trial: line.trial, text: cut(safe(line.text)) });
    }
    // In large steps: each moves all that are left.
    if (rows.length > MOST_LINES * 1.1) {
      const gone = rows.length - MOST_LINES;
      rows = rows.slice(gone);
      dropped += gone;
      found = found.filter((number) => number >= dropped);
      if (!following) move(view.scrollTop - gone * ROW);
    }
    soon();
  }

  /** @param {Row} row */
  function push(row) {
    rows.push(row);
    if (isSought(row)) found.push(dropped + rows.length - 1);
  }

  /** @param {Row} row */
  function isSought(row) {
    return sought !== "" && (row.text.toLowerCase().includes(sought) || (withTrial && row.trial.startsWith(sought)));
  }

  function search() {
    sought = field.value.toLowerCase();
    found = [];
    rows.forEach((row, index) => isSought(row) && found.push(dropped + index));
    current = -1;
    step(-1);
    soon();
  }

  /** @param {number} by */
  function step(by) {
    if (!found.length) return;
    current = current < 0 ? found.length - 1 : (current + by + found.length) % found.length;
    setFollowing(false);
    const row = isFiltered() ? current : found[current] - dropped;
    draw();
    move(row * ROW - view.clientHeight / 2);
  }

  /** @param {boolean} on */
  function setFollowing(on) {
    following = on;
    soon();
  }

  /** @param {number} top in pixels */
  function move(top) {
    view.scrollTop = top;
    place = view.scrollTop;
    soon();
  }

  function soon() {
    frame ||= requestAnimationFrame(draw);
  }

  function isFiltered() {
    return only.checked && sought !== "";
  }

  function draw() {
    cancelAnimationFrame(frame);
    frame = 0;
    const count = isFiltered() ? found.length : rows.length;
    const height = `${count * ROW}px`;
    if (space.style.height !== height) space.style.height = height;
    // A short log that is over takes no more room than it needs.
    view.style.maxHeight = isOver && !whole && !earlier ? `${Math.max(LEAST_ROWS, rows.length + 1) * ROW}px` : "";
    if (following) {
      view.scrollTop = view.scrollHeight;
      place = view.scrollTop;
    }
    const first = Math.max(0, Math.floor(view.scrollTop / ROW) - AROUND);
    const end = Math.min(count, Math.ceil((view.scrollTop + view.clientHeight) / ROW) + AROUND);
    shown.style.transform = `translateY(${first * ROW}px)`;
    const made = [];
    for (let index = first; index < end; index += 1) {
      const number = isFiltered() ? found[index] : dropped + index;
      made.push(line(rows[number - dropped], number));
    }
    patch(shown, made);
    tell(count);
  }

  /** @param {Row} row @param {number} number */
  function line(row, number) {
    const isCurrent = current >= 0 && found[current] === number;
    return el(
      "li",
      { class: isCurrent && "current" },
      el("time", { title: clock(row.time) }, hours(row.time)),
      withTrial && el("b", {}, row.trial.slice(0, 6)),
      el("span", {}, sought ? marked(row.text, sought) : row.text),
    );
  }

  /** @param {number} count */
  function tell(count) {
    const place = current >= 0 ? `${(current + 1).toLocaleString("en")} of ` : "";
    patch(matches, sought ? `${place}${counted(found.length, "match", "matches")}` : "");
    follows.setAttribute("aria-pressed", String(following));
    follows.hidden = isOver;
    begin.hidden = !earlier || whole;
    const before = dropped + (whole ? 0 : earlier);
    const held = before ? `the last ${counted(rows.length, "line")}; ${before.toLocaleString("en")} before them` : counted(rows.length, "line");
    patch(counter, rows.length ? held : isOver ? "There are no lines." : "No lines yet …", count < rows.length && sought ? `, ${count} shown` : "", isOver || !rows.length ? "" : ", more to come");
  }

  /** @param {boolean} all */
  function restart(all) {
    stopReading();
    rows = [];
    last = new Map();
    found = [];
    dropped = earlier = 0;
    whole = all;
    stopReading = start();
  }

  function start() {
    return follow({
      path: () => path({ follow: true, tail: whole ? null : TAIL }),
      told: add,
      condition(now) {
        isOver = now === "over";
        soon();
      },
      failed,
    });
  }

  async function save() {
    const texts = [];
    try {
      for await (const lines of read(path({}), new AbortController().signal)) {
        texts.push(lines.map((line) => `[${clock(line.time)}] ${withTrial ? `${line.trial} ` : ""}${safe(line.text)}\n`).join(""));
      }
      hand(new Blob(texts, { type: "text/plain" }), `${run.workspace}-${run.id}-${stage}.log`);
    } catch (error) {
      failed(error);
    }
  }

  const resized = new ResizeObserver(soon);
  resized.observe(view);
  let stopReading = start();
  return {
    element,
    seek(text) {
      field.value = text;
      only.checked = true;
      search();
    },
    stop() {
      stopReading();
      resized.disconnect();
      cancelAnimationFrame(frame);
    },
  };
}

/** The text with what is sought in it marked. @param {string} text @param {string} sought in lower case */
function marked(text, sought) {
  const pieces = [];
  const lower = text.toLowerCase();
  let from = 0;
  // Where lower case is longer than the text (İ), places don't fit.
  if (lower.length !== text.length) return [text];
  for (let to = lower.indexOf(sought); to >= 0; to = lower.indexOf(sought, from)) {
    pieces.push(text.slice(from, to), el("mark", {}, text.slice(to, to + sought.length)));
    from = to + sought.length;
  }
  return [...pieces, text.slice(from)];
}

/** @param {string} text */
function cut(text) {
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)} … ${counted(text.length - MOST_CHARACTERS, "character")} more`;
}
