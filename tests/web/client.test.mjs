import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveClient, waitBefore, DEFAULT_RULES, FATAL_CLOSES } from "../../app/web/js/client.js";

/** A socket in the hands of the test. */
class Socket {
  static all = [];
  constructor(url) {
    this.url = url;
    this.sent = [];
    this.bufferedAmount = 0;
    this.readyState = 1;
    this.closed = false;
    Socket.all.push(this);
  }
  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : new Int16Array(data));
  }
  close() {
    this.closed = true;
  }
  say(type, revision, fields = {}) {
    this.onmessage({ data: JSON.stringify({ type, revision, ...fields }) });
  }
  ready(fields = {}) {
    this.onopen();
    this.say("ready", 0, { session: "s", token: "t", share: "v", resumed: false, from_samples: 0, limits: { max_message_bytes: 8000 }, ...fields });
  }
  lose(code = 1006, reason = "") {
    this.onclose({ code, reason });
  }
  get sound() {
    return this.sent.filter((it) => it instanceof Int16Array).flatMap((it) => [...it]);
  }
  get said() {
    return this.sent.filter((it) => !(it instanceof Int16Array));
  }
}

/** A clock that goes when the test says so. */
class Clock {
  constructor() {
    this.now = 0;
    this.calls = [];
    this.random = () => 0.5;
    this.set = (call, ms) => {
      const entry = { call, at: this.now + ms };
      this.calls.push(entry);
      return entry;
    };
    this.clear = (entry) => {
      this.calls = this.calls.filter((it) => it !== entry);
    };
  }
  go(ms) {
    const end = this.now + ms;
    for (;;) {
      const next = this.calls.filter((it) => it.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.clear(next);
      this.now = next.at;
      next.call();
    }
    this.now = end;
  }
}

const ramp = (from, count) => Int16Array.from({ length: count }, (_, i) => from + i);
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

function session(rules = {}, start = {}, explain = undefined) {
  Socket.all = [];
  const clock = new Clock();
  const client = new LiveClient({ url: "ws://x/v1/live", start, rules, WebSocket: Socket, timers: clock, explain });
  const events = [];
  for (const type of ["ready", "final", "speakers", "partial", "state", "failed", "done", "lag"]) {
    client.addEventListener(type, ({ detail }) => events.push([type, detail]));
  }
  client.start();
  const of = (type) => events.filter(([it]) => it === type).map(([, detail]) => detail);
  return { client, clock, of, socket: () => Socket.all.at(-1) };
}

test("the first message announces the sound and the options", () => {
  const { socket, client } = session({}, { language: "de", speakers: { exact: 2 } });
  socket().ready();
  assert.deepEqual(socket().said[0], {
    type: "start",
    version: 1,
    audio: { encoding: "pcm_s16le", sample_rate: 16000, channels: 1 },
    language: "de",
    speakers: { exact: 2 },
  });
  assert.equal(client.state, "open");
});

test("sound given before the session stands is not lost, and no message is too big", () => {
  const { socket, client } = session();
  client.send(ramp(0, 9000));
  assert.deepEqual(socket().sound, []);
  socket().ready();
  assert.deepEqual(socket().sound, numbers(0, 9000));
  for (const part of socket().sent.slice(1)) assert.ok(part.byteLength <= 8000);
});

test("a socket that is closing is given nothing, and what was given meanwhile is sent by the next one", () => {
  const { socket, client, clock } = session();
  socket().ready();
  socket().readyState = 2;
  client.send(ramp(0, 3000));
  assert.deepEqual(socket().sound, []);
  socket().lose();
  clock.go(60_000);
  socket().ready({ resumed: true });
  assert.deepEqual(socket().sound, numbers(0, 3000));
});

test("after a lost connection the sound goes on where the server asks, and finals come once", () => {
  const { socket, client, clock, of } = session();
  socket().ready();
  client.send(ramp(0, 5000));
  socket().say("final", 1, { segment: { id: "a" } });
  socket().say("speakers", 2, { segments: {}, names: { 0: "Anna" } });
  socket().say("ack", 2, { samples: 2000 });
  socket().lose();
  assert.equal(client.state, "lost");
  client.send(ramp(5000, 1000));
  clock.go(0);
  socket().ready({ resumed: true, from_samples: 3000 });
  assert.deepEqual(socket().said[0].resume, { token: "t", have_revision: 2 });
  assert.deepEqual(socket().sound, numbers(3000, 6000));
  socket().say("final", 1, { segment: { id: "a" } });
  socket().say("speakers", 2, { segments: {}, names: { 0: "Anna" } });
  socket().say("final", 3, { segment: { id: "b" } });
  assert.deepEqual(of("final").map((it) => it.segment.id), ["a", "b"]);
  assert.equal(of("speakers").length, 1);
});

test("an acknowledgement never drops what was not sent on this connection", () => {
  const { socket, client, clock } = session();
  socket().ready();
  socket().bufferedAmount = 1e9;
  client.send(ramp(0, 1000));
  socket().say("ack", 0, { samples: 1000 });
  socket().bufferedAmount = 0;
  clock.go(50);
  assert.deepEqual(socket().sound, numbers(0, 1000));
});

test("what waits in the socket is bounded", () => {
  const { socket, client, clock } = session();
  socket().ready();
  socket().bufferedAmount = DEFAULT_RULES.socket_bytes;
  client.send(ramp(0, 100));
  assert.deepEqual(socket().sound, []);
  socket().bufferedAmount = 0;
  clock.go(DEFAULT_RULES.poll_ms);
  assert.deepEqual(socket().sound, numbers(0, 100));
});

test("a full buffer says how much it took; an ack makes room; room() waits for it", async () => {
  const { socket, client } = session({ keep_s: 1 });
  socket().ready();
  assert.equal(client.send(new Int16Array(20000)), 16000);
  let waited = false;
  const room = client.room(4000).then((value) => (waited = value));
  await Promise.resolve();
  assert.equal(waited, false);
  socket().say("ack", 0, { samples: 8000 });
  await room;
  assert.equal(waited, true);
  assert.equal(client.send(new Int16Array(4000)), 4000);
});

test("controls go behind their sound, and again after a resume until they are answered", () => {
  const { socket, client, clock } = session();
  socket().ready();
  client.send(ramp(0, 100));
  client.rename(1, "Bo");
  client.flush();
  client.stop();
  assert.equal(client.send(ramp(0, 5)), 0);
  assert.deepEqual(socket().sent.slice(1).map((it) => it.type ?? it.length), [100, "rename", "flush", "stop"]);
  socket().say("speakers", 1, { segments: {}, names: { 1: "Bo" } });
  socket().lose();
  clock.go(0);
  socket().ready({ resumed: true, from_samples: 50 });
  assert.deepEqual(socket().sent.slice(1).map((it) => it.type ?? it.length), [50, "flush", "stop"]);
  assert.equal(client.state, "stopping");
  socket().say("done", 1, { duration_s: 1, segments: 0, warnings: [] });
  assert.equal(client.state, "done");
  assert.ok(socket().closed);
});

test("tries again at once, then ever more slowly, up to a limit", () => {
  assert.equal(waitBefore(1, DEFAULT_RULES), 0);
  const waits = [2, 3, 4, 5, 6, 7, 20].map((it) => waitBefore(it, DEFAULT_RULES, () => 1));
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 10000, 10000]);
  const { socket, clock, client } = session();
  socket().ready();
  socket().lose();
  clock.go(0);
  socket().lose();
  assert.equal(Socket.all.length, 2);
  clock.go(400);
  assert.equal(Socket.all.length, 2);
  client.retryNow();
  assert.equal(Socket.all.length, 3);
  clock.go(1);
  assert.equal(Socket.all.length, 3);
});

