"""Segments of a model that names its own speakers -> words in the turns of the diarization.

1. The model's speakers are matched to the turns' speakers: the assignment with the most common time (Hungarian
   method), which is how speakers are matched when a diarization is scored. The turns' speakers are those of the
   meeting, linked over its windows by voice vectors, so the model's own numbering need not last from window to window.
2. A segment's words are spread over the stretches of it in which its speaker has turns, and belong to those turns.
   Time decides instead (`assign`: the words go to the turns that are under them) where the diarization hears mostly
   others, or somebody whom the model did not tell from its speaker.
3. What lies in no turn and near none is counted, and the nearest turn is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.decoders.assign import assign
from models.decoders.public.segments import Segment
from models.decoders.public.words import TextWord, split_text, spread

REACH_SAMPLES = 8_000
"""How far (0.5 s) outside its turn a word may lie, as in the cascade."""

LEAST_COVERED = 0.25
"""A segment of which turns cover less than this share is not squeezed into them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """(start, end) in samples and the diarization's speaker."""

    start: int
    end: int
    speaker: int


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word at its time in the window, in samples."""

    word: TextWord
    start: int
    end: int


@dataclass(slots=True)
class Attribution:
    """words: per turn, in order of time. short: turns near which words were left over.

    counts: `speakers_merged` (two of the model's speakers are one of the diarization's), `segments_by_time`,
        `words_outside` (words that are in no turn and near none)
    """

    words: list[list[PlacedWord]]
    short: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


def attribute(segments: Sequence[Segment], turns: Sequence[Turn]) -> Attribution:
    """Which words belong to which turn; every word of the segments is in a turn or counted."""
    result = Attribution([[] for _ in turns])
    speakers = match_speakers(segments, turns, result.counts)
    for segment in segments:
        words = split_text(segment.text, segment.places)
        if words:
            _segment(segment, words, speakers, turns, result)
    for own in result.words:
        own.sort(key=lambda word: (word.start, word.end))
    return result


def match_speakers(segments: Sequence[Segment], turns: Sequence[Turn], counts: Counter[str]) -> dict[int, int]:
    """The diarization's speaker of each of the model's speakers; those without common time are left out."""
    theirs = sorted({segment.speaker for segment in segments if segment.speaker is not None})
    ours = sorted({turn.speaker for turn in turns})
    if not theirs or not ours:
        return {}
    common = np.zeros((len(theirs), len(ours)), dtype=np.int64)
    for segment in segments:
        if segment.speaker is not None:
            for turn in turns:
                shared = min(segment.end, turn.end) - max(segment.start, turn.start)
                common[theirs.index(segment.speaker), ours.index(turn.speaker)] += max(0, shared)
    rows, columns = linear_sum_assignment(common, maximize=True)
    matched = {theirs[i]: ours[j] for i, j in zip(rows, columns, strict=True) if common[i, j] > 0}
    for i, speaker in enumerate(theirs):
        if speaker not in matched and common[i].max() > 0:
            matched[speaker] = ours[int(common[i].argmax())]
            counts["speakers_merged"] += 1
    return matched


def _segment(
    segment: Segment, words: Sequence[TextWord], speakers: Mapping[int, int], turns: Sequence[Turn], result: Attribution
) -> None:
    speaker = None if segment.speaker is None else speakers.get(segment.speaker)
    matched = set(speakers.values())
    own = _stretches(segment, turns, set() if speaker is None else {speaker})
    # With those whom no speaker of the model stands for: it may have taken two people for one.
    shared = _stretches(segment, turns, {turn.speaker for turn in turns} - (matched - {speaker}))
    anybody = _stretches(segment, turns, {turn.speaker for turn in turns})
    own_time, time = _length(own), _length(anybody)
    if time < LEAST_COVERED * (segment.end - segment.start) or time == 0:
        _by_time(words, [(segment.start, segment.end)], turns, result)
    elif own_time and _length(shared) - own_time > REACH_SAMPLES:
        result.counts["segments_by_time"] += 1
        _by_time(words, [(a, b) for a, b, _ in shared], turns, result, matched - {speaker})
    elif 2 * own_time >= time:
        for word, (start, end, place) in zip(words, spread(words, [(a, b) for a, b, _ in own]), strict=True):
            result.words[own[place][2]].append(PlacedWord(word, start, end))
    else:
        result.counts["segments_by_time"] += 1
        _by_time(words, [(a, b) for a, b, _ in anybody], turns, result)


def _by_time(
    words: Sequence[TextWord],
    spans: Sequence[tuple[int, int]],
    turns: Sequence[Turn],
    result: Attribution,
    without: Collection[int | None] = (),
) -> None:
    """The words spread over `spans`, each to the turn under it or near it, but to none of the speakers `without`."""
    times = [(start, end) for start, end, _ in spread(words, spans)]
    open_to = [i for i, turn in enumerate(turns) if turn.speaker not in without]
    places = assign(times, [(turns[i].start, turns[i].end) for i in open_to], REACH_SAMPLES)
    for word, (start, end), place in zip(words, times, places, strict=True):
        if place is not None:
            result.words[open_to[place]].append(PlacedWord(word, start, end))
            continue
        result.counts["words_outside"] += 1
        if turns:
            middle = (start + end) // 2
            result.short.add(min(range(len(turns)), key=lambda i: max(turns[i].start - middle, middle - turns[i].end)))


def _stretches(segment: Segment, turns: Sequence[Turn], speakers: Collection[int]) -> list[tuple[int, int, int]]:
    """(start, end, number of the turn) of the parts of a segment in which one of `speakers` has turns."""
    parts: list[tuple[int, int, int]] = []
    order = sorted(range(len(turns)), key=lambda i: (turns[i].start, turns[i].end))
    for i in order:
        if turns[i].speaker not in speakers:
            continue
        start = max(segment.start, turns[i].start, parts[-1][1] if parts else 0)
        end = min(segment.end, turns[i].end)
        if end > start:
            parts.append((start, end, i))
    return parts


def _length(parts: Sequence[tuple[int, int, int]]) -> int:
    return sum(end - start for start, end, _ in parts)
