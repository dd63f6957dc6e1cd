"""Decoded turns -> segments at once: every word once, against what has been given out already.

Like `Stitcher`, but nothing is held back for the next answer: where two answers share a word, the one that is out keeps
it. In: `Decoded` answers in the order of their windows. Out: `Segment`s in the order of their starts.
"""

from __future__ import annotations

from app.core.block import StreamClosed
from app.core.state import BadState, State
from app.core.stitch import Stitcher, StitchRules
from app.core.types import Decoded, DecodedTurn, DecodeTurn, Segment, Word

KEPT_TURNS = 24
"""Turns given out that new words are compared with."""


class LiveStitcher:
    """Memory: the last few turns given out."""

    def __init__(self, rules: StitchRules) -> None:
        self._inner = Stitcher(rules)
        self._given: list[DecodedTurn] = []
        self._closed = False

    @property
    def count(self) -> int:
        """Segments given out so far."""
        return self._inner.count

    def push(self, item: Decoded) -> list[Segment]:
        self._check_open()
        fresh = self._fresh(item)
        self._given = [*self._given, *fresh][-KEPT_TURNS:]
        return self._inner.segments(fresh)

    def said(self, speaker: int) -> list[Word]:
        """A speaker's words among the last turns given out, in order of time."""
        return [word for turn in self._given if turn.turn.speaker == speaker for word in turn.words]

    def preview(self, item: Decoded) -> list[DecodedTurn]:
        """The turns of an answer without the words that are out already; changes nothing."""
        return self._fresh(item)

    def flush(self) -> list[Segment]:
        self._check_open()
        self._closed = True
        return []

    def dump(self) -> State:
        """The state as JSON values."""
        turns = [
            [t.turn.start, t.turn.end, t.turn.speaker, [[w.text, w.start, w.end, w.confidence] for w in t.words]]
            for t in self._given
        ]
        return {"given": turns, "count": self._inner.count, "start": self._inner.last_start}

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._given = [
                DecodedTurn(
                    DecodeTurn(int(start), int(end), int(speaker)),
                    tuple(Word(str(text), int(a), int(b), float(sure)) for text, a, b, sure in words),
                )
                for start, end, speaker, words in state["given"]
            ]
            self._inner.go_on(int(state["count"]), int(state["start"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the stitcher's state is damaged") from error

    def _fresh(self, item: Decoded) -> list[DecodedTurn]:
        return self._inner.without_given(self._given, item.turns)

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the stitcher was flushed")
