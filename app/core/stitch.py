"""Decoded turns -> segments: every word once, with the speaker who said it.

In: `Decoded` answers in the order of their windows. Out: `Segment`s in the order of their starts.

A turn is decoded with a margin of sound around it, and neighbours share that margin, so a word at a border may be
written by both; where two people talk at once a decoder may also write the louder voice twice. Word times decide:
a word outside its own turn belongs to whoever's turn holds it, and a run of words that two speakers seem to say at the
same moment is one person's ("echo").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.block import StreamClosed
from app.core.times import overlap
from app.core.types import Decoded, DecodedTurn, DecodeTurn, Segment, Word


@dataclass(frozen=True, slots=True)
class StitchRules:
    """margin_samples: how far outside its turn a word may lie; echo_samples: how close two equal words of two speakers
    are to be one sound; echo_words: how many in a row make an echo inside overlapped speech."""

    margin_samples: int = 8000
    echo_samples: int = 6400
    echo_words: int = 2


class Stitcher:
    """Holds one answer back, since its last words may turn out to belong to the next one."""

    def __init__(self, rules: StitchRules) -> None:
        self._rules = rules
        self._held: list[DecodedTurn] = []
        self._count = 0
        self._start = 0
        self._closed = False

    def push(self, item: Decoded) -> list[Segment]:
        self._check_open()
        fresh = [turn for turn in (self._trim(turn) for turn in item.turns) if turn.words]
        if not fresh:
            return []
        settled = self._settle([*self._held, *fresh])
        held, fresh = settled[: len(self._held)], [turn for turn in settled[len(self._held) :] if turn.words]
        # The new answer may start before the held one ends (a window cut through overlap): keep the order of starts.
        first = min((_start(turn) for turn in fresh), default=self._start)
        held = [turn for turn in held if turn.words]
        self._held = [turn for turn in held if _start(turn) >= first] + fresh
        return self.segments([turn for turn in held if _start(turn) < first])

    def flush(self) -> list[Segment]:
        self._check_open()
        self._closed = True
        return self.segments([turn for turn in self._settle(self._held) if turn.words])

    @property
    def count(self) -> int:
        """Segments given out so far."""
        return self._count

    @property
    def last_start(self) -> int:
        """Start of the last segment."""
        return self._start

    def go_on(self, count: int, start: int) -> None:
        """Number further segments from `count` on; none starts before `start`."""
        self._count, self._start = count, start

    def without_given(self, given: Sequence[DecodedTurn], turns: Sequence[DecodedTurn]) -> list[DecodedTurn]:
        """`turns` without the words that belong to another of them or to one of `given`; those left without any are
        left out."""
        fresh = self._settle([turn for turn in (self._trim(turn) for turn in turns) if turn.words])
        kept = []
        for turn in fresh:
            for old in given:
                if _goes_on(old, turn):
                    continue  # what is out of it has been left out already, and people do say a word twice
                if turn.words and overlap(_start(turn), _end(turn), _start(old), _end(old)):
                    turn = self._without_old(old, turn)
            if turn.words:
                kept.append(turn)
        return kept

    def _without_old(self, old: DecodedTurn, fresh: DecodedTurn) -> DecodedTurn:
        pairs = _echoes(old.words, fresh.words, self._rules.echo_samples)
        long_run = _runs(pairs, self._rules.echo_words)
        both = {
            pair
            for pair in pairs
            if old.turn.speaker != fresh.turn.speaker
            and _holds(old.turn, old.words[pair[0]])
            and _holds(fresh.turn, fresh.words[pair[1]])
        }
        # One speaker cannot say a word twice at a moment; two can ("yeah"), but not several words in a row.
        return _without(fresh, {pair[1] for pair in pairs if pair not in both or pair in long_run})

    def _trim(self, decoded: DecodedTurn) -> DecodedTurn:
        """Drop words further outside the turn than the margin; a decoder heard them in its context, not in this
        turn."""
        start, end = decoded.turn.start - self._rules.margin_samples, decoded.turn.end + self._rules.margin_samples
        return replace(decoded, words=tuple(word for word in decoded.words if start <= _middle(word) < end))

    def _settle(self, turns: Sequence[DecodedTurn]) -> list[DecodedTurn]:
        """Take from every turn the words that another turn owns; as many turns as came in, some perhaps without
        words."""
        kept = list(turns)
        for i in range(len(kept)):
            for j in range(i + 1, len(kept)):
                a, b = kept[i], kept[j]
                if not a.words or not b.words:
                    continue
                near = overlap(
                    a.turn.start - self._rules.margin_samples,
                    a.turn.end + self._rules.margin_samples,
                    b.turn.start,
                    b.turn.end,
                )
                if near or overlap(_start(a), _end(a), _start(b), _end(b)):
                    kept[i], kept[j] = self._share(a, b)
        return kept

    def _share(self, a: DecodedTurn, b: DecodedTurn) -> tuple[DecodedTurn, DecodedTurn]:
        pairs = _echoes(a.words, b.words, self._rules.echo_samples)
        long_run = _runs(pairs, self._rules.echo_words)
        drop_a: set[int] = set()
        drop_b: set[int] = set()
        for pair in pairs:
            i, j = pair
            inside_a, inside_b = _holds(a.turn, a.words[i]), _holds(b.turn, b.words[j])
            if inside_a and inside_b and pair not in long_run:
                continue  # both speak here, and people do say the same word at once ("yeah")
            if inside_a == inside_b:
                (drop_b if _prefer_first(a, b, pairs) else drop_a).add(j if _prefer_first(a, b, pairs) else i)
            elif inside_a:
                drop_b.add(j)
            else:
                drop_a.add(i)
        return _without(a, drop_a), _without(b, drop_b)

    def segments(self, turns: Sequence[DecodedTurn]) -> list[Segment]:
        """Number settled turns as segments, in the order of their starts."""
        segments = []
        for decoded in sorted(turns, key=lambda turn: (_start(turn), turn.turn.speaker)):
            self._start = max(self._start, _start(decoded))
            end = max(_end(decoded), self._start)
            segments.append(
                Segment(f"seg_{self._count:06d}", decoded.turn.speaker, self._start, end, decoded.words, decoded.flags)
            )
            self._count += 1
        return segments

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the stitcher was flushed")


def _goes_on(old: DecodedTurn, fresh: DecodedTurn) -> bool:
    """Whether one is the rest of the other, cut in mid-sentence."""
    return old.turn.speaker == fresh.turn.speaker and old.turn.end == fresh.turn.start


def _middle(word: Word) -> int:
    return (word.start + word.end) // 2


def _start(decoded: DecodedTurn) -> int:
    return decoded.words[0].start


def _end(decoded: DecodedTurn) -> int:
    return max(word.end for word in decoded.words)


def _holds(turn: DecodeTurn, word: Word) -> bool:
    return turn.start <= _middle(word) < turn.end


def _key(word: Word) -> str:
    return "".join(c for c in word.text.casefold() if c.isalnum())


def _echoes(a: Sequence[Word], b: Sequence[Word], reach: int) -> list[tuple[int, int]]:
    """Index pairs of equal words said at nearly the same moment, each word in at most one pair, in order of time."""
    pairs: list[tuple[int, int]] = []
    begin = 0
    for i, word in enumerate(a):
        for j in range(begin, len(b)):
            if abs(_middle(word) - _middle(b[j])) <= reach and _key(word) == _key(b[j]) != "":
                pairs.append((i, j))
                begin = j + 1
                break
    return pairs


def _runs(pairs: Sequence[tuple[int, int]], least: int) -> set[tuple[int, int]]:
    """The pairs that stand in runs of at least `least` neighbouring words."""
    found: set[tuple[int, int]] = set()
    run: list[tuple[int, int]] = []
    for pair in pairs:
        if run and (pair[0] - run[-1][0] > 2 or pair[1] - run[-1][1] > 2):
            run = []
        run.append(pair)
        if len(run) >= least:
            found.update(run)
    return found


def _prefer_first(a: DecodedTurn, b: DecodedTurn, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whose sound an echo is: the speaker for whom it is the smaller part of what they say (it goes on in their own
    words), and for equals the more confident one."""
    part_a, part_b = len(pairs) / len(a.words), len(pairs) / len(b.words)
    if part_a != part_b:
        return part_a < part_b
    return sum(a.words[i].confidence for i, _ in pairs) >= sum(b.words[j].confidence for _, j in pairs)


def _without(decoded: DecodedTurn, dropped: set[int]) -> DecodedTurn:
    if not dropped:
        return decoded
    return replace(decoded, words=tuple(word for i, word in enumerate(decoded.words) if i not in dropped))
