// @ts-check
// Saves what the API serves as a file of the user's. A link could not send the token.

import { Failure, open } from "./api.js";

/**
 * Saves the answer of `path` as `name`; `told` hears of the bytes that came. Where the browser lets us, straight to the
 * disk; else through memory. What breaks off leaves no file. Rejects with Failure.
 * @param {string} path
 * @param {string} name
 * @param {(bytes: number) => void} told
 */
export async function save(path, name, told) {
  const file = await chosen(name);
  if (file === null) return;
  const response = await open(path);
  const counted = counting(response, told);
  if (file) {
    try {
      await counted.pipeTo(await file.createWritable());
    } catch {
      throw new Failure(0, "download.broke-off", `${name} was not saved: the download broke off. Try again.`);
    }
  } else {
    await hand(await new Response(counted).blob().catch(cut(name)), name);
  }
}

/** Gives the user a file of these bytes. @param {Blob} blob @param {string} name */
export function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Where it is to go: null where the user thought better of it, undefined where the browser can't ask. @param {string} name */
async function chosen(name) {
  const pick = /** @type {any} */ (window).showSaveFilePicker;
  if (!pick) return undefined;
  try {
    return await pick({ suggestedName: name });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return null;
    return undefined;
  }
}

/** @param {Response} response @param {(bytes: number) => void} told @returns {ReadableStream<Uint8Array>} */
function counting(response, told) {
  let bytes = 0;
  const count = new TransformStream({
    transform(block, controller) {
      bytes += block.byteLength;
      told(bytes);
      controller.enqueue(block);
    },
  });
  return /** @type {ReadableStream<Uint8Array>} */ (response.body).pipeThrough(count);
}

/** @param {string} name @returns {() => never} */
function cut(name) {
  return () => {
    throw new Failure(0, "download.broke-off", `${name} was not saved: the download broke off. Try again.`);
  };
}
