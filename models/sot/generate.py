"""Greedy writing of the turns of windows, many windows at once, with a key-value cache shared by the turns of a window.

Round k feeds the prompt of every window's k-th turn and writes the answers together. Windows differ in length, so the
cache holds padding between their parts, which attention is told to skip; positions count what is not padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from models.sot.modeling import SotModel
from models.sot.tokens import TurnPrompt, write_prompt


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """prompt: the turn; limit: most tokens of its answer."""

    prompt: TurnPrompt
    limit: int


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """states: (frames, encoder width) of a window; activity: (steps, slots); turns: to write, in SOT order."""

    states: torch.Tensor
    activity: torch.Tensor
    turns: Sequence[TurnRequest]


@dataclass(slots=True)
class Answer:
    """tokens: without the end mark; logprobs: natural logarithm of each token's probability; ended: by the end mark."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False


class _Stream:
    """Several token streams in one batch, and the cache of what they have read."""

    def __init__(self, model: SotModel, rows: int) -> None:
        self._model = model
        self._cache = DynamicCache()
        self._real = torch.zeros((rows, 0), dtype=torch.long, device=model.llm.device)

    def feed(self, parts: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Read the next part of each stream, (positions, width) each; None leaves a stream where it is.

        Returns:
            (rows, vocabulary) float32 logits after each stream's last position; of no meaning where nothing was fed.
        """
        llm, device = self._model.llm, self._real.device
        longest = max(len(part) for part in parts if part is not None)
        width = self._model.config.llm_width
        inputs = torch.zeros((len(parts), longest, width), dtype=llm.dtype, device=device)
        fresh = torch.zeros((len(parts), longest), dtype=torch.long, device=device)
        for row, part in enumerate(parts):
            if part is not None:
                inputs[row, : len(part)] = part.to(llm.dtype)
                fresh[row, : len(part)] = 1
        seen = self._real.sum(dim=1, keepdim=True)
        self._real = torch.cat([self._real, fresh], dim=1)
        hidden = llm.base_model(
            inputs_embeds=inputs,
            attention_mask=self._real,
            position_ids=(seen + fresh.cumsum(dim=1) - 1).clamp(min=0),
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        last = (fresh.sum(dim=1) - 1).clamp(min=0)
        picked = hidden[torch.arange(len(parts), device=device), last]
        return self._model.score(picked)


@torch.inference_mode()
def generate(model: SotModel, windows: Sequence[WindowRequest]) -> list[list[Answer]]:
    """Write all turns. An answer depends on its own window alone.

    Returns:
        One answer per turn, in the order asked.

    Raises:
        ValueError: a prompt does not fit the model's layout.
    """
    answers = [[Answer() for _ in window.turns] for window in windows]
    busy = [i for i, window in enumerate(windows) if window.turns]
    if not busy:
        return answers
    stream = _Stream(model, len(busy))
    device = model.llm.device
    heard = [model.sound(windows[i].states.to(device), windows[i].activity.to(device)) for i in busy]
    ending = torch.tensor([model.layout.end_token], device=device)
    for turn in range(max(len(windows[i].turns) for i in busy)):
        prompts: list[torch.Tensor | None] = [None] * len(busy)
        rows: list[Answer | None] = [None] * len(busy)
        limits = [0] * len(busy)
        for row, i in enumerate(busy):
            if turn < len(windows[i].turns):
                request = windows[i].turns[turn]
                ids = torch.tensor(write_prompt(request.prompt, model.layout), device=device)
                # The end mark of the answer before has not been fed: it was only just written.
                before = heard[row] if turn == 0 else model.embed_text(ending)
                prompts[row] = torch.cat([before, model.embed(ids)])
                rows[row], limits[row] = answers[i][turn], request.limit
        _write(model, stream, stream.feed(prompts), rows, limits)
    return answers


def _write(
    model: SotModel, stream: _Stream, logits: torch.Tensor, rows: Sequence[Answer | None], limits: Sequence[int]
) -> None:
    """Write one answer in every row that has one, until its end mark or its limit."""
    going = [answer is not None for answer in rows]
    while True:
        logprobs = logits[:, : model.layout.vocab_size].log_softmax(dim=-1)
        best, tokens = logprobs.max(dim=-1)
        parts: list[torch.Tensor | None] = [None] * len(rows)
        for row, answer in enumerate(rows):
            if answer is None or not going[row]:
                continue
            token = int(tokens[row])
            if token == model.layout.end_token or len(answer.tokens) >= limits[row]:
                answer.ended = token == model.layout.end_token
                going[row] = False
                continue
            answer.tokens.append(token)
            answer.logprobs.append(float(best[row]))
            parts[row] = model.embed_text(tokens[row : row + 1])
        if not any(going):
            return
        logits = stream.feed(parts)
