/**
 * A file on its way to the server in parts (tus 1.0, docs/recordings-api.md). After a break it goes on where it was, also
 * after the page was closed, once the same file is chosen again.
 */

import { ApiProblem, request } from "./api.js";

const PATH = "/v1/uploads";
const KEPT = "crosstalk-upload:";
const TUS = { "Tus-Resumable": "1.0.0" };
const SMALLEST = 1024 ** 2;
const LARGEST = 16 * SMALLEST;
const QUICK_MS = 2000;
const PAUSES_S = [0.5, 1, 2, 5, 10];
const LATER = new Set([0, 408, 429, 502, 503, 504]);

const stopped = () => new ApiProblem(0, "aborted", "Stopped.");
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** What the server may answer otherwise another time. */
const passes = (error) => error instanceof ApiProblem && error.code !== "aborted" && LATER.has(error.status);

/** Some time, less when the browser is online again. Rejects when stopped. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", end);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(stopped());
      else resolve();
    };
    const timer = setTimeout(end, signal.aborted ? 0 : seconds * 1000);
    globalThis.addEventListener?.("online", end);
    signal.addEventListener("abort", end);
  });
}

/** Uploads that broke off and are kept: [{key, id, name}]. */
export function unfinished(store = localStorage) {
  const keys = Array.from({ length: store.length }, (_, index) => store.key(index)).filter((key) => key.startsWith(KEPT));
  return keys.map((key) => ({ key, id: store.getItem(key), name: key.slice(KEPT.length).split(":").slice(2).join(":") }));
}

/** Drop an upload, here and on the server, where it would go by itself after a day. */
export async function forget({ key, id }, store = localStorage) {
  store.removeItem(key);
  await request(`${PATH}/${id}`, { method: "DELETE", headers: TUS }).catch(() => {});
}

/** {share, id}: how much of an upload has come; null when the server does not have it any more. */
export async function ask(id, signal) {
  try {
    const { headers } = await request(`${PATH}/${id}`, { method: "HEAD", headers: TUS, signal });
    const at = Number(headers.get("Upload-Offset"));
    return { at, share: at / Math.max(1, Number(headers.get("Upload-Length"))) };
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** One file, sent once. `onProgress(share, waiting)`: how much has come, and the ApiProblem that is waited out, if any. */
export class Upload {
  constructor(file, onProgress, { signal, store = localStorage }) {
    this._file = file;
    this._told = onProgress;
    this._signal = signal;
    this._store = store;
    this._key = `${KEPT}${file.size}:${file.lastModified}:${file.name}`;
    this._id = store.getItem(this._key);
    this._at = 0;
  }

  /** Sends what is missing and makes a recording of it, which is returned. Rejects with ApiProblem. */
  async send(fields) {
    try {
      for (;;) {
        await this._parts();
        const body = new URLSearchParams({ upload: this._id });
        for (const [name, value] of Object.entries(fields)) if (value) body.append(name, value);
        try {
          const answer = await this._patiently(() => this._request("/v1/recordings", { method: "POST", body }));
          this._store.removeItem(this._key);
          return await answer.json();
        } catch (error) {
          if (error.code !== "upload_used" && error.code !== "upload_not_found") throw error;
          this._id = null; // a recording with other options was made of it: this one needs the file once more
        }
      }
    } catch (error) {
      if (this._id && !passes(error) && error.code !== "file_unreadable") forget({ key: this._key, id: this._id }, this._store);
      throw error;
    }
  }

  /** A part grows while the line is quick, so that progress is seen on a slow one and little is sent twice. */
  async _parts() {
    await this._find();
    for (let size = SMALLEST; this._at < this._file.size; ) {
      this._tell();
      const begun = Date.now();
      try {
        const body = await this._read(size);
        const headers = { ...TUS, "Upload-Offset": String(this._at), "Content-Type": "application/offset+octet-stream" };
        const answer = await this._request(`${PATH}/${this._id}`, { method: "PATCH", headers, body });
        this._at = Number(answer.headers.get("Upload-Offset"));
        if (Date.now() - begun < QUICK_MS) size = Math.min(LARGEST, 2 * size);
        else if (Date.now() - begun > 4 * QUICK_MS) size = Math.max(SMALLEST, size / 2);
      } catch (error) {
        const lost = error.status === 404 || error.code === "upload_offset_mismatch";
        if (!lost && !passes(error)) throw error;
        size = SMALLEST;
        if (!lost) await this._wait(error, 0);
        await this._find();
      }
    }
    this._tell();
  }

  /** Where to go on; begins anew when the server has nothing of the file. */
  async _find() {
    const found = this._id && (await this._patiently(() => ask(this._id, this._signal)));
    this._at = found ? found.at : 0;
    if (found) return;
    const headers = { ...TUS, "Upload-Length": String(this._file.size), "Upload-Metadata": `filename ${base64(this._file.name)}` };
    const answer = await this._patiently(() => this._request(PATH, { method: "POST", headers }));
    this._id = answer.headers.get("Location").split("/").pop();
    this._store.setItem(this._key, this._id);
  }

  async _read(size) {
    try {
      return await this._file.slice(this._at, this._at + size).arrayBuffer();
    } catch {
      throw new ApiProblem(-1, "file_unreadable", "The file cannot be read any more.");
    }
  }

  async _request(path, options) {
    return request(path, { ...options, signal: this._signal });
  }

  async _patiently(call) {
    for (let tries = 0; ; tries += 1) {
      try {
        return await call();
      } catch (error) {
        if (!passes(error) && !this._signal.aborted) throw error;
        await this._wait(error, tries);
      }
    }
  }

  async _wait(error, tries) {
    if (this._signal.aborted) throw stopped();
    this._tell(error);
    await pause(error.retry_in_s || PAUSES_S[Math.min(tries, PAUSES_S.length - 1)], this._signal);
  }

  _tell(waiting = null) {
    this._told(this._file.size ? this._at / this._file.size : 1, waiting);
  }
}
