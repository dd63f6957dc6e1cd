/** One recording: its transcript with the sound in step, names and text to change, search, files. */

import { signed } from "./access.js";
import * as api from "./api.js";
import { Captions } from "./captions.js";
import { make, nameButton, setHue } from "./dom.js";
import { Timeline } from "./timeline.js";
import { clock, Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);
const FORMATS = ["txt", "docx", "srt", "vtt", "json", "rttm", "ctm", "seglst"];

export class Reader {
  constructor(id, say) {
    this.id = id;
    this._say = say;
    this._stop = new AbortController();
    this._transcript = new Transcript();
    const rename = (speaker, name) => this._patch({ speakers: { [speaker]: name } });
    const jump = (time_s) => this._play(time_s);
    for (const name of ["captions", "timeline"]) {
      $(name).replaceWith($(name).cloneNode()); // without the listeners of the recording read before
    }
    this._captions = new Captions($("captions"), this._transcript, { onRename: rename, onJump: jump, write: writeWords });
    const seek = (time_s) => this._seek(time_s);
    this._timeline = new Timeline($("timeline"), this._transcript, { onJump: seek, label: "Timeline", least_s: 1 });
    this._rename = rename;
    this._wire();
    this._open().catch((error) => this._fail(error));
  }

  close() {
    this._stop.abort();
    this._events?.close();
    $("audio").removeAttribute("src");
    $("audio").load();
    $("captions").replaceChildren();
    $("speakers").replaceChildren();
    $("downloads").replaceChildren();
    $("search").value = $("hits").textContent = $("title").textContent = "";
    $("edit").setAttribute("aria-pressed", "false");
  }

  _wire() {
    const on = (id, type, call) => $(id).addEventListener(type, call, { signal: this._stop.signal });
    on("audio", "timeupdate", () => this._follow());
    on("captions", "click", (event) => {
      const word = event.target.closest(".word");
      if (word && !this._editing) this._play(Number(word.dataset.start));
    });
    on("search", "input", () => this._search());
    on("search", "keydown", (event) => event.key === "Enter" && this._nextHit());
    on("edit", "click", () => this._edit(!this._editing));
    on("captions", "focusout", (event) => this._edited(event.target));
  }

  async _open() {
    const item = await api.one(this.id);
    if (this._stop.signal.aborted) return;
    $("title").textContent = item.file_name;
    $("audio").hidden = !item.has_audio;
    if (item.has_audio) $("audio").src = await signed(api.address(this.id, "/audio"));
    this._download = await signed(api.address(this.id, "/transcript"));
    if (this._stop.signal.aborted) return;
    if (item.state === "succeeded") await this._load();
    else if (item.state === "queued" || item.state === "running") await this._watch(item);
    else this._empty(item.failure?.message ?? "This recording was cancelled.");
  }

  async _load() {
    const { value, etag } = await api.transcript(this.id);
    if (!this._stop.signal.aborted) this._show(value, etag);
  }

  _show(value, etag) {
    this._etag = etag;
    const names = Object.fromEntries((value.speakers ?? []).filter((it) => it.named).map((it) => [it.id, it.name]));
    const segments = value.segments.map(fromApi);
    this._transcript.take({ type: "snapshot", segments, names });
    this._transcript.take({ type: "done", duration_s: value.duration_s ?? 0 });
    this._captions.redraw();
    this._words = [...$("captions").querySelectorAll(".word")].sort((a, b) => a.dataset.start - b.dataset.start);
    this._timeline.draw();
    this._speakers();
    if (!value.partial) {
      const links = FORMATS.map((format) => make("a", { class: "small", href: `${this._download}${this._download.includes("?") ? "&" : "?"}format=${format}`, download: `${$("title").textContent}.${format}` }, format));
      $("downloads").replaceChildren(...links);
      for (const warning of value.warnings ?? []) this._say(warning, "warn");
    }
    $("edit").hidden = Boolean(value.partial);
    this._empty(segments.length ? "" : "No words were heard.");
    this._edit(Boolean(this._editing));
    this._search();
  }

  async _watch(item) {
    this._empty(item.position ? `Waiting: number ${item.position} in line.` : "Transcribing…");
    if (item.state === "running") await this._load();
    if (this._stop.signal.aborted) return;
    const events = new EventSource(await signed(api.address(this.id, "/events")));
    this._events = events;
    events.addEventListener("progress", ({ data }) => {
      const { decoded_s: decoded, total_s: total } = JSON.parse(data);
      this._say(total ? `Transcribing: ${clock(decoded)} of ${clock(total)}` : "Waiting", "calm");
    });
    events.addEventListener("segment", ({ data }) => {
      this._captions.draw(this._transcript.take({ type: "final", segment: fromApi(JSON.parse(data)) }));
      this._timeline.draw();
      this._speakers();
      this._empty("");
    });
    events.addEventListener("state", ({ data }) => {
      const { state, message } = JSON.parse(data);
      if (state === "queued" || state === "running") return;
      events.close();
      this._say(state === "succeeded" ? "Ready" : (message ?? state), state === "succeeded" ? "done" : "bad");
      if (state === "succeeded") this._load().catch((error) => this._fail(error));
      else this._empty(message ?? "This recording was cancelled.");
    });
  }

