/** Where the sound comes from: the microphone or a file. Both hand out Int16Array pieces at 16 kHz, mono. */

import { level, RATE_HZ, Resampler, toInt16 } from "./sound.js";

/** What went wrong with a source, in words for the reader. */
export class SourceProblem extends Error {}

/** The microphone, as raw samples from the audio thread (an AudioWorklet). */
export class Microphone {
  /** `onSound(int16)`, `onLevel(0..1)`, `onEnded(message)` when the device goes away. */
  constructor({ onSound, onLevel, onEnded }) {
    this._on = { onSound, onLevel, onEnded };
    this.muted = false;
  }

  /** Asks for the device. Throws SourceProblem. */
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new SourceProblem("The browser gives the microphone to secure pages only: use https, or open this page on localhost.");
    }
    try {
      const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
      this._stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new SourceProblem(microphoneProblem(error));
    }
  }

  /** Begins to hand out sound. */
  async start() {
    const context = new AudioContext({ latencyHint: "interactive" });
    this._context = context;
    await context.audioWorklet.addModule(new URL("./capture-worklet.js", import.meta.url));
    await context.resume();
    const resampler = new Resampler(context.sampleRate);
    const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => {
      const samples = this.muted ? data.fill(0) : data;
      this._on.onLevel(level(samples));
      this._on.onSound(toInt16(resampler.push(samples)));
    };
    context.createMediaStreamSource(this._stream).connect(node);
    for (const track of this._stream.getTracks()) {
      track.onended = () => this._on.onEnded("The microphone was disconnected.");
    }
  }

  async close() {
    for (const track of this._stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    if (this._context && this._context.state !== "closed") await this._context.close();
  }
}

function microphoneProblem(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use the microphone. Allow it for this page and try again.";
  if (error.name === "NotFoundError") return "No microphone was found. Connect one, or drop a recording here instead.";
  if (error.name === "NotReadableError") return "Another program is using the microphone.";
  return `The microphone could not be opened: ${error.message}`;
}

/** A recording, decoded by the browser. */
export class SoundFile {
  /** Reads and decodes. Throws SourceProblem. */
  static async open(file) {
    const bytes = await file.arrayBuffer();
    if (bytes.byteLength === 0) throw new SourceProblem(`${file.name} is empty.`);
    let decoded;
    try {
      decoded = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(bytes);
    } catch {
      throw new SourceProblem(`${file.name} is not a recording that this browser can read.`);
    }
    return new SoundFile(mono(decoded));
  }

  constructor(samples) {
    this.samples = samples;
    this.duration_s = samples.length / RATE_HZ;
    this._stopped = false;
  }

  /**
   * Hands everything to `client`, in real time or as fast as it is taken. Resolves when all is given or `close` is called.
   */
  async play(client, { fast, onLevel }) {
    const piece = RATE_HZ / 10;
    const began = performance.now();
    for (let at = 0; at < this.samples.length && !this._stopped; at += piece) {
      const part = this.samples.subarray(at, at + piece);
      if (!(await client.room(part.length, fast ? 5 : Infinity))) return;
      client.send(toInt16(part));
      onLevel(level(part));
      const due_ms = fast ? 0 : began + ((at + piece) / RATE_HZ) * 1000 - performance.now();
      if (due_ms > 0 || at % (50 * piece) === 0) await new Promise((resolve) => setTimeout(resolve, Math.max(0, due_ms)));
    }
  }

  close() {
    this._stopped = true;
  }
}

function mono(decoded) {
  if (decoded.numberOfChannels === 1) return decoded.getChannelData(0);
  const sum = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
    const samples = decoded.getChannelData(channel);
    for (let i = 0; i < sum.length; i += 1) sum[i] += samples[i] / decoded.numberOfChannels;
  }
  return sum;
}
