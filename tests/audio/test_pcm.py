"""Raw sound in pieces: the laws of G.711, any packet size, and files that pass for raw sound."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.limits import AudioLimits
from app.audio.pcm import RawFormat, RawStream
from app.errors import AudioFormatUnsupported, AudioUnreadable

LIMITS = AudioLimits()


def heard(form: RawFormat, pieces, start: int = 0):
    stream = RawStream(form, LIMITS, start)
    frames = [frame for piece in pieces for frame in stream.push(piece)] + stream.flush()
    at = start
    for frame in frames:
        assert frame.start == at
        at = frame.end
    return np.concatenate([np.zeros(0, np.float32), *(frame.samples for frame in frames)])


def tone(rate: int, seconds: float = 0.5):
    return 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)


def cut(data: bytes, sizes) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


def by_ffmpeg(codec: str, data: bytes):
    """What FFmpeg's own G.711 decoder makes of the bytes."""
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 16000, "mono"
    frames = context.decode(av.Packet(data))
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]) / 2**15


@pytest.mark.parametrize(("encoding", "codec"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_every_code_of_g711_has_the_value_that_ffmpeg_gives(encoding, codec):
    codes = bytes(range(256))
    ours = heard(RawFormat(encoding, 16000, 1), [codes])
    np.testing.assert_array_equal(ours, by_ffmpeg(codec, codes).astype(np.float32))


def test_16_bit_and_float_are_the_same_sound():
    ints = (tone(16000) * 2**15).astype("<i2")
    as_ints = heard(RawFormat("pcm_s16le", 16000, 1), [ints.tobytes()])
    as_floats = heard(RawFormat("pcm_f32le", 16000, 1), [(ints / 2**15).astype("<f4").tobytes()])
    np.testing.assert_array_equal(as_ints, as_floats)


@pytest.mark.parametrize("form", [RawFormat("pcm_s16le", 48000, 2), RawFormat("mulaw", 8000, 1)])
@given(sizes=st.lists(st.integers(0, 3000), max_size=12))
def test_any_packet_size_gives_the_same(form, sizes):
    if form.channels == 2:
        # Halfway the second channel turns into the first one's opposite: the mix has to decide something.
        left = tone(form.rate, 0.3)
        right = np.where(np.arange(len(left)) < len(left) // 2, left, -left)
        data = (np.stack([left, right], axis=1) * 2**15).astype("<i2").tobytes()
    else:
        data = np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    np.testing.assert_array_equal(heard(form, cut(data, sizes)), heard(form, [data]))


def test_length_is_kept_and_the_tone_survives_a_change_of_rate():
    for rate in (8000, 22050, 44100, 48000):
        out = heard(RawFormat("pcm_f32le", rate, 1), [tone(rate).astype("<f4").tobytes()], start=777)
        assert len(out) == -(-int(rate * 0.5) * 16000 // rate)
        middle = slice(2000, 6000)
        np.testing.assert_allclose(out[middle], tone(16000)[middle], atol=0.01)


def test_part_of_a_sample_at_the_end_is_no_sound():
    assert len(heard(RawFormat("pcm_s16le", 16000, 2), [b"\1\2\3\4\5\6\7"])) == 1


def test_nan_and_infinity_become_silence():
    sound = np.array([0.5, np.nan, np.inf, -7.0], "<f4").tobytes()
    assert heard(RawFormat("pcm_f32le", 16000, 1), [sound]).tolist() == [0.5, 0.0, 0.0, -1.0]


@pytest.mark.parametrize("head", [b"RIFF\x24\0\0\0WAVE", b"OggS\0\2", b"\x1a\x45\xdf\xa3\x01"])
def test_a_file_announced_as_raw_sound_is_refused_also_byte_by_byte(head):
    for pieces in ([head], [bytes([byte]) for byte in head]):
        with pytest.raises(AudioUnreadable, match="announced as pcm_s16le"):
            heard(RawFormat("pcm_s16le", 16000, 1), pieces)


def test_impossible_formats_are_refused():
    for form in (RawFormat("mulaw", 100, 1), RawFormat("mulaw", 8000, 0), RawFormat("alaw", 8000, 99)):
        with pytest.raises(AudioFormatUnsupported):
            RawStream(form, LIMITS)


def test_nothing_is_nothing():
    assert len(heard(RawFormat("mulaw", 8000, 1), [b"", b""])) == 0