  _speakers() {
    const items = this._transcript.speakers().map((speaker) => {
      const talk = make("span", { class: "talk" }, clock(this._transcript.talk_s(speaker)));
      const item = make("li", {}, nameButton(speaker, this._transcript, this._etag ? this._rename : null), talk);
      setHue(item, speaker);
      return item;
    });
    $("speakers").replaceChildren(...items);
  }

  _seek(time_s) {
    $("audio").currentTime = time_s;
    this._captions.elementAt(time_s)?.scrollIntoView({ block: "center" });
  }

  _play(time_s) {
    $("audio").currentTime = time_s;
    $("audio").play();
  }

  /** Marks the words that sound now; several, where people talk at once. */
  _follow() {
    const now = $("audio").currentTime;
    for (const word of $("captions").querySelectorAll(".word.playing")) word.classList.remove("playing");
    const playing = (this._words ?? []).filter((word) => word.dataset.start <= now && now < word.dataset.end);
    for (const word of playing) word.classList.add("playing");
    if (!$("audio").paused && playing[0] && !this._editing) {
      const { top, bottom } = playing[0].getBoundingClientRect();
      const frame = $("scroller").getBoundingClientRect();
      if (bottom > frame.bottom - 40 || top < frame.top) playing[0].scrollIntoView({ block: "center" });
    }
    this._timeline.position_s = now;
    this._timeline.draw();
  }

  _search() {
    const wanted = $("search").value.trim().toLowerCase();
    this._hits = [];
    for (const element of $("captions").querySelectorAll(".segment")) {
      const hit = wanted !== "" && element.textContent.toLowerCase().includes(wanted);
      element.classList.toggle("hit", hit);
      if (hit) this._hits.push(element);
    }
    $("hits").textContent = wanted ? `${this._hits.length} found` : "";
    this._hit = -1;
    if (this._hits.length) this._nextHit();
  }

  _nextHit() {
    if (!this._hits?.length) return;
    this._hit = (this._hit + 1) % this._hits.length;
    this._hits[this._hit].scrollIntoView({ block: "center" });
  }

  _edit(on) {
    this._editing = on;
    $("edit").setAttribute("aria-pressed", String(on));
    $("edit").textContent = on ? "Done" : "Edit text";
    for (const element of $("captions").querySelectorAll(".segment")) {
      if (on) element.setAttribute("contenteditable", "plaintext-only");
      else element.removeAttribute("contenteditable");
    }
  }

  _edited(element) {
    const segment = this._transcript.finals.find((it) => it.id === element.dataset?.id);
    const text = element.textContent.replace(/\s+/g, " ").trim();
    if (!segment || !this._editing || text === segment.text) return;
    this._patch({ segments: { [segment.id]: { text } } });
  }

  async _patch(edit) {
    try {
      const { value, etag } = await api.patch(this.id, this._etag, edit);
      this._show(value, etag);
      this._say("Saved", "good");
    } catch (error) {
      if (error.code === "revision_conflict") {
        await this._load();
        this._say("Somebody else changed this transcript meanwhile. It is shown anew: make your change again.", "warn");
      } else this._fail(error);
    }
  }

  _empty(text) {
    $("empty").textContent = text;
    $("empty").hidden = text === "";
  }

  _fail(error) {
    if (!(error instanceof api.ApiProblem)) throw error;
    this._say(error.message, "bad");
    if (this._transcript.finals.length === 0) this._empty(error.message);
  }
}

function fromApi({ id, speaker, start_s, end_s, text, words = [], flags = [] }) {
  const timed = words.map((word) => ({ text: word.text, start: word.start_s, end: word.end_s, confidence: word.confidence }));
  return { id, speaker, start: start_s, end: end_s, text, words: timed, flags };
}

/** A segment as words that can be clicked; as plain text where an edit has made the words' times uncertain. */
function writeWords(element, segment) {
  if (segment.words.map((word) => word.text).join(" ") !== segment.text) {
    element.textContent = segment.text;
    return;
  }
  segment.words.forEach((word, index) => {
    const part = make("span", { class: "word" }, word.text);
    part.dataset.start = word.start;
    part.dataset.end = word.end;
    element.append(index ? " " : "", part);
  });
}
