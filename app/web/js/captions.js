/**
 * Draws the transcript: paragraphs, lanes side by side where people talk at once, the tentative tail.
 * Only the last blocks are ever laid out again; what is above them stays untouched, so that hours stay smooth.
 */

import { blocksOf, clock } from "./transcript.js";
import { make, nameButton, setHue } from "./dom.js";

export class Captions {
  /** `onJump(time_s)` when a time is clicked, or null; `write(element, segment)` fills a segment in another way. */
  constructor(root, transcript, { onRename, onJump = null, write = null }) {
    this._root = root;
    this._transcript = transcript;
    this._onRename = onRename;
    this._onJump = onJump;
    this._writeSegment = write;
    this._blocks = [];
    this._held = null;
    root.addEventListener("focusout", () => setTimeout(() => this._release()));
  }

  /** Draws what `Transcript.take` says has changed. */
  draw({ from, names, tail }) {
    if (from === null && !tail) {
      if (names) this.renameAll();
      return;
    }
    if (this._root.querySelector(".name-field")) {
      this._held = Math.min(from ?? Infinity, this._held ?? Infinity); // a name is being typed: nothing moves under it
      return;
    }
    const finals = this._transcript.finals;
    let keep = this._blocks.length;
    const first = from === null ? Infinity : (finals[from]?.start ?? Infinity);
    while (keep > 0 && (this._blocks[keep - 1].tentative || this._blocks[keep - 1].start > first)) keep -= 1;
    keep = Math.max(0, keep - 2);
    const begins = this._blocks[keep]?.firstFinal ?? 0;
    const segments = finals.slice(begins).map((segment) => ({ segment, open: false }));
    for (const segment of this._transcript.partial) segments.push({ segment, open: true });
    this._replace(keep, this._layOut(segments, begins));
    if (names) this.renameAll();
  }

  /** Draws everything anew. */
  redraw() {
    this._replace(0, []);
    this.draw({ from: 0, names: true, tail: true });
  }

  _release() {
    if (this._held === null || this._root.querySelector(".name-field")) return;
    const from = this._held === Infinity ? null : this._held;
    this._held = null;
    this.draw({ from, names: true, tail: true });
  }

  renameAll() {
    for (const element of this._root.querySelectorAll("[data-name-of]")) {
      this._named(element, Number(element.dataset.nameOf));
    }
  }

  /** The element that shows the time, or null. */
  elementAt(time_s) {
    const block = this._blocks.find((it) => it.end > time_s) ?? this._blocks.at(-1);
    return block?.element ?? null;
  }

  /** Start of the block at the top of what is seen, in seconds. */
  timeAt(y) {
    let [low, high] = [0, this._blocks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this._blocks[middle].element.getBoundingClientRect().bottom > y) high = middle;
      else low = middle + 1;
    }
    return this._blocks[low]?.start ?? 0;
  }

  _layOut(entries, begins) {
    entries.sort((a, b) => a.segment.start - b.segment.start || a.segment.speaker - b.segment.speaker);
    const open = new Set(entries.filter((it) => it.open).map((it) => it.segment));
    const blocks = blocksOf(entries.map((it) => it.segment));
    let index = begins;
    for (const block of blocks) {
      const segments = block.lanes.flatMap((lane) => lane.segments);
      block.open = open;
      block.tentative = segments.some((segment) => open.has(segment));
      block.firstFinal = index;
      index += segments.filter((segment) => !open.has(segment)).length;
      block.shape = block.lanes.map((lane) => lane.speaker).join();
      block.signature = block.lanes
        .map((lane) => `${lane.speaker}:${lane.segments.map((it) => `${it.id} ${open.has(it) ? it.text : ""}`)}`)
        .join("|");
    }
    return blocks;
  }

  /** Puts `blocks` in the place of all from number `keep` on; elements of unchanged blocks stay. */
  _replace(keep, blocks) {
    const old = this._blocks.splice(keep);
    const bySignature = new Map(old.map((block) => [block.signature, block]));
    const wanted = new Set(blocks.map((block) => block.signature));
    const changed = old.filter((block) => !wanted.has(block.signature));
    const used = new Set();
    for (const block of blocks) {
      const same = bySignature.get(block.signature);
      if (same && !used.has(same.element)) block.element = same.element;
      else block.element = this._updated(changed, block) ?? this._element(block);
      used.add(block.element);
    }
    for (const block of old) if (!used.has(block.element)) block.element.remove();
    let before = this._blocks.at(-1)?.element ?? null;
    for (const block of blocks) {
      const place = before ? before.nextSibling : this._root.firstChild;
      if (place !== block.element) this._root.insertBefore(block.element, place);
      before = block.element;
    }
    this._blocks.push(...blocks);
  }

  /** Writes into the element of a block of the same speakers: what is being clicked there stays where it is. */
  _updated(changed, block) {
    const at = changed.findIndex((it) => it.shape === block.shape);
    if (at < 0) return null;
    const { element } = changed.splice(at, 1)[0];
    const lanes = element.querySelectorAll(".lane");
    block.lanes.forEach((lane, index) => {
      lanes[index].querySelector(".time").textContent = clock(lane.segments[0].start);
      this._write(lanes[index].querySelector(".text"), block, lane);
    });
    return element;
  }

  _write(text, block, lane) {
    text.replaceChildren(...lane.segments.flatMap((it) => [this._segment(it, block.open.has(it)), " "]));
  }

  _element(block) {
    const lanes = block.lanes.map((lane) => this._lane(block, lane));
    const together = lanes.length > 1;
    const element = make("section", { class: together ? "block together" : "block" });
    if (together) {
      const names = make("p", { class: "together-label" }, "At the same time");
      element.append(names, make("div", { class: "lanes" }, ...lanes));
    } else element.append(...lanes);
    return element;
  }

  _lane(block, lane) {
    const name = nameButton(lane.speaker, this._transcript, this._onRename);
    const start = lane.segments[0].start;
    const time = this._onJump
      ? make("button", { class: "time", type: "button", title: "Listen from here" }, clock(start))
      : make("span", { class: "time" }, clock(start));
    if (this._onJump) time.addEventListener("click", () => this._onJump(lane.segments[0].start));
    const text = make("p", { class: "text" });
    this._write(text, block, lane);
    const element = make("article", { class: "lane" }, make("header", {}, name, time), text);
    setHue(element, lane.speaker);
    return element;
  }

  _segment(segment, open) {
    const element = make("span", { class: open ? "segment open" : "segment" });
    if (this._writeSegment) this._writeSegment(element, segment);
    else element.textContent = segment.text;
    element.dataset.id = segment.id;
    if (open) element.title = "Still being written";
    return element;
  }

  _named(element, speaker) {
    const shown = this._transcript.name(speaker);
    if (element.textContent !== shown) element.textContent = shown;
  }
}
