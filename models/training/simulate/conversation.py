"""The planner: measured utterances and a timing table in, a plan of who says which utterance when out. Pure, no sound.

Speakers follow one another in a Markov chain: the floor holder goes on with a probability that falls with what was just
said (`run_s` of the table), else the floor goes to another speaker, preferably the one before. How the next utterance
starts is a signed gap drawn from the table (SASC, arXiv 2509.15808). `pressure` says how often an utterance starts in
overlap; above 1 overlaps are also stretched. `plan_with_overlap` searches the pressure that meets a target share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.training.simulate.clips import SAMPLE_RATE
from models.training.simulate.speech import Utterance
from models.training.simulate.timing import (
    SpeakerTiming,
    TimingTable,
    Transition,
    compress_silence,
    draw_gap,
    draw_speaker,
)
from models.training.simulate.turns import overlap_amount

MAX_OVERLAP_OF_SHORTER = 0.85
TOLERANCE = 0.012

_SEARCH_STEPS = 9
_ATTEMPTS = 6
_MAX_PRESSURE = 2.0
_STRETCH = 2.0
_SELF_GAP_S, _ORDER_S, _EDGE_S = 0.15, 0.25, 0.25
_MISSING_PENALTY = 1.0
_PAUSE_COMPRESS_S = 1.5


@dataclass(frozen=True, slots=True)
class Placed:
    """An utterance in the meeting. `start`: sample at which its speech begins. `transition`: None for the first."""

    speaker: int
    utterance: Utterance
    start: int
    transition: Transition | None = None

    @property
    def end(self) -> int:
        return self.start + self.utterance.length

    def spans(self) -> list[tuple[int, int]]:
        """Speech spans on the meeting's clock, in samples."""
        return [(self.start + begin, self.start + end) for begin, end in self.utterance.spans]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan must keep to, in samples and seconds.

    duration: samples of the meeting; every utterance ends before it
    max_simultaneous: most speakers at once
    max_silence_s: pauses are compressed to stay below it
    """

    duration: int
    max_simultaneous: int = 2
    max_silence_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned meeting. `pressure`: the overlap pressure that it was made with."""

    placed: tuple[Placed, ...]
    pressure: float | None

    def overlap_share(self) -> float:
        """Overlapped time / time with any speech."""
        return overlap_amount([span for item in self.placed for span in item.spans()]).share

    def speakers(self) -> set[int]:
        """The speakers who are heard."""
        return {item.speaker for item in self.placed}


class Source(Protocol):
    """Where the planner gets utterances from. A source is used up by a plan; `fresh` gives a new one."""

    @property
    def num_speakers(self) -> int:
        """How many speakers take part."""

    def fresh(self, rng: np.random.Generator) -> Source:
        """The same utterances, in a new order where the order is free."""

    def next_speaker(self, wanted: Mapping[int, float], rng: np.random.Generator) -> int | None:
        """Choose who speaks next, by the planner's weights unless a script says otherwise; None where all is said."""

    def find(self, speaker: int, longest: int, prefer_short: bool) -> Utterance | None:
        """The speaker's next utterance of at most `longest` samples of speech; None where there is none."""

    def use(self, utterance: Utterance) -> None:
        """Take the utterance that was just found: it was placed."""


def plan_with_overlap(
    source: Source, table: TimingTable, limits: Limits, target: float | None, seed: np.random.SeedSequence
) -> Plan:
    """Plan a meeting whose share of overlapped speech time comes as close to `target` as can be.

    Args:
        target: overlapped time / time with any speech, in [0, 1); None = as often as in the table's conversations.
        seed: decides everything; the same seed gives the same plan.

    Returns:
        The best plan found: all speakers heard if possible, then nearest to the target.
    """
    found: list[Plan] = []
    for child in seed.spawn(_ATTEMPTS):
        found.append(_search(source, table, limits, target, child))
        if _cost(found[-1], source, target) <= TOLERANCE:
            break
    return min(found, key=lambda plan: _cost(plan, source, target))


def _cost(plan: Plan, source: Source, target: float | None) -> float:
    missing = source.num_speakers - len(plan.speakers())
    off = abs(plan.overlap_share() - target) if target is not None else 0.0
    return off + _MISSING_PENALTY * missing


def _search(
    source: Source, table: TimingTable, limits: Limits, target: float | None, seed: np.random.SeedSequence
) -> Plan:
    """Bisect the pressure. Every trial has the same seed, so that the share grows with the pressure on the whole."""

    def trial(pressure: float | None) -> Plan:
        rng = np.random.default_rng(seed)
        return _Planner(source.fresh(rng), table, limits, pressure, rng).run()

    if target is None:
        return trial(None)
    if target <= 0:
        return trial(0.0)
    low, high = 0.0, _MAX_PRESSURE
    found: list[Plan] = []
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        found.append(trial(middle))
        if found[-1].overlap_share() < target:
            low = middle
        else:
            high = middle
    return min(found, key=lambda plan: _cost(plan, source, target))


