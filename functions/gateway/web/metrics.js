// @ts-check
// What trials have told of their metrics, step by step: remembered in bounds, and drawn as small curves.

import { svg } from "./dom.js";
import { score } from "./text.js";

// So many points a curve is wide enough for; beyond, every other one is dropped.
const MOST_POINTS = 256;
// Of the largest grids, curves of the trials that told first.
const MOST_CURVES = 4000;
const WIDTH = 120;
const HEIGHT = 28;
const MARGIN = 3;

/**
 * @typedef {{x: number, y: number}} Point
 *
 * @typedef {object} Told what is known of a trial while it goes on
 * @property {number} seq
 * @property {number | null} step
 * @property {Record<string, number | string>} metrics
 *
 * @typedef {object} Metrics
 * @property {(data: any) => void} add
 * @property {(trial: string, metric: string) => Point[]} curve
 * @property {() => Map<string, Told>} newest
 */

/** @returns {Metrics} */
export function metrics() {
  /** @type {Map<string, Point[]>} */
  const curves = new Map();
  /** @type {Map<string, Told>} */
  const newest = new Map();

  /** @param {string} key @param {Point} point */
  function plot(key, point) {
    let points = curves.get(key);
    if (!points) {
      if (curves.size >= MOST_CURVES) return;
      curves.set(key, (points = []));
    }
    const last = points.at(-1);
    if (last && point.x <= last.x) {
      // Told again, or late.
      if (point.x === last.x) points[points.length - 1] = point;
      return;
    }
    points.push(point);
    if (points.length > MOST_POINTS) curves.set(key, points.filter((_, index) => index % 2 === 0 || index === MOST_POINTS));
  }

  return {
    /** Takes the data of an event `kaos.metrics.reported`. */
    add(data) {
      const before = newest.get(data.trial);
      const isNewer = !before || data.seq > before.seq;
      const [older, newer] = isNewer ? [before?.metrics, data.metrics] : [data.metrics, before.metrics];
      newest.set(data.trial, {
        seq: isNewer ? data.seq : before.seq,
        step: isNewer ? data.step ?? before?.step ?? null : before.step,
        metrics: { ...older, ...newer },
      });
      for (const [name, y] of Object.entries(data.metrics)) {
        if (typeof y === "number" && Number.isFinite(y)) plot(key(data.trial, name), { x: data.step ?? data.seq, y });
      }
    },
    curve: (trial, metric) => curves.get(key(trial, metric)) ?? [],
    newest: () => newest,
  };
}

/** A small curve; nothing of fewer than two points. @param {string} name @param {Point[]} points */
export function sparkline(name, points) {
  if (points.length < 2) return null;
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const x = (/** @type {number} */ value) => MARGIN + ((value - left) / (right - left || 1)) * (WIDTH - 2 * MARGIN);
  const y = (/** @type {number} */ value) => HEIGHT - MARGIN - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
  const end = points[points.length - 1];
  const words = `${name}: ${points.length} steps, from ${score(ys[0])} to ${score(end.y)}, lowest ${score(low)}, highest ${score(high)}`;
  const line = points.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(" ");
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, preserveAspectRatio: "xMinYMid", role: "img", "aria-label": words },
    svg("title", {}, words),
    svg("polygon", { points: `${MARGIN},${HEIGHT - MARGIN} ${line} ${WIDTH - MARGIN},${HEIGHT - MARGIN}` }),
    svg("polyline", { points: line }),
    svg("circle", { cx: x(end.x).toFixed(1), cy: y(end.y).toFixed(1), r: 2.5 }),
  );
}

/** @param {string} trial @param {string} metric */
function key(trial, metric) {
  return `${trial} ${metric}`;
}
