"""Turns of which a part is final and which go on: where each was cut, and which decoded words are new.

In: plans and answers by the tracker's speakers. Out: the same, with what is out already asked again in front of a cut
and left out of the answer (`app/core/live_commit.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.live_commit import CommitRules, cut_behind, words_final, words_out
from app.core.plan import Plan
from app.core.state import BadState, State
from app.core.types import DecodedTurn, DecodeTurn, Word


@dataclass(frozen=True, slots=True)
class _Cut:
    """began: of the turn as a whole; at: where what is not final begins. In samples."""

    began: int
    at: int


class Continued:
    """Memory: two numbers per speaker who was cut."""

    def __init__(self, rules: CommitRules) -> None:
        self._rules = rules
        self._cuts: dict[int, _Cut] = {}

    def cut(self, speaker: int, start: int, at: int) -> None:
        """A turn that began at `start`, or was cut there last time, is final up to `at`."""
        before = self._cuts.get(speaker)
        began = before.began if before is not None and before.at == start else start
        self._cuts[speaker] = _Cut(began, at)

    def reach_back(self, plan: Plan) -> Plan:
        """Asked turns that go on behind a cut, with some of what lies in front of it."""
        asked = {turn: self._from(turn, plan.start) for turn in plan.turns if turn.ask}
        turns = [replace(turn, start=start) for turn, start in asked.items()]
        for turn in plan.turns:
            if not turn.ask:
                end = min([turn.end, *(start for it, start in asked.items() if it.speaker == turn.speaker)])
                turns += [replace(turn, end=end)] if turn.start < end else []
        return replace(plan, turns=tuple(sorted(turns, key=lambda turn: (turn.start, turn.speaker))))

    def fresh(self, decoded: DecodedTurn, given: Sequence[Word]) -> DecodedTurn:
        """An answer without the words that are out already; `given`: the speaker's, in order of time."""
        cut = self._cuts.get(decoded.turn.speaker)
        if cut is None or not cut.began <= decoded.turn.start < cut.at <= decoded.turn.end:
            return decoded
        count = words_out(decoded.words, given, cut.at, self._rules)
        return replace(decoded, turn=replace(decoded.turn, start=cut.at), words=decoded.words[count:])

    def divide(self, decoded: DecodedTurn, frontier: int) -> tuple[DecodedTurn, DecodedTurn] | None:
        """An open turn's answer as the part that is final and the rest, which begins where the first part ends; None
        while no word is final. frontier: up to where speakers are decided."""
        until, words, turn = frontier - self._rules.guard_samples, decoded.words, decoded.turn
        count = words_final(words, until, self._rules)
        if not count and (words or frontier - turn.start < 2 * self._rules.open_samples):
            return None  # without any words, it is heard again with more sound before that is believed
        at = max(turn.start, cut_behind(words, count, until))
        first, rest = DecodeTurn(turn.start, at, turn.speaker), replace(turn, start=at)
        return replace(decoded, turn=first, words=words[:count]), replace(decoded, turn=rest, words=words[count:])

    def dump(self) -> State:
        """The state as JSON values."""
        return {"cuts": [[speaker, cut.began, cut.at] for speaker, cut in sorted(self._cuts.items())]}

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._cuts = {int(speaker): _Cut(int(began), int(at)) for speaker, began, at in state["cuts"]}
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the cuts' state is damaged") from error

    def _from(self, turn: DecodeTurn, earliest: int) -> int:
        cut = self._cuts.get(turn.speaker)
        if cut is None or cut.at != turn.start:
            return turn.start
        return min(turn.start, max(cut.began, cut.at - self._rules.back_samples, earliest))
