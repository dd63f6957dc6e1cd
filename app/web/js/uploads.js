/**
 * A file on its way to the server in parts (tus 1.0, docs/recordings-api.md): after a break it goes on where it was, also
 * in another tab or after the page was closed, once the same file is chosen again.
 */

import { ApiProblem, request } from "./api.js";

const PATH = "/v1/uploads";
const KEPT = "crosstalk-upload:";
const SMALLEST = 1024 ** 2;
const LARGEST = 16 * SMALLEST;
const QUICK_MS = 2000; // a part that takes longer than four times this is followed by a smaller one
const PAUSES_MS = [500, 1000, 2000, 5000, 10000];
const LATER = new Set([0, 408, 429, 502, 503, 504]);
const TUS = { "Tus-Resumable": "1.0.0" };

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const keyOf = (file) => `${KEPT}${file.size}:${file.lastModified}:${file.name}`;

/** The waiting between two tries: ends early when the browser is online again. Rejects when stopped. */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", done);
      signal.removeEventListener("abort", stopped);
      resolve();
    }
    function stopped() {
      done();
      reject(new ApiProblem(0, "aborted", "Stopped."));
    }
    globalThis.addEventListener?.("online", done);
    signal.addEventListener("abort", stopped);
    if (signal.aborted) stopped();
  });
}

/** Tries until the server is there; `told(true)` while it is not. */
async function patiently(call, signal, told) {
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await call();
      told(false);
      return answer;
    } catch (error) {
      if (signal.aborted) throw new ApiProblem(0, "aborted", "Stopped.");
      if (!(error instanceof ApiProblem) || !LATER.has(error.status)) throw error;
      told(true);
      await pause(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)], signal);
    }
  }
}

/** Uploads that broke off and can go on: [{key, id, name, size}]. */
export function unfinished(store = localStorage) {
  const keys = Array.from({ length: store.length }, (_, i) => store.key(i)).filter((key) => key.startsWith(KEPT));
  return keys.map((key) => {
    const [size, , ...name] = key.slice(KEPT.length).split(":");
    return { key, id: store.getItem(key), name: name.join(":"), size: Number(size) };
  });
}

/** Give up an upload that broke off; what has come of it goes on the server as well. */
export function forget({ key, id }, store = localStorage) {
  store.removeItem(key);
  return request(`${PATH}/${id}`, { method: "DELETE", headers: TUS }).catch(() => {}); // else it expires by itself
}

/** How many bytes of an upload have come; null when it is gone. */
export async function received(id, signal) {
  try {
    const answer = await request(`${PATH}/${encodeURIComponent(id)}`, { method: "HEAD", headers: TUS, signal });
    return Number(answer.headers.get("Upload-Offset"));
  } catch (error) {
    if (error.status === 404 || error.status === 410) return null;
    throw error;
  }
}

/**
 * Sends a file and makes a recording of it, which is returned. `fields`: the recording's options; `onProgress(share,
 * waiting)`: how much has come, and whether the server is being waited for; `signal`: ends it, and the upload with it.
 * Rejects with ApiProblem.
 */
export async function upload(file, fields, onProgress, signal, store = localStorage) {
  const key = keyOf(file);
  let at = 0;
  const told = (waiting) => onProgress(file.size ? at / file.size : 0, waiting);
  const ask = (call) => patiently(call, signal, told);
  let id = store.getItem(key);
  try {
    for (;;) {
      const found = id && (await ask(() => received(id, signal)));
      if (!id || found === null) {
        at = 0;
        id = await ask(() => begin(file, signal));
        store.setItem(key, id);
      } else at = found;
      at = await parts(file, id, at, signal, (now, waiting) => ((at = now), told(waiting)));
      const form = new URLSearchParams({ upload: id, ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value)) });
      try {
        const answer = await ask(() => request("/v1/recordings", { method: "POST", body: form, signal }));
        store.removeItem(key);
        return await answer.json();
      } catch (error) {
        if (error.code !== "upload_used" && error.code !== "upload_not_found") throw error;
        id = null; // a recording with other options was made of it: this one needs the file once more
      }
    }
  } catch (error) {
    // What the server refuses it refuses again; what it cannot be asked now goes on later.
    if (id && (signal.aborted || (error instanceof ApiProblem && !LATER.has(error.status)))) forget({ key, id }, store);
    throw error;
  }
}

async function begin(file, signal) {
  const headers = { ...TUS, "Upload-Length": String(file.size), "Upload-Metadata": `filename ${base64(file.name)}` };
  const answer = await request(PATH, { method: "POST", headers, signal });
  return answer.headers.get("Location").split("/").pop();
}

/** Sends what is missing from byte `at` on. A part grows while the line is quick, so that progress is seen on a slow one. */
async function parts(file, id, at, signal, told) {
  let size = SMALLEST;
  const ask = (call) => patiently(call, signal, (waiting) => told(at, waiting));
  told(at, false);
  while (at < file.size) {
    const body = await read(file.slice(at, at + size));
    const headers = { ...TUS, "Upload-Offset": String(at), "Content-Type": "application/offset+octet-stream" };
    const begun = Date.now();
    try {
      const answer = await request(`${PATH}/${id}`, { method: "PATCH", headers, body, signal });
      at = Number(answer.headers.get("Upload-Offset"));
    } catch (error) {
      if (signal.aborted) throw new ApiProblem(0, "aborted", "Stopped.");
      if (error.code !== "upload_offset_mismatch" && !LATER.has(error.status)) throw error;
      told(at, true);
      size = SMALLEST;
      const found = await ask(() => received(id, signal));
      if (found === null) throw new ApiProblem(404, "upload_not_found", "The server does not keep this upload any more.");
      if (found === at) await pause(PAUSES_MS[1], signal);
      at = found;
    }
    told(at, false);
    const took = Date.now() - begun;
    if (took < QUICK_MS) size = Math.min(LARGEST, 2 * size);
    else if (took > 4 * QUICK_MS) size = Math.max(SMALLEST, size / 2);
  }
  return at;
}

async function read(blob) {
  try {
    return await blob.arrayBuffer();
  } catch {
    throw new ApiProblem(-1, "file_unreadable", "The file cannot be read any more.");
  }
}
