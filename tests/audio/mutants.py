"""Speech in every kind of file that is read, and what may become of a file on its way, from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from tests.audio.conftest import Array, Media

SAMPLE = Path(str(distribution("pyannote.audio").locate_file("pyannote/audio/sample/sample.wav")))
"""A phone call of half a minute that pyannote.audio brings along."""
_FROM, _TO = 6 * 16_000, 9 * 16_000
_NARROW = 12_200
"""Bits per second of AMR, which takes no other than its own."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How speech is written. codec: FFmpeg's, or libsndfile's name of the format in capitals"""

    name: str
    codec: str
    rate: int = 16_000
    bit_rate: int = 64_000


KINDS = (
    *(Kind("a.aac", "aac"), Kind("a.latm", "aac"), Kind("a.m4a", "aac", 44_100), Kind("a.ts", "aac", 44_100)),
    *(Kind("a.flv", "aac"), Kind("b.flv", "nellymoser"), Kind("c.flv", "libmp3lame", 44_100)),
    *(Kind("a.ac3", "ac3", 32_000), Kind("a.eac3", "eac3", 32_000), Kind("a.rm", "ac3", 44_100)),
    *(Kind("a.amr", "libopencore_amrnb", 8_000, _NARROW), Kind("a.3gp", "libopencore_amrnb", 8_000, _NARROW)),
    *(
        Kind("a.asf", "wmav2"),
        Kind("a.wma", "wmav1", 22_050),
        Kind("a.avi", "libmp3lame"),
        Kind("b.rm", "real_144", 8_000),
    ),
    *(
        Kind("a.mp3", "libmp3lame"),
        Kind("a.mp2", "mp2", 44_100),
        Kind("a.mpg", "mp2", 44_100),
        Kind("b.ts", "mp2", 48_000),
    ),
    *(
        Kind("a.flac", "flac"),
        Kind("a.oga", "flac"),
        Kind("a.nut", "flac"),
        Kind("a.tta", "tta"),
        Kind("a.wv", "wavpack"),
    ),
    *(Kind("a.caf", "alac"), Kind("b.m4a", "alac", 44_100), Kind("a.mov", "pcm_s16le"), Kind("a.mka", "pcm_s24le")),
    *(Kind("a.webm", "libopus", 48_000), Kind("a.opus", "libopus", 48_000), Kind("b.ogg", "OGG VORBIS")),
    *(
        Kind("a.aiff", "pcm_s16be"),
        Kind("a.au", "pcm_mulaw", 8_000),
        Kind("a.sox", "pcm_s32le"),
        Kind("a.w64", "pcm_s24le"),
    ),
    *(Kind("a.voc", "pcm_s16le"), Kind("b.voc", "pcm_u8", 8_000), Kind("a.sph", "NIST PCM_16")),
    *(Kind("a.wav", "pcm_s16le"), Kind("b.wav", "pcm_mulaw", 8_000), Kind("c.wav", "pcm_alaw", 8_000)),
    *(Kind("d.wav", "adpcm_ms"), Kind("e.wav", "adpcm_ima_wav"), Kind("f.wav", "pcm_f32le", 44_100)),
    *(
        Kind("g.wav", "g726", 8_000, 32_000),
        Kind("h.wav", "libmp3lame"),
        Kind("i.wav", "pcm_f64le"),
        Kind("j.wav", "wmav2"),
    ),
)
HEADS = {
    "ape": b"MAC \x96\x0f\0\0\x34\0\0\0\x18\0\0\0",
    "dts": b"\x7f\xfe\x80\x01\xfc\x3c\x3f\xf0\xb5\xe0",
    "mpc": b"MP+\x07\x10\0\0\0",
    "mpc8": b"MPCKSH\x0e",
    "qcp": b"RIFF\x40\x10\0\0QLCMfmt \x96\0\0\0",
    "tak": b"tBaK\x01\x0a\0\0",
    "xwma": b"RIFF\x40\x10\0\0XWMAfmt \x12\0\0\0\x61\x01\x01\0\x44\xac\0\0",
}
"""How files begin of the kinds that are read and that nothing here writes."""


def spoken(rate: int) -> Array:
    """Three seconds of speech, (1, samples)."""
    speech, _ = soundfile.read(SAMPLE, start=_FROM, stop=_TO, dtype="float32")
    part = gcd(rate, 16_000)
    return np.clip(resample_poly(speech, rate // part, 16_000 // part), -1, 1).astype(np.float32)[np.newaxis]


def written(media: Media, kind: Kind) -> bytes:
    """A whole file."""
    speech = spoken(kind.rate)
    if kind.codec.isupper():
        form, subtype = kind.codec.split()
        return media.write(kind.name, speech, kind.rate, subtype, form).read_bytes()
    bit_rate = None if kind.codec.startswith("pcm") else kind.bit_rate
    return media.encode(kind.name, kind.codec, speech, kind.rate, bit_rate=bit_rate).read_bytes()


def headed(name: str, rng: np.random.Generator) -> bytes:
    """A beginning of HEADS, and noise behind it."""
    head = HEADS[name]
    return head + b"".join(head + rng.bytes(int(rng.integers(1, 2_000))) for _ in range(int(rng.integers(1, 5))))


def mutated(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    """One to three things that may happen to a file. other: another one, of which it may get a piece."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        _change(changed, rng, other)
    return bytes(changed)


_NUMBERS = tuple(
    value.to_bytes(size, order)
    for order in ("little", "big")
    for size in (2, 4, 8)
    for value in (0, 1, 1 << (8 * size - 1), (1 << (8 * size - 1)) - 1, (1 << (8 * size)) - 1)
)


def _change(changed: bytearray, rng: np.random.Generator, other: bytes) -> None:
    if not changed:
        return
    at, length = int(rng.integers(len(changed))), int(rng.integers(1, 3_000))
    early = int(rng.integers(min(400, len(changed))))
    match int(rng.integers(4)):
        case 0:
            for bit in rng.integers(0, 8 * len(changed), int(rng.integers(1, 200))):
                changed[bit // 8] ^= 1 << (bit % 8)
        case 1:
            number = _NUMBERS[int(rng.integers(len(_NUMBERS)))] if rng.random() < 0.5 else rng.bytes(4)
            changed[early : early + len(number)] = number
        case 2:
            _put(changed, at, length, rng, other)
        case _:
            gone = ((at, at + length), (max(100, at), len(changed)), (0, early))[int(rng.integers(3))]
            del changed[slice(*gone)]


def _put(changed: bytearray, at: int, length: int, rng: np.random.Generator, other: bytes) -> None:
    """Something else in the place of a stretch, or the stretch once more."""
    start = int(rng.integers(len(other)))
    match int(rng.integers(3)):
        case 0:
            changed[at:at] = changed[at : at + length]
        case 1:
            changed[at : at + length] = bytes([int(rng.choice((0, 0xFF, 0x55)))]) * length
        case _:
            changed[at : at + length] = other[start : start + length]


def pieces(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """The same bytes as a socket may bring them."""
    at = 0
    while at < len(data):
        size = int(rng.choice((1, 100, 4_000, 40_000)))
        yield data[at : at + size]
        at += size
