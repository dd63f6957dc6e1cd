"""What a public model wrote, as segments: the parsers' raw ones in, ones with a place in the window out.

A parser reports what stands in the text and counts what is wrong with it. Here the times are made usable: they are
filled in where they are missing, put the right way round, held to the window and sorted; copies are dropped.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

SAMPLE_RATE = 16_000
LETTER_S = 0.08
"""How long a letter lasts where nothing better is known: about 12 letters a second, a usual pace of speech."""

_TIME = re.compile(r"\s*([0-9]{1,6}(?::[0-9]{1,2}){0,2}(?:\.[0-9]{0,9})?)\s*")


class Fault(StrEnum):
    """What can be wrong with an answer; each is counted."""

    STRAY_TEXT = "stray_text"
    TIME_MISSING = "time_missing"
    SPEAKER_MISSING = "speaker_missing"
    TIMES_BACKWARDS = "times_backwards"
    TIMES_BEYOND = "times_beyond_window"
    REPEATED = "segment_repeated"
    CUT_OFF = "cut_off"


Faults = Counter[str]
"""How often each `Fault` was met."""


@dataclass(frozen=True, slots=True)
class RawSegment:
    """A segment as it was written. None = it does not say, or not in a way that can be read.

    places: for each letter of `text` its place in the answer, so that a word finds the tokens that wrote it
    """

    speaker: int | None
    start_s: float | None
    end_s: float | None
    text: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment with a place in the window, in samples: 0 <= start <= end <= length of the window."""

    speaker: int | None
    start: int
    end: int
    text: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """Segments in the order of their starts; `repeated`: where copies were dropped, (start, end) in samples."""

    segments: tuple[Segment, ...]
    repeated: tuple[tuple[int, int], ...]
    faults: Faults


def read_time(text: str) -> float | None:
    """Seconds of `7.56`, `1:23` or `01:02:03`; None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    seconds = 0.0
    for part in match.group(1).split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def repair(raw: Sequence[RawSegment], length: int) -> Repaired:
    """Segments that can be placed in a window of `length` samples. Never raises, whatever the times.

    A missing start is the end of the segment before, a missing end the start of the one after it, or what its letters
    take, or the window's end for text without any tag; an end before its start is taken as missing; times behind the
    window are held to it.
    """
    faults: Faults = Counter()
    placed: list[Segment] = []
    for i, item in enumerate(raw):
        following = raw[i + 1].start_s if i + 1 < len(raw) else None
        placed.append(_place(item, placed[-1] if placed else None, following, length, faults))
    for before, after in pairwise(placed):
        faults[Fault.TIMES_BACKWARDS] += after.start < before.start
    kept, repeated = _without_copies(sorted(placed, key=lambda segment: (segment.start, segment.end)))
    faults[Fault.REPEATED] += len(repeated)
    return Repaired(tuple(kept), tuple(repeated), +faults)


def _place(raw: RawSegment, before: Segment | None, following: float | None, length: int, faults: Faults) -> Segment:
    start, end = _samples(raw.start_s), _samples(raw.end_s)
    faults[Fault.TIME_MISSING] += (start is None) + (end is None)
    needed = max(1, round(len(raw.text) * LETTER_S * SAMPLE_RATE))
    if start is None:
        start = before.end if before is not None else 0
        if end is not None and end < start:
            start = max(0, end - needed)
    if end is not None and end < start:
        faults[Fault.TIMES_BACKWARDS] += 1
        end = None
    if end is None:
        bound = _samples(following)
        if bound is not None and bound > start:
            end = bound
        elif raw.speaker is None and raw.start_s is None:
            # Plain text, perhaps all that there is: it may be of any moment from here on.
            end = max(start, length)
        else:
            end = start + needed
    if end > length:
        # Models round up; a tenth of a second behind the end is no fault.
        faults[Fault.TIMES_BEYOND] += end > length + SAMPLE_RATE // 10
        end = length
        if start >= length:
            start = max(0, length - needed)
    return Segment(raw.speaker, start, end, raw.text, raw.places)


def _samples(seconds: float | None) -> int | None:
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return None
    return round(seconds * SAMPLE_RATE)


def _without_copies(segments: Sequence[Segment]) -> tuple[list[Segment], list[tuple[int, int]]]:
    """A speaker does not say the same words twice in the same moment: of such segments the first is kept."""
    seen: set[tuple[int | None, int, int, str]] = set()
    kept: list[Segment] = []
    repeated: list[tuple[int, int]] = []
    for segment in segments:
        key = (segment.speaker, segment.start, segment.end, segment.text.strip())
        if key in seen:
            repeated.append((segment.start, segment.end))
        else:
            seen.add(key)
            kept.append(segment)
    return kept, repeated
