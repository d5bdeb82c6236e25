// @ts-check
// Draws the lineage of a model, from its bundles at the top down to itself: a layer a row.

import { svg } from "./dom.js";

/** @typedef {import("./wire.js").LineageNode} LineageNode */
/** @typedef {import("./wire.js").Lineage} Lineage */
/** @typedef {{node: LineageNode, lines: string[], x: number, y: number, width: number, height: number}} Box */

// Of a monospaced font of 12 px, whose width can be told without measuring: 0.6 em a column, a little more to be safe.
const COLUMN = 7.4;
const LINE = 17;
const PADDING = 12;
const STRIP = 5;
const GAP_X = 22;
const GAP_Y = 34;
const MARGIN = 4;
// What is longer is cut, and whole in the tooltip.
const MOST_COLUMNS = 32;
const MOST_FACTS = 6;
const LONG_DIGEST = /\b[0-9a-f]{32,}\b/g;
const DIGITS_SHOWN = 12;

/** @param {Lineage} lineage @returns {Element} */
export function drawing(lineage) {
  const boxes = placed(lineage);
  const all = [...boxes.values()];
  const width = Math.max(0, ...all.map((box) => box.x + box.width)) + MARGIN;
  const height = Math.max(0, ...all.map((box) => box.y + box.height)) + MARGIN;
  const words = lineage.nodes.map((node) => `${node.kind} ${node.label}`).join(", ");
  return svg(
    "svg",
    { class: "lineage", role: "img", width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": `Made of: ${words}` },
    lineage.edges.map(([used, made]) => edge(/** @type {Box} */ (boxes.get(used)), /** @type {Box} */ (boxes.get(made)))),
    all.map(box),
  );
}

/** Each layer a row, centred on the widest. @param {Lineage} lineage @returns {Map<string, Box>} */
function placed(lineage) {
  const rows = layers(lineage).map((layer) => layer.map(sized));
  const widths = rows.map((row) => row.reduce((sum, each) => sum + each.width + GAP_X, -GAP_X));
  const widest = Math.max(0, ...widths);
  const boxes = new Map();
  let y = MARGIN;
  rows.forEach((row, number) => {
    let x = MARGIN + (widest - widths[number]) / 2;
    for (const each of row) {
      boxes.set(each.node.id, { ...each, x, y });
      x += each.width + GAP_X;
    }
    y += Math.max(...row.map((each) => each.height)) + GAP_Y;
  });
  return boxes;
}

/** @param {LineageNode} node @returns {Box} */
function sized(node) {
  const facts = Object.entries(node.facts).map(([name, text]) => `${name}: ${text}`);
  const more = facts.length > MOST_FACTS ? [`and ${facts.length - MOST_FACTS} more`] : [];
  const lines = [node.kind, node.label, ...facts.slice(0, MOST_FACTS), ...more].map(cut);
  const width = Math.max(...lines.map((line) => line.length)) * COLUMN + 2 * PADDING + STRIP;
  return { node, lines, x: 0, y: 0, width, height: lines.length * LINE + 2 * PADDING - 5 };
}

/** The nodes by their longest way to the end, farthest first. @param {Lineage} lineage @returns {LineageNode[][]} */
function layers({ nodes, edges }) {
  /** @type {Map<string, number>} */
  const distances = new Map();
  const distance = (/** @type {string} */ id) => {
    const there = distances.get(id);
    if (there !== undefined) return there;
    const found = Math.max(0, ...edges.filter(([used]) => used === id).map(([, made]) => distance(made) + 1));
    distances.set(id, found);
    return found;
  };
  /** @type {LineageNode[][]} */
  const found = [];
  for (const node of nodes) (found[distance(node.id)] ??= []).push(node);
  return found.reverse();
}

/** @param {Box} box */
function box({ node, lines, x, y, width, height }) {
  const whole = [node.label, ...Object.entries(node.facts).map(([name, text]) => `${name}: ${text}`)].join(" · ");
  const kinds = ["kind", "label"];
  return svg(
    "g",
    { class: `node ${node.kind}` },
    svg("title", {}, whole),
    svg("rect", { class: "frame", x, y, width, height, rx: 6 }),
    svg("rect", { class: "strip", x, y, width: STRIP, height, rx: 2 }),
    lines.map((line, number) =>
      svg("text", { class: kinds[number] ?? "fact", x: x + STRIP + PADDING, y: y + PADDING + 10 + number * LINE }, line),
    ),
  );
}

/** @param {Box} used @param {Box} made */
function edge(used, made) {
  const [x1, y1] = [used.x + used.width / 2, used.y + used.height];
  const [x2, y2] = [made.x + made.width / 2, made.y - 1];
  const bend = (y2 - y1) / 2;
  const path = `M${x1},${y1} C${x1},${y1 + bend} ${x2},${y2 - bend} ${x2},${y2 - 6}`;
  return svg(
    "g",
    { class: "edge" },
    svg("path", { d: path }),
    svg("polygon", { points: `${x2 - 4},${y2 - 7} ${x2},${y2} ${x2 + 4},${y2 - 7}` }),
  );
}

/** @param {string} text */
function cut(text) {
  const short = text.replace(LONG_DIGEST, (digest) => digest.slice(0, DIGITS_SHOWN));
  return short.length <= MOST_COLUMNS ? short : `${short.slice(0, MOST_COLUMNS - 1)}…`;
}
