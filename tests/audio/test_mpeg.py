"""Frame lengths from MPEG audio headers, and the count of frames that damage swallowed."""

from __future__ import annotations

import av
import numpy as np
import pytest

from app.audio.mpeg import LostFrames, frame_bytes


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("codec", ["libmp3lame", "mp2"])
def test_lengths_are_those_of_real_frames(media, rate, codec):
    if codec == "mp2" and rate < 16_000:
        pytest.skip("layer II has no such rate")
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, rate)).astype(np.float32)
    path = media.encode("a.mp3" if codec == "libmp3lame" else "a.mp2", codec, sound, rate)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert len(packets) > 5
    # The very last frame may be cut by the muxer's own padding rules; all others must agree.
    assert all(frame_bytes(packet[:4]) == len(packet) for packet in packets[:-1])


@pytest.mark.parametrize("head", [b"", b"\xff", b"ID3\x04", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xfb\xf0\0"])
def test_no_header(head):
    assert frame_bytes(head) is None


FRAME = b"\xff\xfb\x54\xc4" + bytes(188)
"""64 kbit/s, 48 kHz: 192 bytes."""


def test_whole_frames_lose_nothing():
    lost = LostFrames()
    assert frame_bytes(FRAME) == 192
    assert [lost.push(FRAME) for _ in range(50)] == [0] * 50


def test_an_oversized_packet_is_as_many_frames_as_its_bytes():
    lost = LostFrames()
    for packet in [FRAME] * 10 + [FRAME + bytes(5 * 192 - 30)]:
        lost.push(packet)
    assert lost.push(FRAME) == 5
    assert lost.push(FRAME) == 5


def test_false_frames_count_less():
    """Ten scraps of noise that FFmpeg took for frames, worth two."""
    lost = LostFrames()
    for packet in [FRAME] * 10 + [bytes(38)] * 10:
        lost.push(packet)
    assert lost.push(FRAME) == -8


def test_a_tag_in_the_middle_is_no_sound():
    lost = LostFrames()
    tag = b"ID3\x04\0\0" + bytes([0, 0, 7, 104 - 40]) + bytes(7 * 128 + 64)
    for packet in [FRAME] * 10 + [FRAME + tag]:
        lost.push(packet)
    assert lost.push(FRAME) == 0
