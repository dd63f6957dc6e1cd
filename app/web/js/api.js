/** The recordings over HTTP (docs/recordings-api.md): requests, and errors in words. */

import * as access from "./access.js";

const BASE = "/v1/recordings";

/** What the server answered instead: `status`, `code`, a message for the reader, and when to ask again (0 = not told). */
export class ApiProblem extends Error {
  constructor(status, code, message, retry_in_s = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retry_in_s = retry_in_s;
  }

  /** Whether as many recordings wait as may, of everybody or of this user. */
  get full() {
    return this.code === "queue_full" || this.code === "queue_limit_reached";
  }
}

export const address = (id, rest = "") => `${BASE}/${encodeURIComponent(id)}${rest}`;

export async function request(path, options = {}) {
  let answer;
  try {
    answer = await access.request(path, options);
  } catch {
    throw new ApiProblem(0, "unreachable", "The server does not answer.");
  }
  if (!answer.ok) throw problemOf(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
}

function problemOf(status, body, retryAfter) {
  if (status === 404 && !/(job|upload)_not_found/.test(body)) return new ApiProblem(404, "no_recordings", "This server keeps no recordings.");
  try {
    const { message, code } = JSON.parse(body).error;
    return new ApiProblem(status, code, message, Number(retryAfter) || 0);
  } catch {
    return new ApiProblem(status, "unknown", `The server answered ${status}.`);
  }
}

export async function list({ name, cursor, limit = 50 }) {
  const query = new URLSearchParams({ limit });
  if (name) query.set("name", name);
  if (cursor) query.set("cursor", cursor);
  return (await request(`${BASE}?${query}`)).json();
}

export const one = async (id) => (await request(address(id))).json();
export const act = (id, what) => request(address(id, `/${what}`), { method: "POST" });
export const remove = (id) => request(address(id), { method: "DELETE" });

/** {value, etag} of a transcript; `value.partial` while the recording runs. */
export async function transcript(id) {
  const answer = await request(address(id, "/transcript?format=json"));
  return { value: await answer.json(), etag: answer.headers.get("ETag") };
}

export async function patch(id, etag, edit) {
  const headers = { "Content-Type": "application/json", "If-Match": etag };
  const answer = await request(address(id, "/transcript"), { method: "PATCH", headers, body: JSON.stringify(edit) });
  return { value: await answer.json(), etag: answer.headers.get("ETag") };
}

/**
 * Why a socket was refused: {code: "overloaded" | "not_ready", message, retry_in_s}, or null for a server that is well or
 * does not answer.
 */
export async function whyRefused() {
  try {
    const answer = await fetch("/readyz", { cache: "no-store" });
    if (answer.status !== 503) return null;
    const { status, reason } = await answer.json();
    if (status === "full" && !reason) return null; // recordings wait, live sessions do not
    const retry_in_s = Number(answer.headers.get("Retry-After")) || 0;
    return { code: status === "full" ? "overloaded" : "not_ready", message: reason, retry_in_s };
  } catch {
    return null;
  }
}
