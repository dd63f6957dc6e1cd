"""Containers in pieces: the same sound whatever the pieces, early, and what is damaged is told."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.limits import AudioLimits
from app.audio.stream import ContainerStream, Gap
from app.core.types import Frames
from app.errors import AudioFormatUnsupported, AudioUnreadable, CrosstalkError, NoAudioTrack

LIMITS = AudioLimits()
SECONDS = 3.0


@cache
def container(kind: str = "webm", codec: str = "libopus", seconds: float = SECONDS) -> bytes:
    """A tone as a browser records it: without a length in the header, and never rewound."""
    buffer = io.BytesIO()

    class Writer:
        def write(self, data):
            return buffer.write(data)

    options = {"live": "1", "cluster_time_limit": "500"} if kind == "webm" else {"page_duration": "100000"}
    with av.open(Writer(), "w", format=kind, options=options) as out:
        stream = out.add_stream(codec, rate=48000)
        stream.layout = "mono"
        sound = (0.3 * np.sin(2 * np.pi * 440 * np.arange(int(48000 * seconds)) / 48000)).astype(np.float32)
        for at in range(0, len(sound), 960):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = 48000, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def run(pieces, start: int = 0):
    """(samples, gaps) of a whole connection; times must have no holes."""
    stream = ContainerStream(LIMITS, start)
    try:
        items = [item for piece in pieces for item in stream.push(piece)]
        items += stream.flush()
    finally:
        stream.close()
    frames = [item for item in items if isinstance(item, Frames)]
    at = start
    for frame in frames:
        assert frame.start == at
        at = frame.end
    sound = np.concatenate([np.zeros(0, np.float32), *(frame.samples for frame in frames)])
    return sound, [item for item in items if isinstance(item, Gap)]


@pytest.mark.parametrize("kind", ["webm", "ogg"])
def test_the_tone_comes_out_whole(kind):
    sound, gaps = run([container(kind)], start=5)
    assert gaps == []
    assert abs(len(sound) / 16000 - SECONDS) < 0.05
    spectrum = np.abs(np.fft.rfft(sound[8000:24000]))
    assert int(spectrum.argmax()) == 440
    assert 0.15 < np.abs(sound[8000:24000]).max() < 0.45


@pytest.mark.parametrize("kind", ["webm", "ogg"])
@settings(max_examples=12, deadline=None)
@given(size=st.integers(1, 9000))
def test_any_packet_size_gives_the_same(kind, size):
    data = container(kind, seconds=1.0)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    np.testing.assert_array_equal(run(pieces)[0], run([data])[0])


@pytest.mark.parametrize("kind", ["webm", "ogg"])
def test_sound_comes_out_while_it_comes_in(kind):
    data = container(kind)
    stream = ContainerStream(LIMITS)
    half = stream.push(data[: len(data) // 2])
    assert sum(len(item.samples) for item in half if isinstance(item, Frames)) > 16000 * SECONDS * 0.4
    stream.close()


def test_damage_in_the_middle_becomes_silence_that_is_told():
    data = bytearray(container())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    sound, gaps = run([bytes(data)])
    assert abs(len(sound) / 16000 - SECONDS) < 0.1
    assert gaps
    assert all(gap.reason == "damaged" and gap.end > gap.start for gap in gaps)
    first = gaps[0]
    assert np.abs(sound[first.start + 200 : first.end - 200]).max() < 0.05


def test_a_recorder_that_slept_is_joined_and_told():
    sound, gaps = run([container()])
    del gaps
    shifted = _shifted(200.0)
    joined, told = run([shifted])
    assert abs(len(joined) - len(sound)) < 3200
    assert [gap.reason for gap in told] == ["timestamps"]
    assert told[0].start == told[0].end


def _shifted(by_s: float) -> bytes:
    """A recording whose second half comes `by_s` later."""
    buffer = io.BytesIO()

    class Writer:
        def write(self, data):
            return buffer.write(data)

    with (
        av.open(io.BytesIO(container())) as source,
        av.open(Writer(), "w", format="webm", options={"live": "1"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is None:
                continue
            if float(packet.pts * packet.time_base) > SECONDS / 2:
                packet.pts += round(by_s / packet.time_base)
                packet.dts = packet.pts
            packet.stream = stream
            out.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\x00" * 5000],
        [b"RI", b"FF....WAVE"],
        [b"\x1a\x45"],
        [container()[:40]],
        [container()[:150]],
        [b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 40],
        [b"OggS" + bytes(range(256)) * 40],
    ],
    ids=["zeros", "wav", "two bytes", "half a header", "most of a header", "matroska garbage", "ogg garbage"],
)
def test_what_is_no_container_is_an_error_and_hangs_nothing(pieces):
    before = threading.active_count()
    with pytest.raises(CrosstalkError) as caught:
        run(pieces)
    assert isinstance(caught.value, AudioUnreadable | NoAudioTrack | AudioFormatUnsupported)
    assert threading.active_count() == before


def test_another_codec_is_refused_by_name():
    with pytest.raises(AudioFormatUnsupported, match="not Opus"):
        run([container("matroska", "flac")])


def test_more_silence_than_sound_is_refused():
    with pytest.raises(AudioUnreadable, match="leaves out more"):
        run([_stretched(25.0)])


def _stretched(gap_s: float) -> bytes:
    """A container whose every packet comes `gap_s` after the last."""
    buffer = io.BytesIO()

    class Writer:
        def write(self, data):
            return buffer.write(data)

    with (
        av.open(io.BytesIO(container())) as source,
        av.open(Writer(), "w", format="webm", options={"live": "1"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.audio[0])
        packets = [it for it in source.demux(source.streams.audio[0]) if it.dts is not None]
        for index, packet in enumerate(packets):
            packet.pts = packet.dts = round(index * gap_s / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    return buffer.getvalue()


def test_nothing_is_nothing():
    assert len(run([])[0]) == 0
    assert len(run([b""])[0]) == 0


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 4000))
def test_garbage_anywhere_never_hangs_or_raises_anything_else(garbage, at):
    data = container(seconds=1.0)
    with suppress(CrosstalkError):
        run([data[:at], garbage, data[at:]])
