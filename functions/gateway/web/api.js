// @ts-check
// The gateway's HTTP API: requests with the token, errors as the sentences that the gateway sends.

const TOKEN = "kaos-token";

/** A request that failed: a stable code and a sentence; `status` is 0 where nobody answered. */
export class Failure extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Whether nobody answered, or one who may do so in a moment. @param {unknown} error */
export function isPassing(error) {
  return error instanceof Failure && (error.status === 0 || error.status >= 500) && error.code !== "auth.unconfigured";
}

/** The token of this tab, "" where there is none. It is kept nowhere else, and gone when the tab is. */
export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

/** @param {string} text "" forgets it. */
export function setToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/**
 * The address of a resource: `at("runs", id)`, each step as a single name.
 * @param {string[]} steps
 * @param {Record<string, string | number | boolean | string[] | null | undefined>} [query]
 */
export function at(steps, query = {}) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") asked.append(name, String(each));
    }
  }
  const path = ["v1", "workspaces", ...steps].map(encodeURIComponent).join("/");
  return asked.size ? `${path}?${asked}` : path;
}

/**
 * Asks for JSON. Rejects with Failure.
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [how]
 * @returns {Promise<any>}
 */
export async function ask(path, how = {}) {
  return (await timed(path, how)).answer;
}

/**
 * As `ask`, with the server's time at which it answered (milliseconds, cut to seconds).
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [how]
 * @returns {Promise<{answer: any, date: number}>}
 */
export async function timed(path, how = {}) {
  const response = await open(path, how);
  try {
    return { answer: await response.json(), date: Date.parse(response.headers.get("date") ?? "") || Date.now() };
  } catch (error) {
    throw broken(error);
  }
}

/**
 * The response, once it has begun well. Rejects with Failure, or AbortError.
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [how]
 */
export async function open(path, { method = "GET", body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? null : JSON.stringify(body), signal });
  } catch (error) {
    throw broken(error);
  }
  if (!response.ok) throw await told(response);
  return response;
}

/**
 * The items of a stream of JSON, a line each. Rejects where it breaks off.
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {() => void} [opened] called once it has begun
 * @returns {AsyncGenerator<any[]>} as many at a time as have come
 */
export async function* lines(path, signal, opened) {
  const response = await open(path, { signal });
  opened?.();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const pieces = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = pieces.pop() ?? "";
      if (pieces.length) yield pieces.map((piece) => JSON.parse(piece));
    }
  } catch (error) {
    throw broken(error);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** @param {unknown} error */
function broken(error) {
  if (error instanceof DOMException && error.name === "AbortError") return error;
  return new Failure(0, "stack.silent", "The gateway does not answer. Is the stack up? `kaos status` tells.");
}

/** @param {Response} response */
async function told(response) {
  try {
    const { code, message } = (await response.json()).error;
    return new Failure(response.status, String(code), String(message));
  } catch {
    return new Failure(response.status, "stack.foreign", `It answered ${response.status}, not as kaos would.`);
  }
}
