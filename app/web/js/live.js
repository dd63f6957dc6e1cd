/** The live page: puts the session (or the viewer), the transcript and the controls together. */

import { liveProtocols } from "./access.js";
import { whyRefused } from "./api.js";
import { Captions } from "./captions.js";
import { LiveClient } from "./client.js";
import { download, make, nameButton, setHue } from "./dom.js";
import { Follow } from "./follow.js";
import { FORMATS } from "./formats.js";
import { LANGUAGES } from "./languages.js";
import { RATE_HZ } from "./sound.js";
import { Microphone, SoundFile, SourceProblem } from "./sources.js";
import { Timeline } from "./timeline.js";
import { clock, Transcript } from "./transcript.js";
import { Viewer } from "./viewer.js";
import { describe, describeViewer } from "./words.js";

const $ = (id) => document.getElementById(id);
const SPOKEN_KEPT = 20;

class Page {
  constructor(role) {
    this.role = role;
    this.transcript = new Transcript();
    this.state = { state: "idle" };
    this.lag_s = 0;
    this.lost_samples = 0;
    this.losing = false;
    this.captions = new Captions($("captions"), this.transcript, {
      onRename: role === "viewer" ? null : (speaker, name) => this.rename(speaker, name),
    });
    this.follow = new Follow($("scroller"), (away) => ($("now").hidden = !away));
    this.timeline = new Timeline($("timeline"), this.transcript, {
      label: "Timeline of who spoke when",
      onJump: (time_s) => this.jump(time_s),
    });
    document.body.dataset.role = role;
    document.body.dataset.phase = "session";
    $("start").hidden = true;
    $("session").hidden = false;
    this.timeline.draw();
  }

  listen(source) {
    for (const type of ["final", "partial", "speakers", "snapshot", "done"]) {
      source.addEventListener(type, ({ detail }) => this.take(detail));
    }
    source.addEventListener("state", ({ detail }) => this.become(detail));
  }

  take(event) {
    const change = this.transcript.take(event);
    this.captions.draw(change);
    if (change.added) this.speak(change.added);
    if (change.from !== null || change.names || event.type === "partial") this.drawSpeakers();
    $("empty").hidden = this.transcript.finals.length + this.transcript.partial.length > 0;
    if (this.follow.following) this.timeline.position_s = this.transcript.duration_s;
    this.timeline.draw();
    this.follow.grown();
    if (this.role === "viewer") $("elapsed").textContent = clock(this.transcript.duration_s);
    for (const warning of event.warnings ?? []) toast(warning);
  }

  become(detail) {
    this.state = detail;
    this.showState();
    const over = detail.state === "done" || detail.state === "failed";
    $("retry").hidden = detail.state !== "lost" || this.role === "viewer";
    if (over) {
      $("stop").hidden = $("mute").hidden = $("level").hidden = true;
      $("again").hidden = this.role === "viewer";
      $("empty").textContent = "No words were heard.";
    }
  }

  showState() {
    const lost = { losing: this.losing, lost_s: this.lost_samples / RATE_HZ };
    const live = { lag_s: this.lag_s, unsent_s: this.client?.waiting_s, microphone: this.source instanceof Microphone, ...lost };
    const said = this.role === "viewer" ? describeViewer(this.state) : describe({ ...this.state, ...live });
    if ($("status-text").textContent !== said.text) $("status-text").textContent = said.text;
    $("status").dataset.tone = said.tone;
    document.body.dataset.state = this.state.state;
  }

  /** For screen readers: finals only, with a name where the speaker changes, and only the newest are kept. */
  speak(segment) {
    const log = $("spoken");
    const name = segment.speaker === this.spoke ? "" : `${this.transcript.name(segment.speaker)}: `;
    this.spoke = segment.speaker;
    log.append(make("p", {}, name + segment.text));
    while (log.childElementCount > SPOKEN_KEPT) log.firstChild.remove();
  }

  jump(time_s) {
    const element = this.captions.elementAt(time_s);
    if (!element) return;
    this.follow.show(element);
    $("captions").querySelector(".found")?.classList.remove("found");
    void element.offsetWidth; // the animation begins again
    element.classList.add("found");
  }

