"""The look at mp4 boxes before FFmpeg: cut files and tables that would need gigabytes."""

from __future__ import annotations

import resource
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.audio import AudioLimits, open_recording
from app.audio.boxes import check_mp4, is_mp4
from app.audio.source import SourceFile
from app.errors import AudioTruncated, AudioUnreadable, InputError


def _index(box, table: bytes, kind: bytes = b"stsz") -> bytes:
    return box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", box(kind, table))))))


def _check(path):
    with SourceFile(path) as source:
        assert is_mp4(source)
        check_mp4(source)


def test_whole_files_pass(media, pulses):
    for name, codec in [("a.mp4", "aac"), ("a.m4a", "alac"), ("a.mov", "pcm_s16le"), ("frag.mp4", "aac")]:
        options = {"movflags": "frag_keyframe+empty_moov"} if name == "frag.mp4" else {}
        _check(media.encode(name, codec, pulses([1.0], 3.0), **options))


@pytest.mark.parametrize("count", [1 << 20, 0xFFFF_FFFF])
def test_more_samples_than_bytes(media, box, count):
    ftyp = box(b"ftyp", b"M4A ")
    for table, kind in (
        (struct.pack(">III", 0, 100, count), b"stsz"),
        (struct.pack(">III", 0, 1, count), b"stsz"),
    ):
        with pytest.raises(AudioUnreadable, match="more samples"):
            _check(media.raw("a.m4a", ftyp + _index(box, table, kind)))
    fragment = box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 1, count))))
    with pytest.raises(AudioUnreadable, match="more samples"):
        _check(media.raw("a.mp4", ftyp + box(b"moov") + fragment))


def test_a_tiny_file_takes_little_memory(media, pulses):
    """The same with a real file: its table is made to claim 20 million samples (735 MB inside FFmpeg)."""
    data = bytearray(media.encode("a.m4a", "aac", pulses([1.0], 3.0)).read_bytes())
    table = data.index(b"stsz") + 8
    data[table : table + 8] = struct.pack(">II", 100, 20_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AudioUnreadable):
        open_recording(media.raw("b.m4a", bytes(data)), AudioLimits())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_large_and_open_ended_boxes(media, box):
    ftyp = box(b"ftyp", b"M4A ")
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 100) + bytes(100)
    _check(media.raw("a", ftyp + large + box(b"moov")))
    _check(media.raw("a", ftyp + box(b"moov") + struct.pack(">I4s", 0, b"mdat") + bytes(50)))
    with pytest.raises(AudioTruncated):
        _check(media.raw("a", ftyp + struct.pack(">I4s", 0, b"mdat") + bytes(50)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.lists(st.sampled_from([b"moov", b"trak", b"stsz", b"trun", b"\0\0\0\1", b"\xff" * 4, b"\0" * 4, b"\0\0\0\x10"]))
)
def test_any_bytes_end_soon(media, words):
    path = media.raw("a", b"\0\0\0\x10ftyp" + bytes(8) + b"".join(words))
    with SourceFile(path) as source:
        try:
            check_mp4(source)
        except InputError:
            return
    assert b"moov" in words