test("a server that says nothing is given up, before and after it stands", () => {
  const { socket, clock, client } = session();
  clock.go(DEFAULT_RULES.answer_ms);
  assert.ok(Socket.all[0].closed);
  clock.go(0);
  socket().ready();
  clock.go(DEFAULT_RULES.silence_ms - 1);
  socket().say("heartbeat", 0);
  clock.go(DEFAULT_RULES.silence_ms - 1);
  assert.equal(client.state, "open");
  clock.go(1);
  assert.equal(client.state, "lost");
});

test("a refused connection is explained, and tried again when the server says", async () => {
  let full = { code: "overloaded", message: "it holds 2 sessions", retry_in_s: 10 };
  const { socket, client, clock, of } = session({}, {}, async () => full);
  socket().lose();
  await null;
  const { code, reason, retry_in_s, stood } = of("state").at(-1);
  assert.deepEqual({ code, reason, retry_in_s, stood }, { code: "overloaded", reason: "it holds 2 sessions", retry_in_s: 10, stood: false });
  clock.go(9_999);
  assert.equal(Socket.all.length, 1);
  clock.go(1);
  assert.equal(Socket.all.length, 2);
  assert.equal(of("state").at(-1).code, "overloaded");
  full = null;
  socket().lose();
  await null;
  assert.ok(of("state").at(-1).retry_in_s < 10);
  clock.go(10_000);
  socket().ready();
  assert.equal(client.state, "open");
  socket().lose(4005);
  assert.equal(of("state").at(-1).code, undefined);
});