  rename(speaker, name) {
    if (this.state.state === "done" || this.state.state === "failed") {
      this.take({ type: "speakers", segments: {}, names: { [speaker]: name } });
    } else this.client.rename(speaker, name);
  }

  drawSpeakers() {
    const speakers = this.transcript.speakers();
    if (speakers.length === 0) return;
    const list = $("speakers");
    list.querySelector(".hint")?.remove();
    const all = Math.max(0.001, speakers.reduce((sum, speaker) => sum + this.transcript.talk_s(speaker), 0));
    const items = new Map([...list.children].map((item) => [Number(item.dataset.speaker), item]));
    for (const speaker of speakers) {
      const item = items.get(speaker) ?? list.appendChild(this._speakerItem(speaker));
      items.delete(speaker);
      const talk_s = this.transcript.talk_s(speaker);
      item.querySelector(".talk").textContent = clock(talk_s);
      item.querySelector(".share i").style.width = `${(talk_s / all) * 100}%`;
    }
    for (const item of items.values()) item.remove();
    for (const label of list.querySelectorAll("[data-name-of]")) {
      label.textContent = this.transcript.name(Number(label.dataset.nameOf));
    }
  }

  _speakerItem(speaker) {
    const rename = this.role === "viewer" ? null : (who, name) => this.rename(who, name);
    const talk = make("span", { class: "talk", title: "Time spoken" });
    const share = make("span", { class: "share", "aria-hidden": "true" }, make("i"));
    const item = make("li", {}, nameButton(speaker, this.transcript, rename), talk, share);
    item.dataset.speaker = speaker;
    setHue(item, speaker);
    return item;
  }

  save(format) {
    const { type, render } = FORMATS[format];
    const day = new Date().toISOString().slice(0, 16).replace(":", "").replace("T", " ");
    download(`meeting ${day}.${format}`, type, render(this.transcript, { language: this.language ?? null }));
  }
}

class SessionPage extends Page {
  constructor(source, options, fast) {
    super("speaker");
    this.source = source;
    this.fast = fast;
    this.language = options.language;
    $("mute").hidden = !(source instanceof Microphone);
    const url = `${location.origin.replace(/^http/, "ws")}/v1/live`;
    this.client = new LiveClient({ url, start: options, authorize: liveProtocols, explain: whyRefused });
    this.listen(this.client);
    this.client.addEventListener("ready", ({ detail }) => {
      this.shared = `${location.origin}/#view=${encodeURIComponent(detail.session)}&share=${encodeURIComponent(detail.share)}`;
      $("share").disabled = false;
    });
    this.client.addEventListener("lag", ({ detail }) => {
      this.lag_s = detail.state === "ok" ? 0 : detail.seconds;
      this.showState();
    });
    this.client.addEventListener("skipped", ({ detail }) => {
      toast(`Sound from ${clock(detail.from_s)} to ${clock(detail.to_s)} could not be used: ${detail.reason}`);
    });
    this.client.addEventListener("goaway", ({ detail }) => {
      if (detail.reason === "max_duration") toast(`This session has to end in ${Math.round(detail.within_s)} s`);
    });
    this.client.addEventListener("error", ({ detail }) => detail.fatal || toast(detail.message));
    this.ticker = setInterval(() => this.tick(), 500);
    this.client.start();
  }

  /** A piece from the microphone. */
  sound(samples) {
    const taken = this.client.send(samples);
    if (this.client.stopping || samples.length === 0) return;
    const losing = taken < samples.length;
    this.lost_samples += samples.length - taken;
    if (losing === this.losing) return;
    this.losing = losing;
    if (!losing) toast(`${Math.round(this.lost_samples / RATE_HZ)} s of sound were lost, because nobody took them in time.`);
    this.showState();
  }

  tick() {
    $("elapsed").textContent = clock(this.client.given_s);
    this.showState();
  }

  become(detail) {
    super.become(detail);
    if (detail.state === "done" || detail.state === "failed") {
      clearInterval(this.ticker);
      this.source.close();
    }
  }

