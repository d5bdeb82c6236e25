// @ts-check
// Keeps a stream going: over restarts of the stack, and only while somebody looks.

import { Failure, isPassing, lines } from "./api.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
// A browser has six connections to a host for all its tabs: one that nobody looks at gives its own back.
const HIDDEN_GRACE = 10_000;

/**
 * @typedef {"live" | "connecting" | "over"} Condition
 *
 * @typedef {object} Following
 * @property {() => string | Promise<string>} path where to go on; asked before each connection
 * @property {(items: any[]) => void} told
 * @property {(condition: Condition) => void} [condition] how the stream is
 * @property {(error: Failure) => void} [failed] an error that trying again won't mend
 */

/**
 * Reads until the stream ends. Returns what stops it.
 * @param {Following} following
 * @returns {() => void}
 */
export function follow({ path, told, condition = () => undefined, failed = () => undefined }) {
  const stopped = new AbortController();
  void (async () => {
    let pause = FIRST_PAUSE;
    while (!stopped.signal.aborted) {
      await shown(stopped.signal);
      const connection = whileShown(stopped.signal);
      try {
        const opened = () => condition("live");
        for await (const items of lines(await path(), connection.signal, opened)) {
          pause = FIRST_PAUSE;
          if (stopped.signal.aborted) return;
          told(items);
        }
        condition("over");
        return;
      } catch (error) {
        if (stopped.signal.aborted) return;
        if (!connection.signal.aborted) {
          if (!isPassing(error)) return failed(/** @type {Failure} */ (error));
          condition("connecting");
          await slept(pause * (0.75 + Math.random() / 2), stopped.signal);
          pause = Math.min(pause * 2, LONGEST_PAUSE);
        }
      } finally {
        connection.release();
      }
    }
  })();
  return () => stopped.abort();
}

/** Resolves once the page is seen. @param {AbortSignal} signal @returns {Promise<void>} */
function shown(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}

/** A signal that aborts with `signal`, or when the page has been hidden for a while. @param {AbortSignal} signal */
function whileShown(signal) {
  const connection = new AbortController();
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => connection.abort(), HIDDEN_GRACE);
  };
  const stop = () => connection.abort();
  document.addEventListener("visibilitychange", look);
  signal.addEventListener("abort", stop);
  look();
  const release = () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
    signal.removeEventListener("abort", stop);
  };
  return { signal: connection.signal, release };
}

/** @param {number} milliseconds @param {AbortSignal} signal @returns {Promise<void>} */
function slept(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
