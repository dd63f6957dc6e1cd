"""What a live session showed and when -> how late, how restless, how right. Pure; all times are seconds.

A word of the final transcript counts as shown from the first tentative or final text with the same word, normalised,
at the same place (middles at most `MATCH_S` apart). Its latency runs from its end in the sound, as the sound was sent.

- first shown, final: latency of the word's first appearance, and of its final segment
- label: latency until it stands under the speaker that it has at the end
- UPWR (unstable partial word ratio, Shangguan et al., arXiv 2006.01416): share of distinct tentative words that no
  final word confirms
- flips: finals whose speaker was changed by a revision afterwards
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.bench.speech import Speech, Utterance, of_utterances
from app.client import Event, Final, Lag, Lost, Partial, Segment, Speakers

MATCH_S = 0.5

Normalizer = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Seen:
    """An event and when it came, since the first sound was sent."""

    at_s: float
    event: Event


@dataclass(frozen=True, slots=True)
class Trace:
    """One session. speed: of sending; 1 = real time. wall_s: from the first sound to `done`."""

    events: tuple[Seen, ...]
    duration_s: float
    speed: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class LiveMeasures:
    """Latencies of the words, in the order of their finals, and counts; they add up over meetings by `pooled_live`."""

    first_s: tuple[float, ...] = ()
    final_s: tuple[float, ...] = ()
    label_s: tuple[float, ...] = ()
    shown: int = 0
    unconfirmed: int = 0
    segments: int = 0
    flips: int = 0
    max_lag_s: float = 0.0
    lost_connections: int = 0
    audio_s: float = 0.0
    wall_s: float = 0.0

    @property
    def upwr(self) -> float | None:
        return self.unconfirmed / self.shown if self.shown else None

    @property
    def real_time_factor(self) -> float | None:
        """Seconds until done per second of sound; at speed 1 it is a little above 1 at best."""
        return self.wall_s / self.audio_s if self.audio_s else None


@dataclass(slots=True)
class _Word:
    text: str
    middle: float
    end: float
    segment: str
    final_at: float
    first_at: float
    label_at: float | None = None


@dataclass(slots=True)
class _Index:
    """Final words by their text, for finding the one that a shown word stands for."""

    by_text: dict[str, list[_Word]] = field(default_factory=dict)

    def add(self, word: _Word) -> None:
        self.by_text.setdefault(word.text, []).append(word)

    def sort(self) -> None:
        for words in self.by_text.values():
            words.sort(key=_middle)

    def near(self, text: str, middle: float) -> Iterable[_Word]:
        words = self.by_text.get(text, [])
        first = bisect_left(words, middle - MATCH_S, key=_middle)
        for word in words[first:]:
            if word.middle > middle + MATCH_S:
                return
            yield word


def _middle(word: _Word) -> float:
    return word.middle


def measure(trace: Trace, normalize: Normalizer) -> LiveMeasures:
    """All measures of one session."""
    index, words = _finals(trace, normalize)
    labels, flips = _labels(trace)
    shown = unconfirmed = 0
    tentative: set[tuple[str, int]] = set()
    for seen in trace.events:
        for segment in _shown_by(seen.event):
            for text, middle in _texts(segment, normalize):
                matches = list(index.near(text, middle))
                for word in matches:
                    word.first_at = min(word.first_at, seen.at_s)
                    if word.label_at is None and labels[word.segment] == segment.speaker:
                        word.label_at = seen.at_s
                key = (text, round(middle / MATCH_S))
                if isinstance(seen.event, Partial) and key not in tentative:
                    tentative.add(key)
                    shown += 1
                    unconfirmed += not matches
    speed = trace.speed or trace.duration_s / max(trace.wall_s, 1e-9)
    return LiveMeasures(
        first_s=tuple(word.first_at - word.end / speed for word in words),
        final_s=tuple(word.final_at - word.end / speed for word in words),
        label_s=tuple((trace.wall_s if word.label_at is None else word.label_at) - word.end / speed for word in words),
        shown=shown,
        unconfirmed=unconfirmed,
        segments=len(labels),
        flips=flips,
        max_lag_s=max((it.event.seconds for it in trace.events if isinstance(it.event, Lag)), default=0.0),
        lost_connections=sum(isinstance(it.event, Lost) for it in trace.events),
        audio_s=trace.duration_s,
        wall_s=trace.wall_s,
    )


def live_speech(trace: Trace) -> Speech:
    """The transcript at the end of a session, as the scorer takes it."""
    labels, _ = _labels(trace)
    finals = [seen.event.segment for seen in trace.events if isinstance(seen.event, Final)]
    return of_utterances(
        Utterance(str(labels[it.id]), it.start, it.end, " ".join(it.text.split()), _spans(it)) for it in finals
    )


def pooled_live(measures: Sequence[LiveMeasures]) -> LiveMeasures:
    """Many sessions as one."""
    return LiveMeasures(
        first_s=tuple(value for it in measures for value in it.first_s),
        final_s=tuple(value for it in measures for value in it.final_s),
        label_s=tuple(value for it in measures for value in it.label_s),
        shown=sum(it.shown for it in measures),
        unconfirmed=sum(it.unconfirmed for it in measures),
        segments=sum(it.segments for it in measures),
        flips=sum(it.flips for it in measures),
        max_lag_s=max((it.max_lag_s for it in measures), default=0.0),
        lost_connections=sum(it.lost_connections for it in measures),
        audio_s=sum(it.audio_s for it in measures),
        wall_s=sum(it.wall_s for it in measures),
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: the smallest value that at least `share` of all do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), -int(-share * len(ordered) // 1)) - 1)]


def _finals(trace: Trace, normalize: Normalizer) -> tuple[_Index, list[_Word]]:
    index, words = _Index(), []
    for seen in trace.events:
        if not isinstance(seen.event, Final):
            continue
        for word in seen.event.segment.words:
            text = normalize(word.text).strip()
            if text:
                middle = (word.start + word.end) / 2
                found = _Word(text, middle, word.end, seen.event.segment.id, seen.at_s, seen.at_s)
                words.append(found)
                index.add(found)
    index.sort()
    return index, words


def _labels(trace: Trace) -> tuple[dict[str, int], int]:
    """Speaker of every final at the end, and how many changed after they were final."""
    labels: dict[str, int] = {}
    flips = 0
    for seen in trace.events:
        if isinstance(seen.event, Final):
            labels[seen.event.segment.id] = seen.event.segment.speaker
        elif isinstance(seen.event, Speakers):
            for segment, speaker in seen.event.segments.items():
                if segment in labels:
                    flips += labels[segment] != speaker
                    labels[segment] = speaker
    return labels, flips


def _shown_by(event: Event) -> tuple[Segment, ...]:
    if isinstance(event, Partial):
        return event.segments
    return (event.segment,) if isinstance(event, Final) else ()


def _texts(segment: Segment, normalize: Normalizer) -> Iterable[tuple[str, float]]:
    for word in segment.words:
        text = normalize(word.text).strip()
        if text:
            yield text, (word.start + word.end) / 2


def _spans(segment: Segment) -> tuple[tuple[float, float], ...]:
    """A span per white-space separated piece of the text; none where the words do not make up the text so."""
    spans = [(word.start, word.end) for word in segment.words for _ in word.text.split()]
    return tuple(spans) if len(spans) == len(segment.text.split()) else ()