  stop() {
    this.source.close();
    this.client.stop();
    $("stop").disabled = true;
  }

  mute() {
    this.source.muted = !this.source.muted;
    $("mute").setAttribute("aria-pressed", String(this.source.muted));
    $("mute").textContent = this.source.muted ? "Muted" : "Mute";
  }
}

let page = null;
let toastTimer = 0;

function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 4000);
}

function startOptions() {
  const options = {};
  if ($("language").value) options.language = $("language").value;
  if ($("people").value) options.speakers = { exact: Number($("people").value) };
  return options;
}

const onLevel = (value) => ($("level").firstChild.style.transform = `scaleX(${value})`);

/** Opens a source and begins a session with it; what goes wrong is said on the start card. */
async function begin(open) {
  if (page) return toast("Stop this session first, then begin a new one.");
  $("problem").hidden = true;
  $("begin").disabled = true;
  try {
    await open();
  } catch (error) {
    if (!(error instanceof SourceProblem)) throw error;
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  } finally {
    $("begin").disabled = false;
  }
  return undefined;
}

const beginMicrophone = () =>
  begin(async () => {
    const source = new Microphone({
      onSound: (samples) => page.sound(samples),
      onLevel,
      onEnded: (message) => (toast(message), page.stop()),
    });
    await source.open();
    page = new SessionPage(source, startOptions(), false);
    await source.start();
  });

const beginFile = (file) =>
  begin(async () => {
    $("status-text").textContent = `Reading ${file.name}…`;
    try {
      const source = await SoundFile.open(file);
      page = new SessionPage(source, startOptions(), $("pace").value === "fast");
      source.play(page.client, { fast: page.fast, onLevel }).then(() => page.client.stop());
    } finally {
      if (!page) $("status-text").textContent = "Ready";
    }
  });

async function copyLink() {
  try {
    await navigator.clipboard.writeText(page.shared);
    toast("Link copied: whoever opens it can read along.");
  } catch {
    window.prompt("Copy this link for viewers:", page.shared); // no clipboard outside secure pages
  }
}

function keys(event) {
  if (!page || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const act = {
    n: () => page.follow.now(),
    t: () => $("timeline").focus(),
    m: () => page.source instanceof Microphone && page.mute(),
    f: () => page.client?.flush(),
    r: () => [...$("captions").querySelectorAll("button.name")].at(-1)?.click(),
  }[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
}

function wire() {
  for (const [code, name] of LANGUAGES) $("language").append(make("option", { value: code }, name));
  for (let count = 1; count <= 12; count += 1) $("people").append(make("option", { value: count }, String(count)));
  $("begin").addEventListener("click", beginMicrophone);
  $("file").addEventListener("change", () => $("file").files[0] && beginFile($("file").files[0]));
  $("now").addEventListener("click", () => page.follow.now());
  $("stop").addEventListener("click", () => page.stop());
  $("mute").addEventListener("click", () => page.mute());
  $("retry").addEventListener("click", () => page.client.retryNow());
  $("again").addEventListener("click", () => location.reload());
  $("share").addEventListener("click", copyLink);
  for (const button of document.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => page.save(button.dataset.download));
  }
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", type === "dragenter" || type === "dragover");
      if (type === "drop" && event.dataTransfer.files[0]) beginFile(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("keydown", keys);
  document.addEventListener("themechange", () => page?.timeline.draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page?.timeline.draw());
  window.addEventListener("hashchange", () => location.reload());
  window.addEventListener("online", () => page?.client?.retryNow());
  window.addEventListener("beforeunload", (event) => {
    if (page?.client && !["done", "failed"].includes(page.state.state)) event.preventDefault();
  });
}

function view() {
  const asked = new URLSearchParams(location.hash.slice(1) || location.search);
  if (!asked.get("view")) return;
  const viewer = new Viewer(location.origin, asked.get("view"), asked.get("share") ?? "");
  page = new Page("viewer");
  page.listen(viewer);
  viewer.start();
}

wire();
view();
