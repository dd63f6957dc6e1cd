import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, clock, spoken, Transcript } from "../../app/web/js/transcript.js";
import { toJson, toTxt, toVtt } from "../../app/web/js/formats.js";
import { CODES, LANGUAGES } from "../../app/web/js/languages.js";
import { describe as words } from "../../app/web/js/words.js";
import { stretches } from "../../app/web/js/timeline.js";

const segment = (id, speaker, start, end, text = id) => {
  const parts = text.split(" ");
  const step = (end - start) / parts.length;
  const timed = parts.map((it, i) => ({ text: it, start: start + i * step, end: start + (i + 1) * step, confidence: 0.9 }));
  return { id, speaker, start, end, text, words: timed, flags: [], overlaps: false };
};
const final = (...args) => ({ type: "final", revision: 1, segment: segment(...args) });
const shape = (blocks) => blocks.map((block) => block.lanes.map((lane) => `${lane.speaker}:${lane.segments.map((it) => it.id)}`).join(" | "));

test("finals are sorted by start, each once", () => {
  const transcript = new Transcript();
  for (const args of [["b", 1, 2, 3], ["a", 0, 0, 1], ["c", 0, 2, 4], ["a", 0, 0, 1]]) transcript.take(final(...args));
  assert.deepEqual(transcript.finals.map((it) => it.id), ["a", "c", "b"]);
  assert.equal(transcript.talk_s(0), 3);
});

test("a change of speaker is told from where it begins; names can be taken back", () => {
  const transcript = new Transcript();
  for (const [i, id] of ["a", "b", "c"].entries()) transcript.take(final(id, 0, i, i + 1));
  const change = transcript.take({ type: "speakers", segments: { c: 1, b: 1, unknown: 3 }, names: { 1: "Anna" } });
  assert.deepEqual([change.from, change.names], [1, true]);
  assert.deepEqual([transcript.name(1), transcript.talk_s(0), transcript.talk_s(1)], ["Anna", 1, 2]);
  transcript.take({ type: "speakers", segments: {}, names: { 1: "" } });
  assert.equal(transcript.name(1), "Speaker 2");
});

test("a snapshot replaces everything", () => {
  const transcript = new Transcript();
  transcript.take(final("old", 0, 0, 1));
  transcript.take({ type: "snapshot", segments: [segment("x", 2, 5, 6), segment("w", 1, 1, 2)], names: { 2: "Bo" } });
  assert.deepEqual(transcript.finals.map((it) => it.id), ["w", "x"]);
  assert.deepEqual([transcript.speakers(), transcript.name(2), transcript.duration_s], [[1, 2], "Bo", 6]);
});

test("one speaker's sentences are a paragraph, a long silence ends it", () => {
  assert.deepEqual(shape(blocksOf([segment("a", 0, 0, 1), segment("b", 0, 2, 3), segment("c", 0, 9, 10), segment("d", 1, 10, 11)])), ["0:a,b", "0:c", "1:d"]);
});

test("people who talk at once stand side by side, without what was said before", () => {
  const said = [segment("a", 0, 0, 2), segment("b", 0, 2, 6), segment("c", 1, 3, 4), segment("d", 0, 6, 8), segment("e", 1, 7, 9)];
  assert.deepEqual(shape(blocksOf(said)), ["0:a", "0:b | 1:c", "0:d | 1:e"]);
  assert.deepEqual(shape(blocksOf([segment("a", 0, 0, 2), segment("b", 1, 1.9, 3)])), ["0:a", "1:b"], "a touch is no overlap");
});

test("blocks can be laid out again from any block on", () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  let at = 0;
  const said = Array.from({ length: 300 }, (_, i) => {
    at += random() * 3;
    return segment(`s${i}`, Math.floor(random() * 3), at, at + 0.5 + random() * 5, "x".repeat(1 + Math.floor(random() * 150)));
  });
  const whole = blocksOf(said);
  let from = 0;
  for (const [i, block] of whole.entries()) {
    assert.deepEqual(shape(blocksOf(said.slice(from))), shape(whole.slice(i)));
    from += block.lanes.reduce((sum, lane) => sum + lane.segments.length, 0);
  }
  assert.equal(from, said.length);
});

test("clocks and words", () => {
  assert.deepEqual([7, 723, 3723].map(clock), ["0:07", "12:03", "1:02:03"]);
  assert.deepEqual([1, 723].map(spoken), ["1 second", "12 minutes 3 seconds"]);
  assert.equal(words({ state: "open", lag_s: 4.2 }).text, "Captions are 4 s behind");
  assert.match(words({ state: "lost", reason: "" }).text, /Your sound is kept/);
  assert.match(words({ state: "lost", reason: "full", stood: false }).text, /^No session yet \(full\)/);
  assert.equal(words({ state: "failed", code: "unheard_of", message: "because" }).text, "Stopped: because");
});

