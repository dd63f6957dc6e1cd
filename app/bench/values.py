"""Results as values: counts that add up over meetings, from which rates are taken last.

Scoring one meeting gives these values, `+` pools them over a set, and a rate is asked of the pooled value only, so that
no mean of rates can be formed by mistake (as in meeteval's ErrorRate). A rate without anything to divide by is None.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Protocol, Self, TypeVar


def _plus(a: object, b: object) -> object:
    """The sum of two fields; None stands for 'not measured' and adds nothing."""
    if a is None or b is None:
        return b if a is None else a
    return a + b  # type: ignore[operator]


class Additive:
    """A frozen dataclass whose fields add one by one. `cls()` is the neutral element."""

    __slots__ = ()

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        names = [item.name for item in fields(self)]  # type: ignore[arg-type]
        return type(self)(**{name: _plus(getattr(self, name), getattr(other, name)) for name in names})


class _Summable(Protocol):
    def __add__(self, other: Self) -> Self: ...


Value = TypeVar("Value", bound=_Summable)


def pooled(values: Iterable[Value], zero: Value) -> Value:
    """The sum of `values`; `zero` when there are none."""
    total = zero
    for value in values:
        total = total + value
    return total


@dataclass(frozen=True, slots=True)
class WordErrors(Additive):
    """Word errors against `length` reference words."""

    length: int = 0
    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0

    @property
    def errors(self) -> int:
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float | None:
        """Errors / reference words; may exceed 1."""
        return self.errors / self.length if self.length else None


@dataclass(frozen=True, slots=True)
class RegionErrors(Additive):
    """cpWER's errors by where they stand: two or more people speaking at once, or fewer."""

    overlapped: WordErrors = field(default_factory=WordErrors)
    single: WordErrors = field(default_factory=WordErrors)


@dataclass(frozen=True, slots=True)
class HallucinatedWords(Additive):
    """Words written where nobody speaks, in `duration_s` seconds of recording."""

    words: int = 0
    duration_s: float = 0.0

    @property
    def per_hour(self) -> float | None:
        return self.words * 3600.0 / self.duration_s if self.duration_s else None


@dataclass(frozen=True, slots=True)
class DiarizationErrors(Additive):
    """Wrong seconds of speaker time (a second in which two speak counts twice), of `total_s` in the reference."""

    total_s: float = 0.0
    missed_s: float = 0.0
    false_alarm_s: float = 0.0
    confusion_s: float = 0.0

    @property
    def errors_s(self) -> float:
        return self.missed_s + self.false_alarm_s + self.confusion_s

    @property
    def rate(self) -> float | None:
        """DER: wrong seconds / reference seconds; may exceed 1."""
        return self.errors_s / self.total_s if self.total_s else None


@dataclass(frozen=True, slots=True)
class JaccardErrors(Additive):
    """Sum of the Jaccard error of every reference speaker, each in [0, 1]."""

    speakers: int = 0
    errors: float = 0.0

    @property
    def rate(self) -> float | None:
        """JER: the mean over reference speakers."""
        return self.errors / self.speakers if self.speakers else None


@dataclass(frozen=True, slots=True)
class SpeakerCounts(Additive):
    """In how many meetings the number of speakers is right, and by how many it is off in all (too many, too few)."""

    meetings: int = 0
    right: int = 0
    too_many: int = 0
    too_few: int = 0

    @property
    def accuracy(self) -> float | None:
        return self.right / self.meetings if self.meetings else None


@dataclass(frozen=True, slots=True)
class WordScores(Additive):
    """What the words are worth."""

    cp: WordErrors = field(default_factory=WordErrors)
    tcp: WordErrors = field(default_factory=WordErrors)
    orc: WordErrors = field(default_factory=WordErrors)
    regions: RegionErrors = field(default_factory=RegionErrors)
    hallucinated: HallucinatedWords = field(default_factory=HallucinatedWords)


@dataclass(frozen=True, slots=True)
class DiarizationScores(Additive):
    """What the speaker turns are worth. `strict`: no collar; `collar`: 0.25 s on each side of reference boundaries."""

    strict: DiarizationErrors = field(default_factory=DiarizationErrors)
    collar: DiarizationErrors = field(default_factory=DiarizationErrors)
    jaccard: JaccardErrors = field(default_factory=JaccardErrors)
    counts: SpeakerCounts = field(default_factory=SpeakerCounts)


@dataclass(frozen=True, slots=True)
class Scores(Additive):
    """All scores of one meeting, or pooled over many. None: nothing of this kind was there to score."""

    meetings: int = 0
    words: WordScores | None = None
    diarization: DiarizationScores | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """Wall-clock seconds spent on `audio_s` seconds of sound; a stage that cannot be told from the others is None."""

    audio_s: float = 0.0
    wall_s: float = 0.0
    diarize_s: float | None = None
    decode_s: float | None = None

    @classmethod
    def zero(cls) -> Speed:
        """The neutral element: no sound, no work in any stage."""
        return cls(0.0, 0.0, 0.0, 0.0)

    def __add__(self, other: Speed) -> Speed:
        """A stage that is unknown in one part is unknown in the sum."""
        if not isinstance(other, Speed):
            return NotImplemented
        stages = ((self.diarize_s, other.diarize_s), (self.decode_s, other.decode_s))
        return Speed(
            self.audio_s + other.audio_s,
            self.wall_s + other.wall_s,
            *(None if a is None or b is None else a + b for a, b in stages),
        )

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work per second of sound."""
        return self.wall_s / self.audio_s if self.audio_s else None

    @property
    def times_real_time(self) -> float | None:
        """Seconds of sound per second of work."""
        return self.audio_s / self.wall_s if self.wall_s else None

    def stage_factor(self, seconds: float | None) -> float | None:
        """Seconds of a stage's work per second of sound."""
        return seconds / self.audio_s if self.audio_s and seconds is not None else None
