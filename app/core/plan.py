"""Turns -> decode windows: which stretch of sound is decoded at once, and which turns are written in it.

In: `Turn`s in the order of their starts. Out: `Plan`s, cut where nobody speaks if there is such a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.block import StreamClosed
from app.core.state import BadState, State
from app.core.types import DecodeTurn, Turn


@dataclass(frozen=True, slots=True)
class PlanRules:
    """max_samples: longest sound of one request, margins included; margin_samples: sound kept before and after the
    turns; before_samples: sound before the turns, where that is more than the margin: what was said before them, which
    the decoder hears but does not write."""

    max_samples: int
    margin_samples: int = 8000
    before_samples: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A decode request without its sound: [start, end) of the meeting (the end may lie behind the sound's end)."""

    index: int
    start: int
    end: int
    turns: tuple[DecodeTurn, ...]


class Planner:
    """Groups turns greedily into windows as long as allowed. A turn longer than a window is never asked of it:
    `TurnRules.max_samples` must leave room for the margins."""

    def __init__(self, rules: PlanRules) -> None:
        self._rules = rules
        self._lead = max(rules.margin_samples, rules.before_samples)
        self._room = rules.max_samples - self._lead - rules.margin_samples
        self._group: list[Turn] = []
        self._before: list[Turn] = []
        self._index = 0
        self._closed = False

    def push(self, item: Turn) -> list[Plan]:
        """Raises ValueError for a turn out of order or longer than a window."""
        self._check_open()
        if item.end - item.start > self._room:
            raise ValueError(f"a turn of {item.end - item.start} samples does not fit a window of {self._room}")
        if self._group and item.start < self._group[-1].start:
            raise ValueError("turns must come in the order of their starts")
        plans = []
        while self._group and max(item.end, self._group_end()) - self._group[0].start > self._room:
            plans.append(self._emit(self._cut(item), item))
        self._group.append(item)
        return plans

    def release(self, upcoming: Sequence[Turn] = ()) -> list[Plan]:
        """Give out the turns so far without waiting for company; `upcoming`: turns known to come, as context."""
        self._check_open()
        if not self._group:
            return []
        plan = self._emit(len(self._group), None, upcoming)
        self._before = [turn for turn in self._before if turn.end > plan.start - self._room]
        return [plan]

    def peek(self, turns: Sequence[Turn], end: int) -> Plan:
        """A plan for turns that go on, asked as open ones; it is not remembered. end: of the sound."""
        plan = self._open_plan(self._index, turns, end, self._lead)
        self._index += 1
        return plan

    def glance(self, turns: Sequence[Turn], end: int, before: int) -> Plan:
        """The same for what is shown but does not count, with so much sound before the turns."""
        return self._open_plan(-1, turns, end, before)

    def note(self, turn: Turn) -> None:
        """Part of a turn that was written by a `peek`."""
        self._before = [it for it in (*self._before, turn) if it.end > turn.start - self._room]

    def _open_plan(self, index: int, turns: Sequence[Turn], end: int, before: int) -> Plan:
        start = max(0, min(turn.start for turn in turns) - before, end - self._rules.max_samples)
        context = [turn for turn in self._before if turn.start < end and turn.end > start]
        asked = [DecodeTurn(max(it.start, start), min(it.end, end), it.speaker, open=True) for it in turns]
        asked += [DecodeTurn(max(it.start, start), min(it.end, end), it.speaker, ask=False) for it in context]
        sorted_ = sorted((it for it in asked if it.start < it.end), key=lambda turn: (turn.start, turn.speaker))
        return Plan(index, start, end, tuple(sorted_))

    def dump(self) -> State:
        """The state as JSON values; right behind a `release` only, when no turn waits."""
        return {"index": self._index, "before": [[t.start, t.end, t.speaker] for t in self._before]}

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._index = int(state["index"])
            self._before = [Turn(int(start), int(end), int(speaker)) for start, end, speaker in state["before"]]
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the planner's state is damaged") from error

    def flush(self) -> list[Plan]:
        self._check_open()
        self._closed = True
        return [self._emit(len(self._group), None)] if self._group else []

    def _group_end(self) -> int:
        return max(turn.end for turn in self._group)

    def _cut(self, upcoming: Turn) -> int:
        """How many turns of the group go out now: up to the longest pause in its second half, else to the least
        overlap."""
        following = [*self._group[1:], upcoming]
        reach = self._group[0].end
        best, best_pause = len(self._group), None
        half = self._group[0].start + self._room // 2
        for count, after in enumerate(following, start=1):
            reach = max(reach, self._group[count - 1].end)
            pause = after.start - reach
            if (after.start >= half or count == len(self._group)) and (best_pause is None or pause >= best_pause):
                best, best_pause = count, pause
        return best

    def _emit(self, count: int, upcoming: Turn | None, known: Sequence[Turn] = ()) -> Plan:
        asked, rest = self._group[:count], self._group[count:]
        start = asked[0].start - self._lead
        end = max(turn.end for turn in asked) + self._rules.margin_samples
        after = [*rest, upcoming] if upcoming is not None else rest
        context = [turn for turn in (*self._before, *after, *known) if turn.start < end and turn.end > start]
        turns = sorted(
            [DecodeTurn(turn.start, turn.end, turn.speaker) for turn in asked]
            + [DecodeTurn(max(turn.start, start, 0), min(turn.end, end), turn.speaker, ask=False) for turn in context],
            key=lambda turn: (turn.start, turn.speaker),
        )
        plan = Plan(self._index, max(0, start), end, tuple(turns))
        self._index += 1
        self._before = [turn for turn in (*self._before, *asked) if turn.end > asked[-1].start - self._room]
        self._group = rest
        return plan

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the planner was flushed")
