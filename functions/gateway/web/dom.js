// @ts-check
// Makes elements and keeps them as they should be. What is shown becomes text nodes and attributes, never markup.

import { safe } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * What may stand in an element; null, undefined and false are left out.
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => unknown)>} Attributes
 */

/**
 * An element. A function among the attributes is what an event calls (`onclick`); true is an attribute without value.
 * @param {string} name
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/**
 * An element of a drawing.
 * @param {string} name
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElement}
 */
export function svg(name, attributes = {}, ...children) {
  return filled(/** @type {SVGElement} */ (document.createElementNS(SVG, name)), attributes, children);
}

/**
 * Makes `parent` have these children. What is there already and of the same kind stays, with its focus, its scrolling
 * and what the user typed. An element with `data-own` keeps what is in it: whoever made it looks after it.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function patch(parent, ...children) {
  const wanted = children.flat().map(node).filter((child) => child !== null);
  let there = parent.firstChild;
  for (const child of wanted) {
    if (there && alike(there, child)) {
      const next = there.nextSibling;
      if (there !== child) align(there, child);
      there = next;
    } else {
      parent.insertBefore(child, there);
    }
  }
  while (there) {
    const next = there.nextSibling;
    there.remove();
    there = next;
  }
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {(Child | Child[])[]} children
 * @returns {E}
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") /** @type {any} */ (element)[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, safe(value));
  }
  for (const child of children.flat()) {
    const made = node(child);
    if (made) element.append(made);
  }
  return element;
}

/** @param {Child} child @returns {Node | null} */
function node(child) {
  if (child === null || child === undefined || child === false) return null;
  return child instanceof Node ? child : document.createTextNode(safe(child));
}

/** @param {Node} there @param {Node} wanted */
function alike(there, wanted) {
  if (!(there instanceof Element && wanted instanceof Element)) return there.nodeName === wanted.nodeName;
  return there.nodeName === wanted.nodeName && there.getAttribute("data-key") === wanted.getAttribute("data-key");
}

/** @param {Node} there @param {Node} wanted */
function align(there, wanted) {
  if (!(there instanceof Element && wanted instanceof Element)) {
    if (there.nodeValue !== wanted.nodeValue) there.nodeValue = wanted.nodeValue;
    return;
  }
  if (there.hasAttribute("data-own")) return;
  for (const name of there.getAttributeNames()) if (!wanted.hasAttribute(name)) there.removeAttribute(name);
  for (const name of wanted.getAttributeNames()) {
    const value = /** @type {string} */ (wanted.getAttribute(name));
    if (there.getAttribute(name) !== value) there.setAttribute(name, value);
  }
  for (const event of ["onclick", "onchange", "oninput", "onkeydown"]) {
    const [old, made] = [/** @type {any} */ (there), /** @type {any} */ (wanted)];
    if (old[event] !== made[event]) old[event] = made[event];
  }
  patch(there, ...wanted.childNodes);
}
