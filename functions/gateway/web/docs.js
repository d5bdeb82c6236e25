// @ts-check
// The API as its OpenAPI document describes it: every route, what it takes, what it answers.

import { el, patch } from "./dom.js";

const MOST_CHOICES = 12;

/** @param {any} document_ the OpenAPI document */
function drawn(document_) {
  const { info, paths, components } = document_;
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(/** @type {Record<string, any>} */ (methods)).map(([method, told]) => ({ path, method, told })),
  );
  const tags = [...new Set(routes.map(({ told }) => told.tags?.[0] ?? "other"))].sort();
  return [
    el("h1", {}, `${info.title} ${info.version}`),
    el("p", {}, info.summary),
    el(
      "p",
      { class: "faint" },
      "Programs send ", el("code", {}, "Authorization: Bearer $KAOS_TOKEN"), ". Errors are ",
      el("code", {}, '{"error": {"code", "message"}}'), ". For programs: ", el("a", { href: "openapi.json" }, "openapi.json"), ".",
    ),
    ...tags.map((tag) =>
      el("section", {}, el("h2", {}, tag), routes.filter(({ told }) => (told.tags?.[0] ?? "other") === tag).map(route)),
    ),
    el("section", {}, el("h2", {}, "types"), Object.entries(components?.schemas ?? {}).map(([name, schema]) => type(name, schema))),
  ];
}

/** @param {{path: string, method: string, told: any}} route */
function route({ path, method, told }) {
  const body = told.requestBody?.content?.["application/json"]?.schema;
  const answers = Object.entries(told.responses ?? {})
    .filter(([status]) => status.startsWith("2"))
    .map(([status, { content, description }]) => [status, content?.["application/json"]?.schema, description]);
  return el(
    "details",
    { class: "route" },
    el("summary", {}, el("b", {}, method.toUpperCase()), " ", el("code", {}, path), " ", el("span", { class: "faint" }, told.summary)),
    told.description && el("p", { class: "words" }, told.description),
    el(
      "dl",
      {},
      (told.parameters ?? []).map((/** @type {any} */ each) => field(each.name, each.schema, each.required, each.description)),
      body && [el("dt", {}, "body"), el("dd", {}, kind(body), body.properties && fields(body))],
      answers.map(([status, schema, description]) => [el("dt", {}, status), el("dd", {}, schema && Object.keys(schema).length ? kind(schema) : description)]).flat(),
    ),
  );
}

/** @param {string} name @param {any} schema */
function type(name, schema) {
  return el(
    "details",
    { class: "route", id: name },
    el("summary", {}, el("code", {}, name)),
    schema.description && el("p", { class: "words" }, schema.description),
    schema.properties ? fields(schema) : el("p", {}, kind(schema)),
  );
}

/** @param {any} schema */
function fields(schema) {
  const told = /** @type {[string, any][]} */ (Object.entries(schema.properties));
  return el("dl", {}, told.map(([name, each]) => field(name, each, schema.required?.includes(name), each.description)));
}

/** @param {string} name @param {any} schema @param {boolean} required @param {string} [words] */
function field(name, schema, required, words) {
  const more = [required ? "" : "optional", words].filter(Boolean).join(". ");
  return el("div", {}, el("dt", {}, el("code", {}, name)), el("dd", {}, kind(schema), more && el("span", { class: "faint" }, ` ${more}`)));
}

/** What a value is, in words; types are links. @param {any} schema @returns {Node} */
function kind(schema) {
  const words = (/** @type {import("./dom.js").Child[]} */ ...children) => el("span", {}, children);
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return schema.$ref.startsWith("#/components/") ? el("a", { href: `#${encodeURIComponent(name)}` }, name) : words(name);
  }
  // What may be null may be left out, which is told beside it.
  const any = (schema.anyOf ?? schema.oneOf)?.filter((/** @type {any} */ each) => each.type !== "null");
  if (any) return words(...any.flatMap((/** @type {any} */ each, /** @type {number} */ number) => [number > 0 && " or ", kind(each)]));
  if (schema.enum) return words(schema.enum.slice(0, MOST_CHOICES).map((/** @type {unknown} */ each) => JSON.stringify(each)).join(" or "));
  if ("const" in schema) return words(JSON.stringify(schema.const));
  if (schema.type === "array") return words("list", schema.items ? " of " : "", schema.items && kind(schema.items));
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return words("names with ", kind(schema.additionalProperties));
  return words([schema.type ?? "anything", schema.format && `(${schema.format})`].filter(Boolean).join(" "));
}

/** Opens the type that the address names. */
function opened() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView({ block: "center" });
}

const root = /** @type {HTMLElement} */ (document.getElementById("main"));
addEventListener("hashchange", opened);
try {
  patch(root, ...drawn(await (await fetch("openapi.json")).json()));
  opened();
} catch {
  patch(root, el("p", { class: "empty" }, "The gateway does not answer. Is the stack up? ", el("code", {}, "kaos status"), " tells."));
}
