/**
 * Sound on its way to the server: a buffer for what may have to be sent again, and a converter to 16 kHz.
 * Pure: no DOM, no audio API, no clock.
 */

export const RATE_HZ = 16000;
export const SAMPLE_BYTES = 2;

/** 16-bit samples that are not acknowledged yet. Positions are samples at 16 kHz since the session's first. */
export class SoundBuffer {
  /** @param {number} limitSamples most samples that are kept; beyond them `add` takes no more. */
  constructor(limitSamples) {
    this._limit = limitSamples;
    this._chunks = [];
    this._first = 0;
    this.start = 0;
    this.end = 0;
  }

  /** Samples that may be added now. */
  get room() {
    return Math.max(0, this._limit - (this.end - this.start));
  }

  /** Takes as much as fits, and says how many samples that was. Nothing that is kept is ever pushed out. */
  add(samples) {
    const count = Math.min(samples.length, this.room);
    if (count > 0) {
      this._chunks.push(count === samples.length ? samples : samples.slice(0, count));
      this.end += count;
    }
    return count;
  }

  /** Forgets what lies before `position`. */
  dropBefore(position) {
    this.start = Math.min(Math.max(position, this.start), this.end);
    let gone = 0;
    while (gone < this._chunks.length && this._first + this._chunks[gone].length <= this.start) {
      this._first += this._chunks[gone].length;
      gone += 1;
    }
    this._chunks.splice(0, gone);
  }

  /** At most `most` samples from `position` on. Throws RangeError for what is not kept. */
  read(position, most) {
    if (position < this.start || position > this.end) {
      throw new RangeError(`sample ${position} is outside ${this.start}..${this.end}`);
    }
    const out = new Int16Array(Math.min(most, this.end - position));
    let filled = 0;
    let at = this._first;
    for (const chunk of this._chunks) {
      if (filled === out.length) break;
      const from = position + filled - at;
      if (from < chunk.length) {
        const part = chunk.subarray(from, from + out.length - filled);
        out.set(part, filled);
        filled += part.length;
      }
      at += chunk.length;
    }
    return out;
  }
}

/** Float samples in [-1, 1] as 16-bit integers; what is louder is clipped. */
export function toInt16(samples) {
  const out = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    out[i] = Math.round(Math.min(1, Math.max(-1, samples[i])) * 32767);
  }
  return out;
}

/** Loudness of samples in [-1, 1] as a share of a meter, 0 (below -60 dB) to 1. */
export function level(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.min(1, Math.max(0, (decibels + 60) / 60));
}

const ZERO_CROSSINGS = 16;

/**
 * Any rate -> 16 kHz, piece by piece: windowed-sinc interpolation (Hann), low-passed below the lower Nyquist rate.
 * The result does not depend on how the sound is cut into pieces.
 */
export class Resampler {
  constructor(fromHz) {
    this._step = fromHz / RATE_HZ;
    this._cutoff = Math.min(1, 1 / this._step) * 0.95;
    this._half = Math.ceil(ZERO_CROSSINGS / this._cutoff);
    this._kept = new Float32Array(this._half);
    this._keptStart = -this._half;
    this._written = 0;
  }

  /** The samples that this piece completes. */
  push(samples) {
    if (this._step === 1) return Float32Array.from(samples);
    const kept = new Float32Array(this._kept.length + samples.length);
    kept.set(this._kept);
    kept.set(samples, this._kept.length);
    this._kept = kept;
    return this._drain(this._keptStart + kept.length - this._half);
  }

  /** The tail, when the sound has ended. */
  flush() {
    if (this._step === 1) return new Float32Array(0);
    const end = this._keptStart + this._kept.length;
    const padded = new Float32Array(this._kept.length + this._half + 1);
    padded.set(this._kept);
    this._kept = padded;
    return this._drain(end);
  }

  _drain(before) {
    const out = [];
    for (let centre = this._written * this._step; centre < before; centre = this._written * this._step) {
      out.push(this._at(centre));
      this._written += 1;
    }
    const first = Math.max(0, Math.floor(this._written * this._step) - this._half - this._keptStart);
    this._kept = this._kept.slice(first);
    this._keptStart += first;
    return Float32Array.from(out);
  }

  _at(centre) {
    const from = Math.ceil(centre - this._half);
    const to = Math.floor(centre + this._half);
    let sum = 0;
    for (let i = from; i <= to; i += 1) {
      const x = i - centre;
      const phase = Math.PI * this._cutoff * x;
      const sinc = Math.abs(phase) < 1e-9 ? 1 : Math.sin(phase) / phase;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this._half + 1));
      sum += (this._kept[i - this._keptStart] ?? 0) * sinc * window;
    }
    return sum * this._cutoff;
  }
}
