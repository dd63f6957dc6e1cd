import assert from "node:assert/strict";
import { test } from "node:test";
import { level, Resampler, SoundBuffer, toInt16 } from "../../app/web/js/sound.js";

const ramp = (from, count) => Int16Array.from({ length: count }, (_, i) => from + i);

test("a buffer gives back what was added, wherever it is asked", () => {
  const buffer = new SoundBuffer(1000);
  assert.equal(buffer.add(ramp(0, 7)), 7);
  assert.equal(buffer.add(ramp(7, 5)), 5);
  for (let at = 0; at <= 12; at += 1) {
    for (let most = 0; most <= 13; most += 1) {
      assert.deepEqual(buffer.read(at, most), ramp(at, Math.min(most, 12 - at)));
    }
  }
});

test("what is dropped is gone, what is kept stays", () => {
  const buffer = new SoundBuffer(1000);
  for (let at = 0; at < 100; at += 10) buffer.add(ramp(at, 10));
  buffer.dropBefore(37);
  assert.deepEqual(buffer.read(37, 100), ramp(37, 63));
  assert.throws(() => buffer.read(36, 1), RangeError);
  assert.throws(() => buffer.read(101, 1), RangeError);
  buffer.dropBefore(5);
  assert.equal(buffer.start, 37);
  buffer.dropBefore(1e9);
  assert.deepEqual([buffer.start, buffer.end], [100, 100]);
});

test("a full buffer takes no more and loses nothing", () => {
  const buffer = new SoundBuffer(10);
  assert.equal(buffer.add(ramp(0, 8)), 8);
  assert.equal(buffer.add(ramp(8, 8)), 2);
  assert.equal(buffer.add(ramp(10, 1)), 0);
  assert.deepEqual(buffer.read(0, 99), ramp(0, 10));
  buffer.dropBefore(4);
  assert.equal(buffer.room, 4);
});

function resampled(fromHz, samples, cut) {
  const resampler = new Resampler(fromHz);
  const out = [];
  for (let at = 0; at < samples.length; at += cut) out.push(...resampler.push(samples.subarray(at, at + cut)));
  return [...out, ...resampler.flush()];
}

for (const rate of [8000, 16000, 44100, 48000]) {
  test(`${rate} Hz: a tone stays the tone, and the pieces do not matter`, () => {
    const seconds = 0.5;
    const tone = Float32Array.from({ length: rate * seconds }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / rate));
    const whole = resampled(rate, tone, tone.length);
    assert.deepEqual(resampled(rate, tone, 128), whole);
    assert.deepEqual(resampled(rate, tone, 777), whole);
    assert.ok(Math.abs(whole.length - 16000 * seconds) <= 1, `${whole.length} samples`);
    for (let i = 200; i < whole.length - 200; i += 1) {
      const ideal = 0.5 * Math.sin((2 * Math.PI * 1000 * i) / 16000);
      assert.ok(Math.abs(whole[i] - ideal) < 0.01, `sample ${i}: ${whole[i]} for ${ideal}`);
    }
  });
}

test("what 16 kHz cannot hold is taken out, not folded down", () => {
  const tone = Float32Array.from({ length: 24000 }, (_, i) => Math.sin((2 * Math.PI * 11000 * i) / 48000));
  assert.ok(Math.max(...resampled(48000, tone, 1024).slice(200, -200).map(Math.abs)) < 0.02);
});

test("loud samples are clipped, silence has no level", () => {
  assert.deepEqual(toInt16(Float32Array.of(-2, -1, 0, 1, 2)), Int16Array.of(-32767, -32767, 0, 32767, 32767));
  assert.equal(level(new Float32Array(100)), 0);
  assert.ok(level(new Float32Array(100).fill(0.9)) > 0.95);
});
