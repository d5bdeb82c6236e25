// @ts-check
// Looks again when something may have changed: at once, but never so often that it keeps the server busy.

// Of the time, a tenth at most is spent on asking.
const SHARE = 10;

/**
 * @param {() => Promise<void>} load what looks; it handles its own errors
 * @param {number} least milliseconds between two looks
 * @returns {{soon: () => void, stop: () => void}}
 */
export function paced(load, least) {
  let timer = 0;
  let wanted = false;
  let busy = false;
  let stopped = false;

  async function look() {
    wanted = false;
    busy = true;
    const begun = performance.now();
    await load();
    if (stopped) return;
    timer = setTimeout(rested, Math.max(least, (performance.now() - begun) * SHARE));
  }

  function rested() {
    busy = false;
    if (wanted) void look();
  }

  return {
    soon() {
      wanted = true;
      if (!busy) void look();
    },
    stop() {
      stopped = busy = true;
      clearTimeout(timer);
    },
  };
}
