"""Evaluation on held-out windows with oracle turns: the first pass, the SOT decoder, and that with parts taken away.

Per turn: words in error against the reference, both through Whisper's English normaliser; summed over turns by how much
of the turn is overlapped. Where nobody speaks, every word is one too many and is counted apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from models.asr.features import SAMPLE_RATE_HZ
from models.asr.scoring import edits, make_normaliser
from models.decoders.repetition import first_repetition
from models.decoders.sot import SotRules, answer_limit
from models.sot.generate import Answer, TurnRequest, WindowRequest, generate
from models.sot.generate_free import generate_free
from models.sot.modeling import SotModel
from models.sot.text import Decode
from models.sot.tokens import TurnPrompt, activity
from models.training.examples import Examples
from models.training.shards import PreparedTurn, PreparedWindow, read_states

FIRST_PASS, WHOLE, NO_TEXT, NO_SOUND = "first pass", "sot", "sot without first pass", "sot without sound"
FREE = "sot free"
HEAVY = 0.5
NOBODY = "nobody speaks"
MEETING = "cpWER"
"""The kind under which whole windows are summed: words in error with each speaker's turns joined, speakers matched."""

_FREE_IDS_PER_S = 12
_FREE_SPARE_IDS = 24


@dataclass(slots=True)
class Score:
    """Sums over turns. loops, truncated: answers given up for the first pass's text."""

    turns: int = 0
    words: int = 0
    errors: int = 0
    written: int = 0
    loops: int = 0
    truncated: int = 0

    def add(self, words: int, errors: int, written: int, fault: str = "") -> None:
        """Count one more turn, or window."""
        self.turns += 1
        self.words += words
        self.errors += errors
        self.written += written
        self.loops += fault == "loop"
        self.truncated += fault == "truncated"

    def rate(self) -> float:
        """Words in error per word of the reference; 0 where there is none."""
        return self.errors / self.words if self.words else 0.0


Table = dict[str, dict[str, Score]]
"""Scores by system, then by kind of turn."""


