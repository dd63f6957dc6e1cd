"""Prepared windows -> what the model reads: prompts, answers and who speaks when, disturbed at random in training.

An example depends on (seed, epoch, its window) alone, so that a resumed run sees the same as one that never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.sot.config import SotConfig
from models.sot.free import FreeTurn, write_free, write_free_prompt
from models.sot.modeling import IGNORED, Sequences
from models.sot.text import Encode
from models.sot.tokens import Layout, TurnPrompt, activity, write_answer, write_prompt
from models.training.recipe import PerturbSettings
from models.training.shards import PreparedTurn, PreparedWindow, read_states
from models.training.style import learn_case, restore

UNDISTURBED = PerturbSettings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_MIN_TURN_SAMPLES = 1600
_FEW_SLOTS, _FEW_SHARE = 4, 0.7


@dataclass(frozen=True, slots=True)
class Example:
    """One window for the model; see `Sequences` for the shapes."""

    states: torch.Tensor
    activity: torch.Tensor
    ids: torch.Tensor
    labels: torch.Tensor

    @property
    def length(self) -> int:
        """How long it is, for batches of like length."""
        return len(self.states)


class Examples:
    """Makes examples from the windows of a prepared set."""

    def __init__(
        self, windows: Sequence[PreparedWindow], config: SotConfig, layout: Layout, encode: Encode, seed: int
    ) -> None:
        """encode: text to the LLM's tokens, without special ones."""
        self.windows = list(windows)
        self._config = config
        self._layout = layout
        self._encode = encode
        self._seed = seed
        self._case = case_of(windows)

    def order(self, epoch: int) -> list[int]:
        """The windows of an epoch, shuffled."""
        return shuffled(len(self.windows), self._seed, epoch)

    def reference(self, turn: PreparedTurn) -> str:
        """The formatted text that the model should write for a turn."""
        return restore(turn.text, turn.first_pass, self._case)

    def make(self, index: int, epoch: int, perturb: PerturbSettings) -> Example:
        """Window number `index` as it is in an epoch."""
        window = self.windows[index]
        rng = np.random.default_rng([self._seed, epoch, index])
        if rng.random() < perturb.free:
            return self.make_free(index)
        slots = self._slots(window, perturb is not UNDISTURBED, rng)
        spans = [moved(turn, window.samples, perturb.jitter_samples, rng) for turn in window.turns]
        ids: list[int] = []
        labels: list[int] = []
        order = sorted(range(len(spans)), key=lambda i: (spans[i][0], window.turns[i].speaker))
        for i in order:
            if rng.random() < perturb.skip_turn and len(spans) > 1:
                continue
            prompt = write_prompt(self._prompt(window, i, (spans[i], slots), perturb, rng), self._layout)
            answer = write_answer(self.tokens(self.reference(window.turns[i])), self._layout)
            ids += prompt + answer
            labels += [IGNORED] * len(prompt) + answer
        states = read_states(window).float()
        if rng.random() < perturb.drop_sound:
            states = torch.zeros_like(states)
        steps = -(-len(states) // self._config.projector.stack)
        spoken = [(*span, slots[turn.speaker]) for span, turn in zip(spans, window.turns, strict=True)]
        marks = activity(spoken, steps, self._layout.slots, self._config.step_samples)
        if rng.random() < perturb.drop_activity:
            marks[:] = 0.0
        return Example(
            states, torch.from_numpy(marks), torch.tensor(ids, dtype=torch.long), torch.tensor(labels, dtype=torch.long)
        )

    def make_free(self, index: int) -> Example:
        """Window number `index` without turns: the model writes who speaks when itself."""
        window, step = self.windows[index], self._config.step_samples
        last = self._layout.times
        spoken = sorted((turn for turn in window.turns if turn.text), key=lambda turn: (turn.start, turn.speaker))
        slots = {speaker: slot for slot, speaker in enumerate(dict.fromkeys(turn.speaker for turn in spoken))}
        turns = [
            FreeTurn(
                slots[turn.speaker],
                min(turn.start // step, last),
                min(-(-turn.end // step), last),
                self.tokens(self.reference(turn)),
            )
            for turn in spoken
        ]
        prompt, answer = write_free_prompt(self._layout), write_free(turns, self._layout)
        states = read_states(window).float()
        marks = torch.zeros(-(-len(states) // self._config.projector.stack), self._layout.slots)
        labels = torch.tensor([IGNORED] * len(prompt) + answer, dtype=torch.long)
        return Example(states, marks, torch.tensor(prompt + answer, dtype=torch.long), labels)

    def collate(self, examples: Sequence[Example], device: str) -> Sequences:
        """Examples together, on a device."""
        return Sequences(
            [item.states.to(device) for item in examples],
            [item.activity.to(device) for item in examples],
            [item.ids.to(device) for item in examples],
            [item.labels.to(device) for item in examples],
        )

    def tokens(self, text: str) -> tuple[int, ...]:
        """A text's tokens, as one that follows a mark; nothing for no text."""
        return tuple(self._encode(" " + text.strip())) if text.strip() else ()

    def _slots(self, window: PreparedWindow, shuffle: bool, rng: np.random.Generator) -> list[int]:
        count = len(window.speakers)
        if not shuffle:
            return list(range(count))
        few = count <= _FEW_SLOTS and rng.random() < _FEW_SHARE
        return [int(slot) for slot in rng.permutation(_FEW_SLOTS if few else self._layout.slots)[:count]]

    def _prompt(
        self,
        window: PreparedWindow,
        place: int,
        where: tuple[tuple[int, int], Sequence[int]],
        perturb: PerturbSettings,
        rng: np.random.Generator,
    ) -> TurnPrompt:
        (start, end), slots = where
        slot = slots[window.turns[place].speaker]
        if rng.random() < perturb.wrong_speaker:
            slot = int(rng.integers(self._layout.slots))
        text = window.turns[place].first_pass
        if rng.random() < perturb.swap_text:
            text = window.turns[int(rng.integers(len(window.turns)))].first_pass
        given = None if rng.random() < perturb.drop_text else self.tokens(text)
        step = self._config.step_samples
        return TurnPrompt(slot, start // step, -(-end // step), given)


def case_of(windows: Sequence[PreparedWindow]) -> dict[str, str]:
    """How words are written, by all texts of a set."""
    return learn_case(text for window in windows for turn in window.turns for text in (turn.first_pass, turn.text))


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The places of an epoch, shuffled."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(count)]


def moved(turn: PreparedTurn, samples: int, jitter: float, rng: np.random.Generator) -> tuple[int, int]:
    """[start, end) of a turn in a window of so many samples, its borders moved at random by `jitter` (deviation)."""
    by = rng.normal(0.0, jitter, 2) if jitter > 0 else np.zeros(2)
    start = min(max(0, round(turn.start + by[0])), samples - _MIN_TURN_SAMPLES)
    return start, min(max(start + _MIN_TURN_SAMPLES, round(turn.end + by[1])), samples)
