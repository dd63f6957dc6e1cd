"""The prompt and answer format of the SOT decoder, as pure functions shared by training and decoding.

    sound, then per turn:  <turn> slot start end|<open> [<text> first-pass text] <say> ANSWER <end>

One integer stands for every position. Ids below the LLM's vocabulary are its tokens; above it lie symbols, slots and
times, which stand in prompts only, so that the LLM needs no new vocabulary. `<end>` is a token that the LLM has.
Form: `serialized output` of turns in order of (start, speaker) (SOT, arXiv 2003.12687), diarization given as in DM-ASR
(arXiv 2604.22467), first-pass text as in serialized output prompting (arXiv 2509.04488).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Symbol(IntEnum):
    """Marks of the prompt; each has an embedding of its own."""

    TURN = 0
    TEXT = 1
    SAY = 2
    OPEN = 3
    FREE = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each kind of id lies. vocab_size, end_token: of the LLM; slots: of speakers; times: steps 0 ... times."""

    vocab_size: int
    end_token: int
    slots: int
    times: int

    @property
    def first_slot(self) -> int:
        """Id of slot 0."""
        return self.vocab_size + len(Symbol)

    @property
    def first_time(self) -> int:
        """Id of time 0."""
        return self.first_slot + self.slots

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return self.first_time + self.times + 1

    def symbol(self, symbol: Symbol) -> int:
        """Id of a mark."""
        return self.vocab_size + symbol


@dataclass(frozen=True, slots=True)
class TurnPrompt:
    """What the model is told about a turn before it writes.

    start, end: steps of the time grid from the window's start; end is None while the turn goes on
    first_pass: tokens of the first-pass text; None where there is none to be had, () where the first pass heard nothing
    """

    slot: int
    start: int
    end: int | None
    first_pass: tuple[int, ...] | None = None


def write_prompt(turn: TurnPrompt, layout: Layout) -> list[int]:
    """Ids of a turn's prompt, up to and with `<say>`.

    Raises:
        ValueError: the slot or a time is outside the layout, or the first-pass text holds what is not text.
    """
    if not 0 <= turn.slot < layout.slots:
        raise ValueError(f"slot {turn.slot} is not one of {layout.slots}")
    for step in (turn.start, turn.end):
        if step is not None and not 0 <= step <= layout.times:
            raise ValueError(f"time step {step} is outside the window of {layout.times}")
    end = layout.symbol(Symbol.OPEN) if turn.end is None else layout.first_time + turn.end
    ids = [layout.symbol(Symbol.TURN), layout.first_slot + turn.slot, layout.first_time + turn.start, end]
    if turn.first_pass is not None:
        ids += [layout.symbol(Symbol.TEXT), *_text(turn.first_pass, layout)]
    return [*ids, layout.symbol(Symbol.SAY)]


def write_answer(tokens: Sequence[int], layout: Layout) -> list[int]:
    """Ids of an answer with its `<end>`. Raises ValueError where it holds what is not text."""
    return [*_text(tokens, layout), layout.end_token]


def parse(ids: Sequence[int], layout: Layout) -> list[tuple[TurnPrompt, tuple[int, ...]]]:
    """The turns and their answers, from the ids of a whole window.

    Raises:
        ValueError: the ids do not follow the format; names the position.
    """
    turns, place = [], 0
    while place < len(ids):
        if ids[place] != layout.symbol(Symbol.TURN) or place + 4 > len(ids):
            raise ValueError(f"position {place}: a turn should begin here")
        slot, start = ids[place + 1] - layout.first_slot, ids[place + 2] - layout.first_time
        is_open = ids[place + 3] == layout.symbol(Symbol.OPEN)
        end = None if is_open else ids[place + 3] - layout.first_time
        place += 4
        first_pass: tuple[int, ...] | None = None
        if place < len(ids) and ids[place] == layout.symbol(Symbol.TEXT):
            say = _find(ids, layout.symbol(Symbol.SAY), place)
            first_pass, place = tuple(ids[place + 1 : say]), say
        if place >= len(ids) or ids[place] != layout.symbol(Symbol.SAY):
            raise ValueError(f"position {place}: <say> should stand here")
        stop = _find(ids, layout.end_token, place)
        turn = TurnPrompt(slot, start, end, first_pass)
        if write_prompt(turn, layout) != list(ids[place - len(write_prompt(turn, layout)) + 1 : place + 1]):
            raise ValueError(f"position {place}: the prompt before it is malformed")
        turns.append((turn, tuple(_text(ids[place + 1 : stop], layout))))
        place = stop + 1
    return turns


def activity(spans: Sequence[tuple[int, int, int]], frames: int, slots: int, step: int) -> NDArray[np.float32]:
    """Who speaks when, as the model hears it.

    Args:
        spans: (start, end, slot), the first two in samples.
        frames, slots: size of the answer.
        step: samples per frame.

    Returns:
        (frames, slots) float32: the share of each frame that a slot's spans cover, at most 1.
    """
    marks = np.zeros((frames, slots), dtype=np.float32)
    edges = np.arange(frames + 1) * step
    for start, end, slot in spans:
        covered = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        marks[:, slot] += np.maximum(covered, 0).astype(np.float32) / step
    return np.minimum(marks, 1.0)


def _text(tokens: Sequence[int], layout: Layout) -> list[int]:
    for token in tokens:
        if not 0 <= token < layout.vocab_size or token == layout.end_token:
            raise ValueError(f"id {token} is not text")
    return list(tokens)


def _find(ids: Sequence[int], wanted: int, begin: int) -> int:
    for place in range(begin, len(ids)):
        if ids[place] == wanted:
            return place
    raise ValueError(f"position {begin}: id {wanted} should follow")
