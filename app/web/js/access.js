/**
 * The API key, where the server asks for one: kept for this tab alone (sessionStorage), shown in headers, and exchanged for
 * tokens where a browser cannot send headers: sockets, event streams, <audio>, downloads.
 */

import { make } from "./dom.js";

const KEPT = "crosstalk-key";
const PATH_TTL_S = 3600;

let known = null;
let asking = null;

export const headers = () => {
  const key = sessionStorage.getItem(KEPT);
  return key ? { Authorization: `Bearer ${key}` } : {};
};

/** `fetch` with the key; asks for one, and again, when the server wants another. */
export async function request(path, options = {}) {
  for (;;) {
    const answer = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
    if (answer.status !== 401) return answer;
    await ask(sessionStorage.getItem(KEPT) ? "This key is not valid any more." : "");
  }
}

/** Makes sure that there is a key where one is needed, before something that cannot be repeated. */
export async function ready() {
  known ??= request("/v1/models");
  try {
    await known;
  } catch {
    known = null;
    throw Object.assign(new Error("The server does not answer."), { status: 0, code: "unreachable" });
  }
}

/** A token, or null on a server without keys. Rejects with {status, code, message}; status 0 = not reached. */
async function token(body) {
  await ready();
  if (!sessionStorage.getItem(KEPT)) return null;
  let answer;
  try {
    answer = await request("/v1/tokens", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error("The server does not answer."), { status: 0, code: "unreachable" });
  }
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(said.error.message), { status: answer.status, code: said.error.code });
  return said.token;
}

/** The subprotocols of a live socket. */
export async function liveProtocols() {
  const made = await token({ scopes: ["live"] });
  return made ? ["token", made] : [];
}

/** An address that opens by itself for an hour. */
export async function signed(path) {
  const made = await token({ scopes: ["read"], path: path.split("?")[0], ttl_s: PATH_TTL_S });
  return made ? `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(made)}` : path;
}

/** Shows the card that asks for the key; resolves once one was given. */
function ask(problem) {
  asking ??= new Promise((resolve) => {
    const field = make("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", required: "" });
    const said = make("p", { class: "problem", role: "alert" }, problem);
    said.hidden = !problem;
    const form = make(
      "form",
      { method: "dialog" },
      make("h2", { id: "login-title" }, "API key"),
      make("p", {}, "This server asks who you are. The key is kept in this tab until it is closed."),
      make("label", {}, "Key", field),
      said,
      make("button", { class: "primary", type: "submit" }, "Continue"),
    );
    const dialog = make("dialog", { class: "login", "aria-labelledby": "login-title" }, form);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", () => {
      sessionStorage.setItem(KEPT, field.value.trim());
      asking = null;
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
  });
  return asking;
}
