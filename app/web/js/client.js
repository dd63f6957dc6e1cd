/**
 * The browser's side of the live protocol (docs/live-protocol.md): one session over as many connections as it takes.
 *
 *   const client = new LiveClient({ url, start: { language: "en" } });
 *   client.addEventListener("final", ({ detail }) => show(detail.segment));
 *   client.start();
 *   client.send(int16);       // says how many samples were taken; fewer than given = the buffer is full
 *   client.stop();            // the rest comes, then "done"
 *
 * Events: every server event under its `type`; `state` {state, reason, retry_in_s}; `failed` {code, message}.
 * States: idle -> connecting -> open <-> lost -> stopping -> done | failed.
 *
 * The sound is raw PCM, never a browser container: after a lost connection it has to go on at an exact sample, and the
 * middle of a WebM stream has no header and no samples that could be counted.
 */

import { RATE_HZ, SAMPLE_BYTES, SoundBuffer } from "./sound.js";

export const FATAL_CLOSES = {
  1003: "frame_invalid",
  1007: "message_invalid",
  1008: "unauthorized",
  1009: "message_too_big",
  4000: "start_expected",
  4001: "idle_timeout",
  4002: "format_invalid",
  4003: "session_unknown",
  4004: "session_elsewhere",
  4006: "max_duration",
  4007: "option_invalid",
};

/** WebSocket.OPEN, also where there is no WebSocket. */
const OPEN = 1;
const RETRIED_ERRORS = new Set(["overloaded", "internal_error", "going_away", "snapshot_invalid"]);

export const DEFAULT_RULES = {
  keep_s: 600,
  message_samples: RATE_HZ / 4,
  socket_bytes: 256 * 1024,
  poll_ms: 50,
  answer_ms: 15000,
  silence_ms: 30000,
  first_wait_ms: 500,
  longest_wait_ms: 10000,
};

/** How long to wait before try number `failures` (1 = the first after a loss, which is made at once). */
export function waitBefore(failures, rules, random = Math.random) {
  if (failures <= 1) return 0;
  const whole = Math.min(rules.longest_wait_ms, rules.first_wait_ms * 2 ** (failures - 2));
  return Math.round(whole * (0.75 + random() * 0.25));
}

export class LiveClient extends EventTarget {
  /**
   * @param {{url: string, start?: object, rules?: object, WebSocket?: Function, timers?: object, authorize?: Function,
   *   explain?: Function}} options
   *   `start`: fields of the start message besides type, version, audio and resume; `timers`: {set, clear, random};
   *   `authorize`: resolves to a connection's subprotocols (its token), [] where there are no keys; `explain`: asked
   *   when a connection was refused, resolves to {code, message, retry_in_s}, or null for a server that is well
   */
  constructor({ url, start = {}, rules = {}, WebSocket: Socket, timers, authorize, explain }) {
    super();
    this._url = url;
    this._options = start;
    this._rules = { ...DEFAULT_RULES, ...rules };
    this._authorize = authorize;
    this._explain = explain;
    this._refusal = null;
    this._Socket = Socket ?? globalThis.WebSocket;
    this._timers = timers ?? {
      set: (call, ms) => setTimeout(call, ms),
      clear: (id) => clearTimeout(id),
      random: Math.random,
    };
    this._sound = new SoundBuffer(this._rules.keep_s * RATE_HZ);
    this._unsent = [];
    this._unanswered = [];
    this._numbers = 0;
    this._cursor = 0;
    this._failures = 0;
    this._socket = null;
    this._stands = false;
    this._pending = {};
    this._waiters = [];
    this.state = "idle";
    this.session = null;
    this.revision = 0;
    this.stopping = false;
  }

  /** Seconds of sound that the server has not acknowledged yet. */
  get unacknowledged_s() {
    return (this._sound.end - this._sound.start) / RATE_HZ;
  }

  /** Seconds of sound that wait to be sent. */
  get waiting_s() {
    return (this._sound.end - this._cursor) / RATE_HZ;
  }

  /** Seconds of sound given so far. */
  get given_s() {
    return this._sound.end / RATE_HZ;
  }

  start() {
    if (this.state !== "idle") throw new Error("a session is started once");
    this._connect();
  }

  /** Gives sound (Int16Array, 16 kHz mono). Returns the samples taken: fewer than given when the buffer is full. */
  send(samples) {
    if (this._over || this.stopping) return 0;
    const taken = this._sound.add(samples);
    this._pump();
    return taken;
  }

