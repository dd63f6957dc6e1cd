/**
 * A read-only follower of a session: WebSocket first, server-sent events where WebSockets do not get through.
 * Every connection begins with a snapshot, so nothing has to be remembered. Events as those of `LiveClient`.
 */

import { waitBefore, DEFAULT_RULES } from "./client.js";

const GONE = new Set([1008, 4003]);
/** HTTP answers for a link that leads nowhere: it will not get better. */
const WRONG = new Set([401, 403, 404, 410]);
const WRONG_LINK = "This link is wrong, or it has expired. Ask whoever sent it for a new one.";

export class Viewer extends EventTarget {
  constructor(base, session, share) {
    super();
    const query = `share=${encodeURIComponent(share)}`;
    const path = `/v1/live/${encodeURIComponent(session)}`;
    this._socketUrl = `${base.replace(/^http/, "ws")}${path}/view?${query}`;
    this._eventsUrl = `${base}${path}/events?${query}`;
    this._textUrl = `${base}${path}/transcript?format=txt&${query}`;
    this._failures = 0;
    this._over = false;
    this._socketsWork = false;
  }

  start() {
    this._state("connecting");
    const socket = new WebSocket(this._socketUrl);
    let opened = false;
    socket.onopen = () => {
      opened = this._socketsWork = true;
      this._opened();
    };
    socket.onmessage = ({ data }) => this._receive(JSON.parse(data));
    socket.onclose = async ({ code }) => {
      if (this._over) return;
      if (GONE.has(code)) this._fail();
      else if (opened) this._again(() => this.start());
      else if ((await this._leadsSomewhere()) && !this._socketsWork) this._byEvents();
      else this._again(() => this.start());
    };
  }

  /** A browser does not tell why a connection was refused; the server does. A wrong link is the end. */
  async _leadsSomewhere() {
    try {
      const { status, ok } = await fetch(this._textUrl, { cache: "no-store" });
      if (WRONG.has(status)) this._fail();
      return ok;
    } catch {
      return false; // no server at all
    }
  }

  _byEvents() {
    const source = new EventSource(this._eventsUrl);
    let opened = false;
    source.onopen = () => {
      opened = true;
      this._opened();
    };
    source.onmessage = ({ data }) => {
      this._receive(JSON.parse(data));
      if (this._over) source.close();
    };
    source.onerror = async () => {
      source.close();
      if (!this._over && !opened) await this._leadsSomewhere();
      this._again(() => this._byEvents());
    };
  }

  _opened() {
    this._failures = 0;
    this._state("open");
  }

  _receive(event) {
    if (event.type === "error") return event.fatal && event.code !== "overloaded" ? this._fail() : undefined;
    this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    if (event.type === "done") {
      this._over = true;
      this._state("done");
    }
    return undefined;
  }

  _again(call) {
    if (this._over) return;
    this._failures += 1;
    const wait = waitBefore(this._failures + 1, DEFAULT_RULES);
    this._state("lost", { retry_in_s: wait / 1000 });
    setTimeout(call, wait);
  }

  _fail() {
    this._over = true;
    this._state("failed", { code: "not_shared", message: WRONG_LINK });
  }

  _state(state, detail = {}) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}
