// @ts-check
// How things are written for people: text that can't mislead, times, durations, sizes, numbers.
// As kaos/cli/terminal.py and info.py write them.

// Colours of terminals say nothing here. Other control codes are written out, and so are those that make text read as
// what it is not.
const COLOURS = /\x1b\[[0-9;]*m/g;
const ESCAPED = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Text as it may be shown. @param {unknown} text */
export function safe(text) {
  return String(text).replace(COLOURS, "").replace(ESCAPED, written);
}

/** @param {string} character */
function written(character) {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** `0.42 s`, `12.3 s`, `3 m 04 s`, `2 h 05 m`. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return `${Math.max(seconds, 0).toFixed(2)} s`;
  if (seconds < MINUTE) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} m ${two(whole % MINUTE)} s`;
  return `${Math.floor(whole / HOUR)} h ${two(Math.floor((whole % HOUR) / MINUTE))} m`;
}

/** `just now`, `5 min ago`, `3 h ago`, `2 d ago`. @param {string} time ISO 8601 @param {number} now milliseconds */
export function age(time, now) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < MINUTE) return `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  return `${Math.floor(seconds / DAY)} d ago`;
}

/** `2026-07-29 15:25:46`, in this browser's zone. @param {string} time ISO 8601 */
export function clock(time) {
  const at = new Date(time);
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${hours(time)}`;
}

/** `15:25:46`. @param {string} time ISO 8601 */
export function hours(time) {
  const at = new Date(time);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
}

/** `512 B`, `1.5 kB`, `3.2 GB`. @param {number} size */
export function amount(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit ? `${value.toFixed(1)} ${units[unit]}` : `${size} B`;
}

/** A metric in at most six digits. @param {number | string | null | undefined} value */
export function score(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : value;
}

/** `degree=3, kernel=rbf`; a dash for none. @param {Record<string, unknown>} params */
export function parameters(params) {
  const texts = Object.keys(params)
    .sort()
    .map((name) => `${name}=${typeof params[name] === "string" ? params[name] : JSON.stringify(params[name])}`);
  return texts.join(", ") || "–";
}

/** `1 run`, `2 runs`; `many` where an s does not make it. @param {number} count @param {string} noun */
export function counted(count, noun, many = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : many}`;
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}