  /** Resolves when `samples` fit and little waits to be sent: the pace of a file. Resolves to false when it is over. */
  async room(samples, ahead_s = 5) {
    while (!this._over && (this._sound.room < samples || this.waiting_s > ahead_s)) {
      await new Promise((resolve) => this._waiters.push(resolve));
    }
    return !this._over;
  }

  flush() {
    const id = `flush-${(this._numbers += 1)}`;
    this._control(`flushed ${id}`, { type: "flush", id });
  }

  /** Names a speaker for everyone. */
  rename(speaker, name) {
    this._control(`rename ${speaker}`, { type: "rename", speaker, name });
  }

  /** The end of the sound. */
  stop() {
    if (this.stopping || this._over) return;
    this.stopping = true;
    if (this._stands) this._become("stopping");
    this._control("done", { type: "stop" });
  }

  /** Tries again now instead of after the wait. */
  retryNow() {
    if (this.state === "lost" && this._pending.retry !== undefined) {
      this._cancel("retry");
      this._connect();
    }
  }

  /** Leaves without a goodbye; the server keeps the session for a resume. */
  close() {
    if (!this._over) this._end("failed", { code: "closed", message: "closed by this page" });
  }

  get _over() {
    return this.state === "done" || this.state === "failed";
  }

  _control(key, message) {
    if (this._over) return;
    const control = { key, position: this._sound.end, text: JSON.stringify(message) };
    this._unsent.push(control);
    this._unanswered.push(control);
    this._pump();
  }

  _connect() {
    if (this.session || this._failures > 0) this._become("lost", this._standing());
    else this._become("connecting");
    if (!this._authorize) return this._open([]);
    const attempt = {};
    this._attempt = attempt;
    this._watch("answer", this._rules.answer_ms);
    return this._authorize().then(
      (protocols) => this._attempt === attempt && this._open(protocols),
      (error) => this._attempt === attempt && (error.status ? this._fail(error.code, error.message) : this._lost(error.message)),
    );
  }

