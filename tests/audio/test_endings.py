"""Files that end before their time, by their own marks."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from app.audio.endings import is_cut_off
from app.audio.source import SourceFile


def _is_cut_off(path, container):
    with SourceFile(path) as source:
        return is_cut_off(source, container)


def test_wav(media):
    data = media.write("a.wav", np.zeros((1, 5001), np.float32), subtype="PCM_U8").read_bytes()
    assert not _is_cut_off(media.raw("a", data), "wav")
    assert not _is_cut_off(media.raw("a", data.rstrip(b"\0")[:44] + data[44 : 44 + 5001]), "wav")
    assert _is_cut_off(media.raw("a", data[:3000]), "wav")
    assert not _is_cut_off(media.raw("a", data[:40]), "wav")


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_wav_of_unknown_size(media, size):
    data = bytearray(media.write("a.wav", np.zeros((1, 5000), np.float32)).read_bytes())
    start = data.index(b"data") + 4
    data[start : start + 4] = struct.pack("<I", size)
    assert not _is_cut_off(media.raw("a", bytes(data)), "wav")


@pytest.mark.parametrize(("name", "codec"), [("a.opus", "libopus"), ("a.ogg", "flac")])
def test_ogg(media, pulses, name, codec):
    data = media.encode(name, codec, pulses([1.0], 20.0)).read_bytes()
    assert not _is_cut_off(media.raw("a", data), "ogg")
    for kept in (len(data) - 1, len(data) // 2, len(data) // 5):
        assert _is_cut_off(media.raw("a", data[:kept]), "ogg")


def test_other_containers_have_no_such_marks(media):
    assert not _is_cut_off(media.raw("a", b"RIFF"), "flac")
