/** The page of the recordings: list, uploads, and which recording is read (`#rec_...`). */

import * as api from "./api.js";
import { make } from "./dom.js";
import { LANGUAGES } from "./languages.js";
import { Reader } from "./reader.js";
import { clock } from "./transcript.js";
import { Upload, ask, forget, unfinished } from "./uploads.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 2000;
const OVER = new Set(["succeeded", "failed", "cancelled"]);
const STATES = { queued: "Waiting", running: "Transcribing", succeeded: "Ready", failed: "Failed", cancelled: "Cancelled" };

let pages = 1;
let poll = 0;
let reader = null;
const broken = new Map(); // file name -> its row

/** The server's messages as sentences. */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function say(text, tone = "calm") {
  $("status-text").textContent = text;
  $("status").dataset.tone = tone;
}

function fail(error) {
  if (!(error instanceof api.ApiProblem)) throw error;
  $("problem").textContent = sentence(error.message);
  $("problem").hidden = false;
}

async function load() {
  clearTimeout(poll);
  const items = [];
  let cursor = null;
  try {
    for (let page = 0; page < pages; page += 1) {
      const answer = await api.list({ name: $("find").value.trim(), cursor });
      items.push(...answer.data);
      cursor = answer.next_cursor;
      if (!cursor) break;
    }
    say("Ready");
  } catch (error) {
    fail(error);
    say(sentence(error.message), "bad");
    if (error.code !== "no_recordings") poll = setTimeout(load, 5 * POLL_MS);
    return;
  }
  show(items, cursor);
  if (!reader && items.some((item) => !OVER.has(item.state))) poll = setTimeout(load, POLL_MS);
}

/** Elements are kept by id, so that a button does not vanish under the pointer. */
function show(items, cursor) {
  const known = new Map([...$("items").children].map((element) => [element.dataset.id, element]));
  items.forEach((item, index) => {
    const element = known.get(item.id) ?? make("li", { class: "item" });
    known.delete(item.id);
    element.dataset.id = item.id;
    const state = JSON.stringify([item.state, item.progress, item.cancel_requested, item.file_name]);
    if (element.dataset.state !== state) fill(element, item);
    element.dataset.state = state;
    if ($("items").children[index] !== element) $("items").insertBefore(element, $("items").children[index] ?? null);
  });
  for (const element of known.values()) element.remove();
  $("none").hidden = items.length > 0;
  $("more").hidden = !cursor;
}

function fill(element, item) {
  if (element.dataset.kind !== item.state) {
    element.replaceChildren(make("a", { class: "title", href: `#${item.id}` }, item.file_name), make("p", { class: "about" }), actions(item));
    if (!OVER.has(item.state)) element.append(make("progress", { "aria-label": "Progress" }));
    element.dataset.kind = item.state;
  }
  const about = element.querySelector(".about");
  about.textContent = describe(item);
  about.classList.toggle("bad", item.state === "failed");
  const bar = element.querySelector("progress");
  const { total_s: total, decoded_s: decoded } = item.progress;
  if (bar && item.state === "running" && total) {
    bar.max = total;
    bar.value = decoded;
  }
}

