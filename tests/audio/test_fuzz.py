"""Damaged media of every kind, from a seed: each is sound or an error of ours, none hangs, none leaves anything."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from app.audio import AudioLimits, open_recording
from app.audio.limits import ProcessLimits
from app.audio.stream import ContainerStream
from app.errors import (
    AudioEmpty,
    AudioFormatUnsupported,
    AudioTooLong,
    AudioTruncated,
    AudioUnreadable,
    CrosstalkError,
    NoAudioTrack,
)
from tests.audio.mutants import HEADS, KINDS, headed, mutated, pieces, written

# What hangs meets the limit of processor time; the clock is for machines that have too much to do.
LIMITS = AudioLimits(max_duration_s=600.0, process=ProcessLimits(cpu_s=60, stall_s=240.0))
OF_THE_MEDIA = (AudioEmpty, AudioFormatUnsupported, AudioTooLong, AudioTruncated, AudioUnreadable, NoAudioTrack)
HUNG = ("takes too long", "more processor time")
MOST_GROWN = 32 << 20
"""Of the process that has them decoded, in bytes."""


class Fuzz:
    """What came of each."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.ended: list[tuple[str, CrosstalkError]] = []
        self.slowest_s = 0.0
        self._held = 0

    def begin(self) -> None:
        """From here on memory may not grow."""
        gc.collect()
        self._held = psutil.Process().memory_info().rss

    @property
    def grown(self) -> int:
        """Bytes since then."""
        gc.collect()
        return psutil.Process().memory_info().rss - self._held

    def look(self, which: str, read: Callable[[], object]) -> None:
        """Read one. Raises what is no CrosstalkError."""
        began_s = time.monotonic()
        try:
            read()
        except CrosstalkError as error:
            self.count[error.code] += 1
            if type(error) not in OF_THE_MEDIA or any(text in error.message for text in HUNG):
                self.ended.append((which, error))
        else:
            self.count["decoded"] += 1
        self.count["mutants"] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)


@pytest.fixture
def fuzz(caplog):
    """Fails afterwards when anything was left behind, or a decoder met what none of us thought of."""
    made, before, others = Fuzz(), files(), set(psutil.Process().children())
    yield made
    grown = made.grown
    said = [it.getMessage() for it in caplog.get_records("call")]
    print(dict(made.count), f"grown by {grown / 1e6:.1f} MB, slowest {made.slowest_s:.1f} s", said)  # noqa: T201
    assert made.ended == []
    assert [it for it in said if not it.startswith("a decoder ended with status")] == []
    assert set(psutil.Process().children()) <= others
    assert files() <= before
    assert grown < MOST_GROWN


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


SLOW = [pytest.mark.slow, pytest.mark.timeout(3 * 3600)]


@pytest.mark.parametrize(
    ("count", "seed"),
    [(1, 1), *(pytest.param(19, seed, marks=SLOW, id=f"many-{seed}") for seed in (2, 3))],
)
def test_damaged_files(media, fuzz, count, seed):
    """So many of each kind; where it is one, of every third kind."""
    rng = np.random.default_rng(seed)
    every = 3 if count == 1 else 1
    whole = {kind.name: written(media, kind) for kind in KINDS[::every]}

    def read(data: bytes) -> None:
        with open_recording(media.raw("mutant", data), LIMITS) as recording:
            for _ in recording.frames():
                pass

    for number in range(count):
        for name, data in whole.items():
            other = whole[str(rng.choice([*whole]))]
            fuzz.look(f"{name} {number}", lambda data=data, other=other: read(mutated(data, rng, other)))
        for name in [*HEADS][::every]:
            fuzz.look(f"{name} {number}", lambda name=name: read(headed(name, rng)))
        if not number:
            fuzz.begin()
        print(number, dict(fuzz.count), flush=True)  # noqa: T201
    assert fuzz.count["mutants"] >= (15 if count == 1 else 1_000)
    assert fuzz.count["decoded"]


@pytest.mark.parametrize("count", [2, pytest.param(150, marks=SLOW, id="many")])
def test_damaged_streams(media, fuzz, count):
    """As browsers send them: WebM and Ogg in pieces."""
    rng = np.random.default_rng(2)
    whole = [written(media, kind) for kind in KINDS if kind.name in ("a.webm", "a.opus")]

    def read(data: bytes) -> None:
        stream = ContainerStream(LIMITS)
        try:
            for piece in pieces(data, rng):
                stream.push(piece)
            stream.flush()
        finally:
            stream.close()

    for number in range(count):
        for at, data in enumerate(whole):
            # Its first bytes say which of the two it is: most keep them.
            keep = 4 if rng.random() < 0.9 else 0
            changed = data[:keep] + mutated(data[keep:], rng, whole[1 - at])
            fuzz.look(f"stream {at} {number}", lambda changed=changed: read(changed))
        if not number:
            fuzz.begin()
    assert fuzz.count["decoded"]
