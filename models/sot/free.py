"""Free mode: the model is told nothing of who speaks when and writes speakers and times itself, in the same stream.

    sound, <free>, then per turn:  slot start WORDS end      and <end> after the last one

Plain serialized output training (SOT, arXiv 2003.12687; with an LLM: arXiv 2408.17431) with the turns' times, so that
the same weights can be measured with and without given turns. Slots are numbered by first appearance. `Grammar` says
what may come next: what is written under it always parses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import torch

from models.sot.tokens import Layout, Symbol


@dataclass(frozen=True, slots=True)
class FreeTurn:
    """slot: by first appearance; start, end: steps of the time grid from the window's start; tokens: of the text."""

    slot: int
    start: int
    end: int
    tokens: tuple[int, ...]


class Place(Enum):
    """Where in the stream the next id stands."""

    TURN = auto()
    START = auto()
    WORDS = auto()
    DONE = auto()


def write_free_prompt(layout: Layout) -> list[int]:
    """Ids between the sound and the answer."""
    return [layout.symbol(Symbol.FREE)]


def write_free(turns: Sequence[FreeTurn], layout: Layout) -> list[int]:
    """Ids of an answer with its `<end>`. Raises ValueError where the turns break the grammar."""
    ids: list[int] = []
    for turn in turns:
        ids += [
            layout.first_slot + turn.slot,
            layout.first_time + turn.start,
            *turn.tokens,
            layout.first_time + turn.end,
        ]
    ids.append(layout.end_token)
    grammar = Grammar(layout, layout.times)
    for place, item in enumerate(ids):
        if not grammar.allows(item):
            raise ValueError(f"position {place}: id {item} may not stand here")
        grammar.take(item)
    return ids


@dataclass(slots=True)
class Grammar:
    """What may follow, and the turns so far. steps: the window's last step of the time grid."""

    layout: Layout
    steps: int
    place: Place = Place.TURN
    turns: list[FreeTurn] = field(default_factory=list)
    _slot: int = 0
    _start: int = 0
    _tokens: list[int] = field(default_factory=list)

    def allows(self, item: int) -> bool:
        """Whether an id may come next."""
        return 0 <= item < self.layout.size and bool(self.mask()[item])

    def mask(self) -> torch.Tensor:
        """(layout.size,) bool: the ids that may come next. A turn starts no earlier than the one before."""
        layout = self.layout
        allowed = torch.zeros(layout.size, dtype=torch.bool)
        last = layout.first_time + self.steps + 1
        if self.place is Place.TURN:
            known = 1 + max((turn.slot for turn in self.turns), default=-1)
            allowed[layout.first_slot : layout.first_slot + min(known + 1, layout.slots)] = True
            allowed[layout.end_token] = True
        elif self.place is Place.START:
            earliest = self.turns[-1].start if self.turns else 0
            allowed[layout.first_time + min(earliest, self.steps) : last] = True
        elif self.place is Place.WORDS:
            allowed[: layout.vocab_size] = True
            allowed[layout.end_token] = False
            allowed[layout.first_time + self._start : last] = True
        return allowed

    def take(self, item: int) -> None:
        """Go on by an id that is allowed."""
        layout = self.layout
        if self.place is Place.TURN and item == layout.end_token:
            self.place = Place.DONE
        elif self.place is Place.TURN:
            self._slot, self.place = item - layout.first_slot, Place.START
        elif self.place is Place.START:
            self._start, self._tokens, self.place = item - layout.first_time, [], Place.WORDS
        elif item >= layout.first_time:
            self.turns.append(FreeTurn(self._slot, self._start, item - layout.first_time, tuple(self._tokens)))
            self.place = Place.TURN
        else:
            self._tokens.append(item)

    def finish(self) -> tuple[FreeTurn, ...]:
        """All turns; one that was cut off in its words goes to the window's end."""
        cut = self.place is Place.WORDS and self._tokens
        return (*self.turns, *([FreeTurn(self._slot, self._start, self.steps, tuple(self._tokens))] if cut else []))