function describe(item) {
  const parts = [item.cancel_requested && !OVER.has(item.state) ? "Stopping" : STATES[item.state]];
  if (item.failure) parts.push(sentence(item.failure.message));
  const { total_s: total, decoded_s: decoded, left_s: left } = item.progress;
  if (item.state === "running" && total) parts.push(`${clock(decoded)} of ${clock(total)}`);
  else if (total) parts.push(clock(total));
  if (item.state === "running" && left !== null) parts.push(`about ${clock(left)} left`);
  parts.push(new Date(item.created_at * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  return parts.join(" · ");
}

function actions(item) {
  const row = make("div", { class: "actions" });
  const add = (label, call) => {
    const button = make("button", { class: "small", type: "button" }, label);
    button.addEventListener("click", () => call().then(load, fail));
    row.append(button);
  };
  if (!OVER.has(item.state)) add("Cancel", () => api.act(item.id, "cancel"));
  if (item.state === "failed" || item.state === "cancelled") add("Try again", () => api.act(item.id, "retry"));
  if (OVER.has(item.state)) {
    add("Delete", async () => {
      if (confirm(`Delete ${item.file_name}? The sound and the transcript are gone for good.`)) await api.remove(item.id);
    });
  }
  return row;
}

/** How an upload stands, in words. */
function standing(share, waiting) {
  const percent = `${Math.floor(share * 100)} %`;
  if (!waiting) return share < 1 ? `Sending · ${percent}` : "Sent · reading the file";
  if (!waiting.full) return `${waiting.message} ${percent} has arrived; the rest is sent as soon as it can be.`;
  const whose = waiting.code === "queue_full" ? "Too many recordings are waiting on this server" : "Too many of your recordings are waiting";
  const { retry_in_s: wait } = waiting;
  const what = share < 1 ? "This one is sent" : "The file has arrived, and takes its place";
  return `${whose}. ${what} in about ${wait < 60 ? `${wait} s` : `${Math.ceil(wait / 60)} min`}; keep the page open.`;
}

function uploadRow(name, text, label) {
  const button = make("button", { class: "small", type: "button" }, label);
  const about = make("p", { class: "about", role: "status" }, text);
  const element = make("li", { class: "item" }, make("span", { class: "title" }, name), about, make("div", { class: "actions" }, button));
  $("uploads").append(element);
  return { element, about, button };
}

async function send(file) {
  broken.get(file.name)?.remove();
  const { element, about, button } = uploadRow(file.name, "Sending…", "Stop");
  const bar = make("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` });
  element.append(bar);
  const stop = new AbortController();
  button.addEventListener("click", () => stop.abort(), { once: true });
  const onProgress = (share, waiting) => {
    bar.value = share;
    const text = standing(share, waiting);
    if (about.textContent !== text) about.textContent = text;
  };
  try {
    await new Upload(file, onProgress, stop).send({ language: $("language").value, num_speakers: $("people").value });
    element.remove();
    await load();
  } catch (error) {
    if (!(error instanceof api.ApiProblem)) throw error;
    about.textContent = sentence(error.message);
    about.classList.add("bad");
    bar.remove();
    button.textContent = "Dismiss";
    button.addEventListener("click", () => element.remove());
  }
}

/** Uploads that broke off when the page was closed: the browser does not let a page have the file again by itself. */
async function showBroken() {
  for (const upload of unfinished()) {
    const found = await ask(upload.id).catch(() => undefined);
    if (found === null) localStorage.removeItem(upload.key);
    if (!found) continue;
    const text = `Broke off at ${Math.floor(found.share * 100)} %. Add the same file again, and it goes on there.`;
    const { element, button } = uploadRow(upload.name, text, "Drop");
    broken.set(upload.name, element);
    button.addEventListener("click", () => (element.remove(), forget(upload)));
  }
}

/** One after the other: the line is shared anyway, and the first is ready sooner. */
async function sendAll(files) {
  for (const file of files) await send(file);
}

function route() {
  reader?.close();
  reader = null;
  const id = location.hash.slice(1);
  $("library").hidden = Boolean(id);
  $("reader").hidden = !id;
  $("problem").hidden = true;
  clearTimeout(poll);
  if (id) reader = new Reader(id, say);
  else load();
}

for (const [code, name] of LANGUAGES) $("language").append(make("option", { value: code }, name));
for (let count = 1; count <= 20; count += 1) $("people").append(make("option", { value: count }, String(count)));
$("file").addEventListener("change", () => {
  const files = [...$("file").files];
  $("file").value = ""; // so that the same file can be chosen again
  sendAll(files);
});
$("find").addEventListener("input", load);
$("more").addEventListener("click", () => ((pages += 1), load()));
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", type === "dragenter" || type === "dragover");
    if (type === "drop") sendAll([...event.dataTransfer.files]);
  });
}
window.addEventListener("hashchange", route);
route();
showBroken();
