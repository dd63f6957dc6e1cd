/** Runs on the audio thread: hands the microphone's samples over in pieces of about 40 ms, mixed to one channel. */
const PIECE = 2048;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._piece = new Float32Array(PIECE);
    this._filled = 0;
  }

  process([channels]) {
    const length = channels[0]?.length ?? 0;
    for (let i = 0; i < length; i += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this._piece[this._filled] = sum / channels.length;
      this._filled += 1;
      if (this._filled === PIECE) {
        this.port.postMessage(this._piece, [this._piece.buffer]);
        this._piece = new Float32Array(PIECE);
        this._filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