test("a full server is said to be full, and when it is asked again", () => {
  const full = { state: "lost", code: "overloaded", reason: "it holds 2 sessions", stood: false, retry_in_s: 10 };
  assert.equal(words(full).text, "The server is full (it holds 2 sessions). Trying again in 10 s. Your sound is kept.");
  assert.match(words({ ...full, code: "not_ready", reason: "" }).text, /^The server is not ready. Trying again in 10 s/);
});

test("a long end says how much there is to go", () => {
  assert.equal(words({ state: "stopping", lag_s: 0, unsent_s: 0.3 }).text, "Writing the last words…");
  assert.equal(words({ state: "stopping", lag_s: 20.2, unsent_s: 5 }).text, "Writing the last words: 25 s of sound to go");
});

test("sound that is lost is said while it is, whatever else there is to say", () => {
  for (const state of ["open", "lost", "connecting"]) {
    assert.match(words({ state, losing: true, lost_s: 12.4, lag_s: 9 }).text, /what is said now is lost \(12 s so far\)$/);
    assert.equal(words({ state, losing: true, lost_s: 12.4 }).tone, "bad");
  }
  assert.equal(words({ state: "open", losing: false, lost_s: 12.4 }).text, "Listening");
});

function meeting() {
  const transcript = new Transcript();
  transcript.take(final("a", 0, 0.0004, 2.04, "Shall we start?"));
  transcript.take(final("b", 1, 1.5, 3, "A <b> & c"));
  transcript.take({ type: "speakers", segments: {}, names: { 0: "Maya\n<i>" } });
  return transcript;
}

test("text for people", () => {
  assert.equal(toTxt(meeting()), "[0:00:00.0 - 0:00:02.0] Maya <i>: Shall we start?\n[0:00:01.5 - 0:00:03.0] Speaker 2: A <b> & c\n");
});

test("pieces of one speech are one paragraph, and one row of cues", () => {
  const it = new Transcript();
  for (const [id, speaker, start, end, text] of [["a", 0, 0, 2, "We saw"], ["b", 1, 1, 2, "Yes."], ["c", 0, 2.1, 3, "the sea."], ["d", 0, 3.9, 5, "Then?"]]) {
    it.take(final(id, speaker, start, end, text));
  }
  assert.deepEqual(toTxt(it).split("\n").map((line) => line.slice(24)), ["Speaker 1: We saw the sea.", "Speaker 2: Yes.", "Speaker 1: Then?", ""]);
  assert.match(toVtt(it), /00:00:00.000 --> 00:00:03.000\n<v Speaker 1>We saw the sea.<\/v>/);
  assert.equal(JSON.parse(toJson(it)).segments.length, 4);
});

test("subtitles are escaped, and long speech is cut", () => {
  assert.equal(
    toVtt(meeting()),
    "WEBVTT\n\n00:00:00.000 --> 00:00:02.040\n<v Maya &lt;i&gt;>Shall we start?</v>\n\n00:00:01.500 --> 00:00:03.000\n<v Speaker 2>A &lt;b&gt; &amp; c</v>\n",
  );
  const long = new Transcript();
  long.take(final("a", 0, 0, 60, "word ".repeat(100).trim()));
  assert.ok(toVtt(long).split("\n").every((line) => line.replace(/<[^>]*>/g, "").length <= 84));
});

test("json names who overlaps", () => {
  const value = JSON.parse(toJson(meeting()));
  assert.deepEqual(value.segments.map((it) => it.overlaps_with), [["b"], ["a"]]);
  assert.deepEqual(value.speakers.map((it) => it.named), [true, false]);
});

test("every language has a name", () => {
  assert.equal(LANGUAGES.length, CODES.length);
  for (const [code, name] of LANGUAGES) assert.ok(name && (name !== code || code.length > 2), code);
});

test("a monologue in pieces is one stretch of the timeline, a pause ends it", () => {
  const said = (speaker, start, end) => ({ speaker, start, end });
  const found = stretches([said(0, 0, 1.5), said(1, 1, 1.2), said(0, 1.9, 3), said(0, 3.6, 4)]);
  assert.deepEqual(found, [said(0, 0, 3), said(1, 1, 1.2), said(0, 3.6, 4)]);
});
