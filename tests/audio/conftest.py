"""Media made on the spot: what the tests of app/audio read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from app.audio import AudioLimits, Recording, open_recording

Array = NDArray[np.float32]
PULSE_S = 0.002


class Media:
    """Writes files into a folder. Arrays are (channels, samples) float32."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def encode(
        self, name: str, codec: str, sound: Array, rate: int = 48_000, *, bit_rate: int | None = 64_000, **options: str
    ) -> Path:
        """By FFmpeg; the container follows from the name."""
        path = self.folder / name
        layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[len(sound)]
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=rate, layout=layout)
            if bit_rate:
                stream.bit_rate = bit_rate
            stream.codec_context.open(strict=False)
            resampler = av.AudioResampler(stream.format.name, layout, rate, stream.codec_context.frame_size or 1024)
            packed = np.ascontiguousarray(sound.T).reshape(1, -1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            frames = [*resampler.resample(frame), *resampler.resample(None)]
            for packet in [p for f in (*frames, None) for p in stream.encode(f)]:
                container.mux(packet)
        return path

    def write(self, name: str, sound: Array, rate: int = 16_000, subtype: str = "PCM_16", form: str = "WAV") -> Path:
        """By libsndfile, an implementation that shares nothing with FFmpeg."""
        path = self.folder / name
        soundfile.write(path, sound.T, rate, subtype=subtype, format=form)
        return path

    def video(self, name: str, sound: Array | None, *, delay_s: int = 0, seconds: int = 4) -> Path:
        """A small moving picture with the sound at 48 kHz mono, which starts `delay_s` later."""
        path = self.folder / name
        rng = np.random.default_rng(0)
        with av.open(str(path), "w", options={"movflags": "faststart"} if name.endswith("mp4") else {}) as container:
            picture = container.add_stream("mpeg4", rate=25)
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
            audio = container.add_stream("aac", rate=48_000, layout="mono") if sound is not None else None
            for index in range(25 * seconds):
                image = av.VideoFrame.from_ndarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8), "rgb24")
                image.pts, image.time_base = index, Fraction(1, 25)
                container.mux(picture.encode(image))
                if audio is not None and index >= 25 * delay_s:
                    piece = np.ascontiguousarray(sound[:1, index * 1920 : (index + 1) * 1920])
                    frame = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
                    frame.sample_rate, frame.pts, frame.time_base = 48_000, index * 1920, Fraction(1, 48_000)
                    container.mux(audio.encode(frame))
            for stream in (picture, audio):
                if stream is not None:
                    container.mux(stream.encode(None))
        return path

    def raw(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(tmp_path)


def make_pulses(times_s: list[float], seconds: float, rate: int = 48_000) -> Array:
    """Short bursts of 1 kHz over faint noise: (1, samples)."""
    sound = 0.001 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    ramp = np.arange(round(PULSE_S * rate))
    burst = 0.9 * np.sin(2 * np.pi * 1000 * ramp / rate) * np.hanning(len(ramp))
    for time_s in times_s:
        start = round(time_s * rate)
        sound[start : start + len(burst)] += burst
    return sound[np.newaxis].astype(np.float32)


def find_pulses(samples: Array, rate: int = 16_000) -> list[float]:
    """Starts of the bursts in seconds: their centres of power less half their length."""
    power = np.where(np.abs(samples) > 0.15, np.square(samples, dtype=np.float64), 0.0)
    hits = np.flatnonzero(power)
    groups = np.split(hits, np.flatnonzero(np.diff(hits) > rate // 10) + 1) if len(hits) else []
    return [float(np.average(group, weights=power[group])) / rate - PULSE_S / 2 for group in groups]


def read_all(path: Path, limits: AudioLimits | None = None, channel: int | None = None) -> tuple[Array, Recording]:
    """The whole sound, with the contract of `frames` checked, and the closed recording."""
    with open_recording(path, limits or AudioLimits(), channel=channel) as recording:
        frames = list(recording.frames())
    ends = [0, *(frame.end for frame in frames)]
    assert [frame.start for frame in frames] == ends[:-1]
    assert all(len(frame.samples) == 16_000 for frame in frames[:-1])
    samples = np.concatenate([frame.samples for frame in frames])
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 1
    return samples, recording


@pytest.fixture(name="pulses")
def _pulses() -> Callable[..., Array]:
    return make_pulses


@pytest.fixture(name="find")
def _find() -> Callable[..., list[float]]:
    return find_pulses


@pytest.fixture(name="read")
def _read() -> Callable[..., tuple[Array, Recording]]:
    return read_all


def mp4_box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


@pytest.fixture(name="box")
def _box() -> Callable[..., bytes]:
    return mp4_box
