/**
 * The transcript as the page knows it, from the events of a session or a viewer. Pure: no DOM.
 *
 * Finals are kept sorted by (start, speaker); a `partial` replaces the whole tentative tail.
 */

export class Transcript {
  constructor() {
    this.finals = [];
    this.partial = [];
    this.names = new Map();
    this._byId = new Map();
    this._talk = new Map();
    this.duration_s = 0;
  }

  /** Takes an event; returns what changed: {from: index of the first changed final | null, names, tail}. */
  take(event) {
    switch (event.type) {
      case "final":
        return this._final(event.segment);
      case "partial":
        this.partial = event.segments;
        for (const segment of event.segments) this._reach(segment.end);
        return { from: null, tail: true };
      case "speakers":
        return this._speakers(event);
      case "snapshot":
        return this._snapshot(event);
      case "done":
        this._reach(event.duration_s ?? 0);
        this.partial = [];
        return { from: null, tail: true };
      default:
        return { from: null };
    }
  }

  /** The name to show. */
  name(speaker) {
    return this.names.get(speaker) || `Speaker ${speaker + 1}`;
  }

  /** Everyone who is heard or named, ascending. */
  speakers() {
    const heard = new Set(this._talk.keys());
    for (const segment of this.partial) heard.add(segment.speaker);
    return [...heard].sort((a, b) => a - b);
  }

  /** Seconds that a speaker has spoken in final segments. */
  talk_s(speaker) {
    return this._talk.get(speaker) ?? 0;
  }

  /** Index of the first final that ends after `time_s`; the last one when none does, -1 when there is none. */
  indexAt(time_s) {
    const found = this.finals.findIndex((segment) => segment.end > time_s);
    return found < 0 ? this.finals.length - 1 : found;
  }

  _final(segment) {
    if (this._byId.has(segment.id)) return { from: null };
    let index = this.finals.length;
    while (index > 0 && after(this.finals[index - 1], segment)) index -= 1;
    this.finals.splice(index, 0, segment);
    this._byId.set(segment.id, segment);
    this._spoke(segment.speaker, segment.end - segment.start);
    this._reach(segment.end);
    return { from: index, tail: true, added: segment };
  }

  _speakers(event) {
    let from = null;
    for (const [id, speaker] of Object.entries(event.segments ?? {})) {
      const segment = this._byId.get(id);
      if (!segment || segment.speaker === speaker) continue;
      this._spoke(segment.speaker, segment.start - segment.end);
      segment.speaker = speaker;
      this._spoke(speaker, segment.end - segment.start);
      const index = this.finals.indexOf(segment);
      from = from === null ? index : Math.min(from, index);
    }
    for (const [speaker, name] of Object.entries(event.names ?? {})) this.names.set(Number(speaker), name);
    return { from, names: true, tail: from !== null };
  }

  _snapshot(event) {
    this.finals = [...event.segments].sort((a, b) => a.start - b.start || a.speaker - b.speaker);
    this.partial = [];
    this.names = new Map(Object.entries(event.names).map(([speaker, name]) => [Number(speaker), name]));
    this._byId = new Map(this.finals.map((segment) => [segment.id, segment]));
    this._talk = new Map();
    for (const segment of this.finals) {
      this._spoke(segment.speaker, segment.end - segment.start);
      this._reach(segment.end);
    }
    return { from: 0, names: true, tail: true };
  }

  _spoke(speaker, seconds) {
    const sum = (this._talk.get(speaker) ?? 0) + seconds;
    if (sum > 1e-6) this._talk.set(speaker, sum);
    else this._talk.delete(speaker);
  }

  _reach(time_s) {
    this.duration_s = Math.max(this.duration_s, time_s);
  }
}

const GAP_S = 4;
const PARAGRAPH_CHARACTERS = 700;
const SHARED_S = 0.15;

/**
 * Segments (sorted) -> blocks of the page, by a left fold, so that it can begin again at any block's start.
 * A block is one speaker's paragraph, or several speakers at the same time: one lane each, side by side.
 */
export function blocksOf(segments) {
  const blocks = [];
  for (const segment of segments) {
    const last = blocks.at(-1);
    if (last && overlaps(last, segment)) blocks.push(extend(split(blocks, segment), segment));
    else if (last && continues(last, segment)) extend(last, segment);
    else blocks.push(extend(empty(segment), segment));
  }
  return blocks;
}

const empty = (segment) => ({ start: segment.start, end: 0, characters: 0, lanes: [] });

/** Takes the last block off, without the part of a paragraph that was over before `segment`, which stays behind. */
function split(blocks, segment) {
  const last = blocks.pop();
  if (last.lanes.length > 1) return last;
  const { segments } = last.lanes[0];
  const cut = segments.findIndex((it) => shared(it, segment) > SHARED_S);
  const rest = segments.slice(cut);
  if (cut > 0) blocks.push(segments.slice(0, cut).reduce(extend, empty(segments[0])));
  return rest.reduce(extend, empty(rest[0]));
}

function extend(block, segment) {
  const lane = block.lanes.find((it) => it.speaker === segment.speaker);
  if (lane) lane.segments.push(segment);
  else block.lanes.push({ speaker: segment.speaker, segments: [segment] });
  block.end = Math.max(block.end, segment.end);
  block.characters += segment.text.length;
  return block;
}

function overlaps(block, segment) {
  return block.lanes.some(
    (lane) => lane.speaker !== segment.speaker && lane.segments.some((it) => shared(it, segment) > SHARED_S),
  );
}

function continues(block, segment) {
  return (
    block.lanes.length === 1 &&
    block.lanes[0].speaker === segment.speaker &&
    segment.start - block.end < GAP_S &&
    block.characters < PARAGRAPH_CHARACTERS
  );
}

function shared(a, b) {
  return Math.min(a.end, b.end) - Math.max(a.start, b.start);
}

function after(a, b) {
  return a.start > b.start || (a.start === b.start && a.speaker > b.speaker);
}

/** Seconds as a clock: 0:07, 12:03, 1:02:03. */
export function clock(time_s) {
  const total = Math.max(0, Math.floor(time_s));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** Seconds in words, for people who listen: "12 minutes 3 seconds". */
export function spoken(time_s) {
  const total = Math.max(0, Math.floor(time_s));
  const minutes = Math.floor(total / 60);
  const seconds = `${total % 60} second${total % 60 === 1 ? "" : "s"}`;
  return minutes ? `${minutes} minute${minutes === 1 ? "" : "s"} ${seconds}` : seconds;
}
