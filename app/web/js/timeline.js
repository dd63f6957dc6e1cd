/**
 * Who spoke when, as lanes on a canvas: the whole session in the width that there is. A slider for the keyboard:
 * arrow keys go from segment to segment, Home and End to the ends.
 */

import { clock, spoken } from "./transcript.js";

const LANE_PX = 14;
const GAP_PX = 4;
const AXIS_PX = 18;

const PAUSE_S = 0.5;

/** Who speaks from when to when, without the cuts of a monologue into segments: {speaker, start, end}. */
export function stretches(segments) {
  const found = [];
  const last = new Map();
  for (const { speaker, start, end } of segments) {
    const open = last.get(speaker);
    if (open && start - open.end < PAUSE_S) open.end = Math.max(open.end, end);
    else {
      found.push({ speaker, start, end });
      last.set(speaker, found[found.length - 1]);
    }
  }
  return found;
}

export class Timeline {
  /** `onJump(time_s)` when a place is chosen. */
  constructor(canvas, transcript, { onJump, label = "Timeline", least_s = 30 }) {
    this._canvas = canvas;
    this._transcript = transcript;
    this._onJump = onJump;
    this._least_s = least_s;
    this._drawn = false;
    this.position_s = 0;
    canvas.setAttribute("role", "slider");
    canvas.setAttribute("tabindex", "0");
    canvas.setAttribute("aria-label", label);
    canvas.setAttribute("aria-valuemin", "0");
    canvas.addEventListener("click", (event) => this._jump(this._timeOf(event.offsetX)));
    canvas.addEventListener("keydown", (event) => this._key(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  /** Draws in the next frame; calls in between are one. */
  draw() {
    if (this._drawn) return;
    this._drawn = true;
    requestAnimationFrame(() => {
      this._drawn = false;
      this._paint();
    });
  }

  get _span() {
    return Math.max(this._least_s, this._transcript.duration_s);
  }

  _timeOf(x) {
    return (x / this._canvas.clientWidth) * this._span;
  }

  _jump(time_s) {
    this.position_s = Math.min(Math.max(0, time_s), this._transcript.duration_s);
    this._onJump(this.position_s);
    this.draw();
  }

  _key(event) {
    const { finals, duration_s: end } = this._transcript;
    const starts = finals.map((segment) => segment.start);
    const here = this.position_s;
    const to = {
      ArrowRight: () => starts.find((start) => start > here + 0.01) ?? end,
      ArrowLeft: () => starts.findLast((start) => start < here - 0.01) ?? 0,
      Home: () => 0,
      End: () => end,
      PageUp: () => here + 60,
      PageDown: () => here - 60,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    this._jump(to());
  }

  _paint() {
    const speakers = this._transcript.speakers();
    const canvas = this._canvas;
    const width = canvas.clientWidth;
    const height = Math.max(1, speakers.length) * (LANE_PX + GAP_PX) + AXIS_PX;
    const ratio = devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    if (width === 0) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const scale = width / this._span;
    this._lanes(pen, style, width, speakers);
    this._segments(pen, style, scale, speakers);
    this._axis(pen, style, width, height, scale);
    canvas.setAttribute("aria-valuemax", String(Math.round(this._transcript.duration_s)));
    canvas.setAttribute("aria-valuenow", String(Math.round(this.position_s)));
    canvas.setAttribute("aria-valuetext", this._spoken());
  }

  _lanes(pen, style, width, speakers) {
    pen.fillStyle = style.getPropertyValue("--lane");
    for (let row = 0; row < Math.max(1, speakers.length); row += 1) {
      rounded(pen, 0, row * (LANE_PX + GAP_PX), width, LANE_PX, 4);
    }
  }

  _segments(pen, style, scale, speakers) {
    const row = new Map(speakers.map((speaker, index) => [speaker, index]));
    const paint = (segment, alpha) => {
      pen.globalAlpha = alpha;
      pen.fillStyle = style.getPropertyValue(`--speaker-${segment.speaker % 8}`);
      const y = row.get(segment.speaker) * (LANE_PX + GAP_PX);
      rounded(pen, segment.start * scale, y, Math.max(2, (segment.end - segment.start) * scale - 0.5), LANE_PX, 3);
    };
    for (const stretch of stretches(this._transcript.finals)) paint(stretch, 1);
    for (const segment of this._transcript.partial) paint(segment, 0.45);
    pen.globalAlpha = 1;
  }

  _axis(pen, style, width, height, scale) {
    pen.fillStyle = style.getPropertyValue("--muted");
    pen.font = `11px ${style.fontFamily}`;
    pen.textBaseline = "bottom";
    const step = [5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200].find((s) => s * scale >= 64) ?? 14400;
    for (let time = 0; time * scale < width - 24; time += step) pen.fillText(clock(time), time * scale, height);
    pen.fillStyle = style.getPropertyValue("--text");
    const x = Math.min(width - 2, this.position_s * scale);
    pen.fillRect(x, 0, 2, height - AXIS_PX);
  }

  _spoken() {
    const segment = this._transcript.finals[this._transcript.indexAt(this.position_s)];
    const who = segment ? `, ${this._transcript.name(segment.speaker)}` : "";
    return spoken(this.position_s) + who;
  }
}

function rounded(pen, x, y, width, height, radius) {
  pen.beginPath();
  pen.roundRect(x, y, width, height, Math.min(radius, width / 2));
  pen.fill();
}