class Evaluator:
    """Writes held-out windows and scores what was written."""

    def __init__(self, model: SotModel, examples: Examples, decode: Decode, batch: int = 4, trust: float = 0.0) -> None:
        """decode: tokens to text; batch: windows written at once; trust: as in `generate`."""
        self._model = model
        self._examples = examples
        self._decode = decode
        self._batch = batch
        self._trust = trust
        self._normal = make_normaliser()
        self._rules = SotRules()

    def run(self, systems: Sequence[str], report: Callable[[str], None]) -> Table:
        """Score the systems on all windows."""
        table: Table = {}
        for system in systems:
            began = time.monotonic()
            table[system] = {}
            windows = self._examples.windows
            for begin in range(0, len(windows), self._batch):
                part = windows[begin : begin + self._batch]
                if system == FREE:
                    self._count_free(table[system], part)
                    continue
                for window, answers in zip(part, self._write(part, system), strict=True):
                    self._count(table[system], window, answers, system)
            report(f"{system}: {len(windows)} windows in {time.monotonic() - began:.0f} s")
        return table

    def texts(self, windows: Sequence[PreparedWindow], system: str) -> list[list[str]]:
        """What a system writes, by window and turn."""
        return [
            [self._text(turn, answer)[0] for turn, answer in zip(window.turns, answers, strict=True)]
            for window, answers in zip(windows, self._write(windows, system), strict=True)
        ]

    def _count_free(self, scores: dict[str, Score], windows: Sequence[PreparedWindow]) -> None:
        """Nothing is given; only whole windows can be scored."""
        longest = max(window.samples for window in windows) / SAMPLE_RATE_HZ
        limit = _FREE_SPARE_IDS + round(_FREE_IDS_PER_S * longest)
        states = [read_states(window).float() for window in windows]
        for window, answer in zip(windows, generate_free(self._model, states, limit), strict=True):
            texts: dict[int, list[str]] = {}
            for turn in answer.turns:
                text = self._decode(turn.tokens).strip()
                loop = first_repetition(text.split())
                texts.setdefault(turn.slot, []).append(" ".join(text.split()[:loop]))
            fault = "" if answer.ended else "truncated"
            self._count_window(scores, window, {slot: " ".join(own) for slot, own in texts.items()}, fault)

    def _count_window(
        self, scores: dict[str, Score], window: PreparedWindow, found: Mapping[int, str], fault: str = ""
    ) -> None:
        """cpWER (CHiME-6, arXiv 2004.09249): speakers are matched so that the fewest words are in error."""
        said: dict[int, list[str]] = {}
        for turn in window.turns:
            said.setdefault(turn.speaker, []).append(turn.text)
        reference = [self._normal(" ".join(own)).split() for own in said.values()]
        written = [self._normal(text).split() for text in found.values()]
        spare = max(len(reference), len(written))
        rows = reference + [[]] * (spare - len(reference))
        columns = written + [[]] * (spare - len(written))
        costs = np.array([[edits(row, column) for column in columns] for row in rows])
        errors = int(costs[linear_sum_assignment(costs)].sum())
        spoken = sum(len(row) for row in reference)
        kind = MEETING if spoken else NOBODY
        written_words = sum(len(column) for column in written)
        scores.setdefault(kind, Score()).add(spoken, errors, written_words, fault)

    def _write(self, windows: Sequence[PreparedWindow], system: str) -> list[list[Answer | None]]:
        if system == FIRST_PASS:
            return [[None] * len(window.turns) for window in windows]
        written = generate(self._model, [self._request(window, system) for window in windows], trust=self._trust)
        return [list(answers) for answers in written]

    def _request(self, window: PreparedWindow, system: str) -> WindowRequest:
        config = self._model.config
        states = read_states(window).float()
        if system == NO_SOUND:
            states = torch.zeros_like(states)
        spans = [(turn.start, turn.end, turn.speaker) for turn in window.turns]
        steps = -(-len(states) // config.projector.stack)
        marks = torch.from_numpy(activity(spans, steps, config.slots, config.step_samples))
        return WindowRequest(states, marks, [self._turn(turn, system) for turn in window.turns])

    def _turn(self, turn: PreparedTurn, system: str) -> TurnRequest:
        step = self._model.config.step_samples
        given = None if system == NO_TEXT else self._examples.tokens(turn.first_pass)
        prompt = TurnPrompt(turn.speaker, turn.start // step, -(-turn.end // step), given)
        return TurnRequest(prompt, answer_limit(turn.end - turn.start, self._rules))

    def _text(self, turn: PreparedTurn, answer: Answer | None) -> tuple[str, str]:
        """(text, what was wrong with the answer), the first pass's text where it was no answer."""
        if answer is None:
            return turn.first_pass, ""
        text = self._decode(answer.tokens).strip()
        if first_repetition(text.split()) is not None:
            return turn.first_pass, "loop"
        return (text, "") if answer.ended else (turn.first_pass, "truncated")

    def _count(
        self, scores: dict[str, Score], window: PreparedWindow, answers: Sequence[Answer | None], system: str
    ) -> None:
        texts: dict[int, list[str]] = {}
        for turn, answer in zip(window.turns, answers, strict=True):
            text, fault = self._text(turn, answer)
            if fault and system == NO_TEXT:
                text = self._decode(answer.tokens) if answer is not None else text
            texts.setdefault(turn.speaker, []).append(text)
            reference, found = self._normal(turn.text).split(), self._normal(text).split()
            errors = edits(reference, found)
            for kind in (kind_of(turn), *((f"{window.group}",) if turn.text else ()), *(("all",) if turn.text else ())):
                scores.setdefault(kind, Score()).add(len(reference), errors, len(found), fault)
        if any(turn.text for turn in window.turns):
            self._count_window(scores, window, {speaker: " ".join(own) for speaker, own in texts.items()})


def kind_of(turn: PreparedTurn) -> str:
    """The kind of a turn by how much of it is overlapped."""
    if not turn.text:
        return NOBODY
    if turn.overlap == 0.0:
        return "no overlap"
    return "overlap below half" if turn.overlap < HEAVY else "overlap of half or more"


def render(table: Table) -> str:
    """The table as Markdown: words in error per reference word, in per cent."""
    kinds = sorted({kind for scores in table.values() for kind in scores} - {NOBODY, "all", MEETING})
    kinds = [*(kind for kind in ("all", MEETING) if any(kind in scores for scores in table.values())), *kinds]
    sizes = {kind: max(scores[kind].turns for scores in table.values() if kind in scores) for kind in kinds}
    head = ["system"]
    head += [f"{kind} ({sizes[kind]} {'windows' if kind == MEETING else 'turns'})" for kind in kinds]
    head += ["words where nobody speaks", "loops", "truncated"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for system, scores in table.items():
        silent, every = scores.get(NOBODY, Score()), scores.get("all", scores.get(MEETING, Score()))
        cells = [f"{100 * scores[kind].rate():.1f}" if kind in scores else "-" for kind in kinds]
        cells += [str(silent.written), str(every.loops + silent.loops), str(every.truncated + silent.truncated)]
        lines.append("| " + " | ".join([system, *cells]) + " |")
    return "\n".join(lines) + "\n"
