/**
 * A read-only follower of a session: WebSocket first, server-sent events where WebSockets do not get through.
 * Every connection begins with a snapshot, so nothing has to be remembered. Events as those of `LiveClient`.
 */

import { waitBefore, DEFAULT_RULES } from "./client.js";

const GONE = new Set([1008, 4003]);

export class Viewer extends EventTarget {
  constructor(base, session, share) {
    super();
    const query = `share=${encodeURIComponent(share)}`;
    const path = `/v1/live/${encodeURIComponent(session)}`;
    this._socketUrl = `${base.replace(/^http/, "ws")}${path}/view?${query}`;
    this._eventsUrl = `${base}${path}/events?${query}`;
    this._failures = 0;
    this._over = false;
    this._everOpen = false;
  }

  start() {
    this._state("connecting");
    const socket = new WebSocket(this._socketUrl);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this._opened();
    };
    socket.onmessage = ({ data }) => this._receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      if (this._over) return;
      if (GONE.has(code)) this._fail(reason);
      else if (!opened && !this._everOpen && this._failures >= 1) this._byEvents();
      else this._again(() => this.start());
    };
  }

  _byEvents() {
    const source = new EventSource(this._eventsUrl);
    source.onopen = () => this._opened();
    source.onmessage = ({ data }) => this._receive(JSON.parse(data));
    for (const type of ["snapshot", "partial", "final", "speakers", "done"]) {
      source.addEventListener(type, ({ data }) => this._receive(JSON.parse(data)));
    }
    source.onerror = () => {
      source.close();
      if (!this._over) this._again(() => (this._everOpen ? this._byEvents() : this.start()));
    };
    this.addEventListener("done", () => source.close());
  }

  _opened() {
    this._everOpen = true;
    this._failures = 0;
    this._state("open");
  }

  _receive(event) {
    if (event.type === "error") return event.fatal ? this._fail(event.message) : undefined;
    this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    if (event.type === "done") {
      this._over = true;
      this._state("done");
    }
    return undefined;
  }

  _again(call) {
    this._failures += 1;
    const wait = waitBefore(this._failures + 1, DEFAULT_RULES);
    this._state("lost", { retry_in_s: wait / 1000 });
    setTimeout(call, wait);
  }

  _fail(message) {
    this._over = true;
    this._state("failed", { code: "not_shared", message });
  }

  _state(state, detail = {}) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}