test("a server that lets in and then has no room is full as well", () => {
  const { socket, of } = session();
  socket().onopen();
  socket().say("error", 0, { code: "overloaded", message: "it holds 2 sessions; try again later", fatal: true });
  socket().lose(4005, "overloaded");
  const { code, reason, stood } = of("state").at(-1);
  assert.deepEqual({ code, reason, stood }, { code: "overloaded", reason: "it holds 2 sessions; try again later", stood: false });
});

test("a full server is asked again when it says", () => {
  const { socket, clock, of } = session();
  socket().onopen();
  socket().say("error", 0, { code: "overloaded", message: "full", retry_after_s: 10, fatal: true });
  socket().lose(4005, "overloaded");
  assert.equal(of("state").at(-1).retry_in_s, 10);
  clock.go(9_999);
  assert.equal(Socket.all.length, 1);
  clock.go(1);
  assert.equal(Socket.all.length, 2);
});

test("goaway moves on at once", () => {
  const { socket, clock, client } = session();
  socket().ready();
  socket().say("goaway", 0, { reason: "drain", within_s: 5 });
  clock.go(0);
  assert.equal(Socket.all.length, 2);
  socket().ready({ resumed: true });
  assert.equal(client.state, "open");
});

test("events of a connection that was given up are not heard", () => {
  const { socket, clock, of } = session();
  const old = socket();
  old.ready();
  old.lose();
  clock.go(0);
  old.say("final", 1, { segment: { id: "ghost" } });
  old.lose();
  assert.equal(of("final").length, 0);
  assert.equal(Socket.all.length, 2);
});

for (const [code, name] of Object.entries(FATAL_CLOSES)) {
  test(`close ${code} ends it with ${name}`, () => {
    const { socket, client, of, clock } = session();
    socket().ready();
    socket().lose(Number(code), "why");
    assert.equal(client.state, "failed");
    assert.deepEqual(of("failed"), [{ code: name, message: "why" }]);
    clock.go(60000);
    assert.equal(Socket.all.length, 1);
  });
}

test("overload is tried again, a wrong option is not", () => {
  const busy = session();
  busy.socket().onopen();
  busy.socket().say("error", 0, { code: "overloaded", message: "full", fatal: true });
  busy.socket().lose(4005, "full");
  assert.equal(busy.client.state, "lost");
  const wrong = session();
  wrong.socket().onopen();
  wrong.socket().say("error", 0, { code: "option_invalid", message: "no such language", fatal: true });
  assert.deepEqual(wrong.of("failed"), [{ code: "option_invalid", message: "no such language" }]);
});

test("a server that cannot read the session's state is passed over", () => {
  const { socket, client, clock, of } = session();
  socket().ready();
  socket().lose();
  clock.go(0);
  socket().onopen();
  socket().say("error", 0, { code: "snapshot_invalid", message: "another build", fatal: true });
  socket().lose(1012, "snapshot_invalid");
  assert.equal(client.state, "lost");
  clock.go(60_000);
  socket().ready({ resumed: true });
  assert.equal(client.state, "open");
  assert.equal(of("failed").length, 0);
});

test("a server that forgot the session, or wants sound that is gone, ends it", () => {
  const forgot = session();
  forgot.socket().ready();
  forgot.socket().lose();
  forgot.clock.go(0);
  forgot.socket().ready({ resumed: false });
  assert.equal(forgot.of("failed")[0].code, "session_unknown");
  const gone = session();
  gone.socket().ready();
  gone.client.send(ramp(0, 100));
  gone.socket().say("ack", 0, { samples: 100 });
  gone.socket().lose();
  gone.clock.go(0);
  gone.socket().ready({ resumed: true, from_samples: 50 });
  assert.equal(gone.of("failed")[0].code, "sound_gone");
});

test("unknown events and fields do no harm; garbage ends it", () => {
  const { socket, client } = session();
  socket().ready({ later: 1 });
  socket().say("later", 7, {});
  assert.equal(client.state, "open");
  socket().onmessage({ data: "{" });
  assert.equal(client.state, "failed");
});