@dataclass(slots=True)
class _Planner:
    """One walk through a meeting. `pressure` None = the table's own rate of overlap."""

    source: Source
    table: TimingTable
    limits: Limits
    pressure: float | None
    rng: np.random.Generator
    placed: list[Placed] = field(default_factory=list)
    timing: dict[int, SpeakerTiming] = field(default_factory=dict)
    talk: list[float] = field(default_factory=list)
    last_end: dict[int, int] = field(default_factory=dict)
    overlap_kinds: dict[Transition, float] = field(default_factory=dict)
    natural_rate: float = 0.0
    floor: Placed | None = None
    previous_holder: int | None = None

    def run(self) -> Plan:
        count = self.source.num_speakers
        self.timing = {speaker: draw_speaker(self.table, self.rng) for speaker in range(count)}
        self.talk = [float(weight) for weight in self.rng.gamma(3.0, 1.0 / 3.0, size=count)]
        self.overlap_kinds = {kind: self.table.shares[kind] for kind in Transition if kind is not Transition.SAME}
        self.overlap_kinds[Transition.CHANGE] *= self.table.change_overlap_rate()
        self.natural_rate = self.table.natural_overlap_rate()
        while self._step():
            pass
        return Plan(tuple(self.placed), self.pressure)

    def _step(self) -> bool:
        """Place one utterance; False when the meeting is full or all is said."""
        if self.floor is None:
            return self._place_first()
        overlapped = float(self.rng.random()) < self._overlap_rate()
        speaker = self.source.next_speaker(self._weights(overlapped), self.rng)
        if speaker is None:
            return False
        if speaker == self.floor.speaker:
            return self._place_after(speaker, Transition.SAME)
        kind = self._overlap_kind() if overlapped else Transition.CHANGE
        if overlapped and self._place_over(speaker, kind):
            return True
        return self._place_after(speaker, Transition.CHANGE)

    def _hold_rate(self) -> float:
        assert self.floor is not None
        return math.exp(-self.floor.utterance.length / SAMPLE_RATE / self.table.run_s)

    def _overlap_rate(self) -> float:
        if self.pressure is None:
            return (1.0 - self._hold_rate()) * self.natural_rate
        return min(self.pressure, 1.0)

    def _weights(self, overlapped: bool) -> dict[int, float]:
        """Weight of each speaker to come next; they sum to 1 unless there is but one speaker."""
        assert self.floor is not None
        hold = 0.0 if overlapped else self._hold_rate()
        heard = {item.speaker for item in self.placed}
        others = {}
        for speaker in range(self.source.num_speakers):
            if speaker != self.floor.speaker:
                weight = self.talk[speaker] * (self.table.return_weight if speaker == self.previous_holder else 1.0)
                others[speaker] = weight * (3.0 if speaker not in heard else 1.0)
        missing = [speaker for speaker in others if speaker not in heard]
        if missing and self._is_late(len(missing)):
            others, hold = dict.fromkeys(missing, 1.0), 0.0
        total = sum(others.values())
        weights = {speaker: (1.0 - hold) * weight / total for speaker, weight in others.items()}
        if hold > 0 or not others:
            weights[self.floor.speaker] = hold if others else 1.0
        return weights

    def _is_late(self, missing: int) -> bool:
        """Not much more time is left than those who have not spoken yet will need."""
        assert self.floor is not None
        spoken = sum(item.utterance.length for item in self.placed) / len(self.placed)
        return self.limits.duration - self.floor.end < 2 * (missing + 1) * spoken

    def _overlap_kind(self) -> Transition:
        at = float(self.rng.random()) * sum(self.overlap_kinds.values())
        for kind, weight in self.overlap_kinds.items():
            at -= weight
            if at < 0:
                return kind
        return Transition.BACKCHANNEL

    def _gap(self, speaker: int, kind: Transition, negative: bool) -> float:
        return draw_gap(self.table, self.timing[speaker], kind, negative, self.rng)

    def _place_first(self) -> bool:
        start = round(float(self.rng.uniform(0.1, 0.6)) * SAMPLE_RATE)
        speaker = self.source.next_speaker(dict.fromkeys(range(self.source.num_speakers), 1.0), self.rng)
        utterance = None if speaker is None else self.source.find(speaker, self._room(start), prefer_short=False)
        if speaker is None or utterance is None:
            return False
        self._add(Placed(speaker, utterance, start), holds_floor=True)
        return True

    def _room(self, start: int) -> int:
        return self.limits.duration - start - round(_EDGE_S * SAMPLE_RATE)

    def _place_after(self, speaker: int, kind: Transition) -> bool:
        """Place after the floor falls free; False where the speaker has nothing that would end in time."""
        assert self.floor is not None
        gap = compress_silence(self._gap(speaker, kind, negative=False), _PAUSE_COMPRESS_S, self.limits.max_silence_s)
        start = max(self.floor.end + round(gap * SAMPLE_RATE), self._ready(speaker))
        utterance = self.source.find(speaker, self._room(start), prefer_short=False)
        if utterance is None:
            return False
        self._add(Placed(speaker, utterance, start, kind), holds_floor=True)
        return True

    def _ready(self, speaker: int) -> int:
        """The first sample at which a speaker can start again."""
        return self.last_end[speaker] + round(_SELF_GAP_S * SAMPLE_RATE) if speaker in self.last_end else 0

    def _place_over(self, speaker: int, kind: Transition) -> bool:
        """Place in overlap with the floor holder; False (and nothing taken) where that cannot be done."""
        assert self.floor is not None
        earliest = max(self.floor.start + round(_ORDER_S * SAMPLE_RATE), self._ready(speaker))
        if earliest >= self.floor.end:
            return False
        if kind is Transition.BACKCHANNEL and self._place_within(speaker, earliest):
            return True
        kind = Transition.INTERRUPTION if kind is Transition.BACKCHANNEL else kind
        utterance = self.source.find(speaker, self._room(earliest), prefer_short=False)
        if utterance is None:
            return False
        wanted = self.floor.end - self._overlap(self._gap(speaker, kind, negative=True), utterance)
        start = max(wanted, earliest, self.floor.end - utterance.length + round(_ORDER_S * SAMPLE_RATE))
        start = self._earliest_free(utterance.length, start)
        if start + utterance.length > self.limits.duration - round(_EDGE_S * SAMPLE_RATE):
            return False
        self._add(Placed(speaker, utterance, start, kind), holds_floor=True)
        return True

    def _overlap(self, gap_s: float, utterance: Utterance) -> int:
        """Samples of overlap for a gap below 0: stretched at high pressure, never most of the shorter utterance."""
        assert self.floor is not None
        stretch = 1.0 + _STRETCH * max(0.0, (self.pressure or 0.0) - 1.0)
        shorter = min(utterance.length, self.floor.utterance.length)
        return min(round(-gap_s * stretch * SAMPLE_RATE), round(MAX_OVERLAP_OF_SHORTER * shorter))

    def _place_within(self, speaker: int, earliest: int) -> bool:
        assert self.floor is not None
        longest = self.floor.end - earliest - round(_SELF_GAP_S * SAMPLE_RATE)
        utterance = self.source.find(speaker, longest, prefer_short=True)
        if utterance is None:
            return False
        latest = self.floor.end - utterance.length
        start = self.floor.end + round(self._gap(speaker, Transition.BACKCHANNEL, negative=True) * SAMPLE_RATE)
        if not earliest <= start <= latest:
            start = int(self.rng.integers(earliest, latest + 1))
        start = self._earliest_free(utterance.length, start)
        if start > latest:
            return False
        self._add(Placed(speaker, utterance, start, Transition.BACKCHANNEL), holds_floor=False)
        return True

    def _earliest_free(self, length: int, start: int) -> int:
        """The first time from `start` on at which not too many others speak during `length` samples."""
        recent = [item for item in self.placed[-12:] if item.end > start]
        ends = sorted(item.end for item in recent)
        for at in [start, *ends]:
            if _most_at_once(recent, at, at + length) < self.limits.max_simultaneous:
                return at
        return ends[-1]

    def _add(self, item: Placed, holds_floor: bool) -> None:
        self.source.use(item.utterance)
        self.placed.append(item)
        self.last_end[item.speaker] = max(self.last_end.get(item.speaker, 0), item.end)
        if not holds_floor:
            return
        if self.floor is not None and self.floor.speaker != item.speaker:
            self.previous_holder = self.floor.speaker
        self.floor = item


def _most_at_once(items: Sequence[Placed], start: int, end: int) -> int:
    edges = sorted(
        [(max(item.start, start), 1) for item in items if item.start < end and item.end > start]
        + [(item.end, -1) for item in items if item.start < end and item.end > start]
    )
    most = active = 0
    for _, change in edges:
        active += change
        most = max(most, active)
    return most
