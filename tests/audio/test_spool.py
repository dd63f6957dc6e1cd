"""The store of the meeting's sound."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio import Spool
from app.audio.memory import from_array
from app.core.types import Frames
from app.errors import OutputError


def _noise(samples, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


@given(st.lists(st.integers(0, 5000), max_size=8), st.integers(0, 30_000), st.integers(0, 30_000))
def test_reads_what_was_appended(sizes, one, other):
    sound = _noise(sum(sizes))
    with Spool() as spool:
        for size in sizes:
            spool.append(Frames(spool.length, sound[spool.length : spool.length + size]))
        assert spool.length == len(sound)
        start, end = sorted((one, other))
        samples = spool.read(start, end)
    assert samples.dtype == np.float32
    assert len(samples) == len(sound[start:end])
    np.testing.assert_allclose(samples, sound[start:end], atol=1 / 32768)


def test_sixteen_bit_sound_comes_back_exactly():
    sound = np.arange(-32768, 32768, dtype=np.float32) / 32768
    with Spool() as spool:
        spool.append(Frames(0, sound))
        np.testing.assert_array_equal(spool.read(0, len(sound)), sound)


def test_quantisation_noise():
    sound = 0.1 * _noise(160_000)
    with Spool() as spool:
        spool.append(Frames(0, sound))
        noise_db = 20 * np.log10(np.std(spool.read(0, 160_000) - sound))
    assert -102 < noise_db < -100


def test_full_scale_does_not_wrap():
    with Spool() as spool:
        spool.append(Frames(0, np.array([1.0, -1.0], np.float32)))
        np.testing.assert_allclose(spool.read(0, 2), [1.0, -1.0], atol=1 / 32767)


def test_holes_and_overlaps_are_refused():
    with Spool() as spool:
        spool.append(Frames(0, _noise(100)))
        for start in (0, 99, 101):
            with pytest.raises(ValueError, match="100"):
                spool.append(Frames(start, _noise(5)))
        assert spool.length == 100


@pytest.mark.parametrize("span", [(-1, 5), (5, 4), (-5, -1)])
def test_no_such_span(span):
    with Spool() as spool, pytest.raises(ValueError, match="span"):
        spool.read(*span)


def test_the_file_has_no_name_and_goes_with_the_spool(tmp_path):
    folder = tmp_path / "new" / "folder"
    with Spool(folder) as spool:
        spool.append(Frames(0, _noise(50_000)))
        assert list(folder.iterdir()) == []
        open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _links(fd)]
        assert any(str(folder) in name for name in open_files)
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.read(0, 10)
    with pytest.raises(ValueError, match="closed"):
        spool.append(Frames(50_000, _noise(1)))


def _links(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


def test_a_full_disk(monkeypatch):
    with Spool() as spool:
        spool.append(Frames(0, _noise(100)))

        def full(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(OutputError, match="No space left"):
            spool.append(Frames(100, _noise(100)))
        assert spool.length == 100


def test_short_writes_and_reads_are_continued(monkeypatch):
    pwrite, pread = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:33], offset))
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, 57), offset))
    sound = _noise(1000)
    with Spool() as spool:
        spool.append(Frames(0, sound))
        np.testing.assert_allclose(spool.read(0, 1000), sound, atol=1 / 32768)


def test_no_place_for_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        Spool(tmp_path / "file" / "below")


def test_reading_while_appending():
    sound = _noise(200_000)
    wrong = []
    with Spool() as spool:
        done = threading.Event()

        def check():
            while not done.is_set():
                end = spool.length
                if not np.allclose(spool.read(max(0, end - 3000), end), sound[max(0, end - 3000) : end], atol=1e-4):
                    wrong.append(end)

        reader = threading.Thread(target=check)
        reader.start()
        for frames in from_array(sound, 500):
            spool.append(frames)
        done.set()
        reader.join()
    assert wrong == []