  _open(protocols) {
    const socket = protocols.length ? new this._Socket(this._url, protocols) : new this._Socket(this._url);
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    this._stands = false;
    this._problem = null;
    this._watch("answer", this._rules.answer_ms);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      if (socket === this._socket) socket.send(JSON.stringify(this._startMessage()));
    };
    socket.onmessage = ({ data }) => socket === this._socket && this._receive(data);
    socket.onclose = ({ code, reason }) => socket === this._socket && this._closed(code, reason, opened);
    socket.onerror = () => {}; // a close follows, and says what there is to say
  }

  _startMessage() {
    const audio = { encoding: "pcm_s16le", sample_rate: RATE_HZ, channels: 1 };
    const message = { type: "start", version: 1, audio, ...this._options };
    if (this.session) message.resume = { token: this.session.token, have_revision: this.revision };
    return message;
  }

  _receive(data) {
    if (typeof data !== "string") return this._fail("protocol_error", "the server sent a binary message");
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return this._fail("protocol_error", "the server sent something that is not JSON");
    }
    if (this._stands) this._watch("silence", this._rules.silence_ms);
    if (event.type === "final" || event.type === "speakers") {
      if (event.revision <= this.revision) return undefined; // repeated after a resume, and known
      this.revision = event.revision;
    }
    if (!this._note(event)) return undefined;
    this._emit(event.type, event);
    if (event.type === "done") this._end("done");
    return undefined;
  }

  /** Takes over what an event says of our side; false when the session cannot go on. */
  _note(event) {
    if (event.type === "ready") return this._ready(event);
    if (event.type === "ack") {
      this._sound.dropBefore(Math.min(event.samples, this._cursor));
      this._wake();
    } else if (event.type === "flushed") this._answered(`flushed ${event.id}`);
    else if (event.type === "speakers") {
      for (const speaker of Object.keys(event.names ?? {})) this._answered(`rename ${speaker}`);
    } else if (event.type === "error" && event.fatal) {
      this._problem = event;
      if (!RETRIED_ERRORS.has(event.code)) return this._fail(event.code, event.message);
    } else if (event.type === "error" && event.param === "speaker") {
      this._unanswered = this._unanswered.filter((control) => !control.key.startsWith("rename "));
    } else if (event.type === "goaway" && event.reason === "drain") {
      this._emit(event.type, event);
      this._lost("the server is restarting", 0);
      return false;
    }
    return true;
  }

  _ready(event) {
    if (this.session && !event.resumed) return this._fail("session_unknown", "the server does not know this session");
    const at = event.from_samples;
    if (at < this._sound.start || at > this._sound.end) {
      return this._fail("sound_gone", "the server asks for sound that is not kept any more");
    }
    this.session = event;
    this._cursor = at;
    this._unsent = [...this._unanswered];
    this._stands = true;
    this._failures = 0;
    this._refusal = null;
    this._cancel("answer");
    this._watch("silence", this._rules.silence_ms);
    this._become(this.stopping ? "stopping" : "open");
    this._pump();
    return true;
  }

  _answered(key) {
    const index = this._unanswered.findIndex((control) => control.key === key);
    if (index >= 0) this._unanswered.splice(index, 1);
  }

  /** Sends what the socket takes; comes back later for the rest. */
  _pump() {
    if (!this._stands || this._pending.pump !== undefined) return;
    // A socket that is closing takes nothing any more, some time before it says so by an event.
    while (this._socket.readyState === OPEN && this._socket.bufferedAmount < this._rules.socket_bytes) {
      const control = this._unsent[0];
      if (control && control.position <= this._cursor) {
        this._unsent.shift();
        this._socket.send(control.text);
        continue;
      }
      const limit = Math.floor((this.session.limits?.max_message_bytes ?? Infinity) / SAMPLE_BYTES);
      const most = Math.min(this._rules.message_samples, limit, control ? control.position - this._cursor : Infinity);
      const part = this._sound.read(this._cursor, most);
      if (part.length === 0) return this._wake();
      this._socket.send(part.buffer);
      this._cursor += part.length;
    }
    this._wake();
    return this._later("pump", this._rules.poll_ms, () => this._pump());
  }

  _wake() {
    const waiters = this._waiters;
    this._waiters = [];
    for (const resolve of waiters) resolve();
  }

  _closed(code, reason, opened) {
    if (this._over) return;
    const why = this._problem?.message || reason || "";
    if (code in FATAL_CLOSES) return this._fail(this._problem?.code ?? FATAL_CLOSES[code], why || `closed with ${code}`);
    if (this._problem?.code === "overloaded") {
      this._refusal = { code: "overloaded", message: why, retry_in_s: this._problem.retry_after_s ?? 0 };
    } else if (opened) this._refusal = null;
    this._lost(why);
    if (!opened && this._explain) this._ask(this._failures);
    return undefined;
  }

  /** A browser does not tell why a socket was refused; the server does, when it is asked. */
  async _ask(failures) {
    const refusal = await this._explain();
    if (this.state !== "lost" || this._failures !== failures) return;
    const before = this._refusal;
    this._refusal = refusal;
    if (!refusal && !before) return;
    if (this._pending.retry !== undefined) this._retryIn(this._waitNow());
    this._become("lost", this._standing());
  }

  _waitNow() {
    return (this._refusal?.retry_in_s ?? 0) * 1000 || waitBefore(this._failures, this._rules, this._timers.random);
  }

  _lost(reason, failures = this._failures) {
    this._drop();
    this._failures = failures + 1;
    this._retryIn(this._waitNow());
    const standing = this._standing();
    this._become("lost", { ...standing, reason: reason || standing.reason || "" });
  }

  /** What there is to say of a connection that does not stand. */
  _standing() {
    const { code, message } = this._refusal ?? {};
    return { code, reason: message, retry_in_s: this._wait_s, stood: this.session !== null };
  }

  _retryIn(ms) {
    this._cancel("retry");
    this._wait_s = ms / 1000;
    this._later("retry", ms, () => this._connect());
  }

  _drop() {
    const socket = this._socket;
    this._socket = null;
    this._attempt = null;
    this._stands = false;
    for (const name of Object.keys(this._pending)) this._cancel(name);
    socket?.close();
  }

  _fail(code, message) {
    this._end("failed", { code, message });
    return false;
  }

  _end(state, problem) {
    this._drop();
    this._become(state, problem);
    if (problem) this._emit("failed", problem);
    this._wake();
  }

  _become(state, detail = {}) {
    this.state = state;
    this._emit("state", { state, ...detail });
  }

  _emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** A connection that says nothing for so long is given up. */
  _watch(name, ms) {
    this._cancel(name);
    this._later(name, ms, () => this._lost(`the server has said nothing for ${Math.round(ms / 1000)} s`));
  }

  _later(name, ms, call) {
    this._pending[name] = this._timers.set(() => {
      delete this._pending[name];
      call();
    }, ms);
  }

  _cancel(name) {
    if (this._pending[name] !== undefined) this._timers.clear(this._pending[name]);
    delete this._pending[name];
  }
}
