"""Greedy writing of the turns of windows, many windows at once, with a key-value cache shared by the turns of a window.

Round k feeds the prompt of every window's k-th turn and writes the answers together. Windows differ in length, so the
cache holds padding between their parts, which attention is told to skip; positions count what is not padding.

With each written token go guesses of the next ones (`models.sot.draft`). The LLM reads them in the same pass; the ones
that are what it would have written stay (speculative decoding, arXiv 2211.17192, greedy case), the others become
padding. The answer is the same as without guesses, but for rounding: passes of another shape may sum in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from models.pause import pause
from models.sot.draft import expected, guess
from models.sot.modeling import SotModel
from models.sot.tokens import TurnPrompt, write_prompt

DRAFT = 8
"""Most tokens guessed per pass."""


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


class TokenStream:
    """Several token streams in one batch, and the cache of what they have read."""

    def __init__(self, model: SotModel, rows: int, score: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """score: the LLM's last layer -> logits."""
        self._model = model
        self._score = score
        self._cache = DynamicCache()
        self._real = torch.zeros((rows, 0), dtype=torch.long, device=model.llm.device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._real.device

    def feed(self, parts: Sequence[torch.Tensor | None], guesses: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Read the next part of each stream, (positions, width) each; None leaves a stream where it is.

        Args:
            guesses: of each stream, what stands at the end of its part.

        Returns:
            Per stream (guesses + 1, vocabulary) float32 logits, after the last position before the guesses and after
            each guess; (0, vocabulary) where nothing was fed.
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
        tails = [
            hidden[row, 0:0] if part is None else hidden[row, len(part) - len(own) - 1 : len(part)]
            for row, (part, own) in enumerate(zip(parts, guesses, strict=True))
        ]
        return list(self._score(torch.cat(tails)).split_with_sizes([len(tail) for tail in tails]))

    def forget(self, row: int, count: int) -> None:
        """Make padding of the last `count` positions that a stream has read."""
        if count:
            places = self._real[row].nonzero().squeeze(1)[-count:]
            self._real[row, places] = 0


@torch.inference_mode()
def generate(
    model: SotModel, windows: Sequence[WindowRequest], draft: int = DRAFT, trust: float = 0.0
) -> list[list[Answer]]:
    """Write all turns. An answer depends on its own window alone.

    Args:
        draft: most tokens guessed from first-pass text per pass; 0 writes token by token.
        trust: what the first pass's next token is given ahead of the others, in nats: the LLM writes another one where
            it is surer of it than that. 0 leaves it alone with its opinion; infinity is the first pass.

    Returns:
        One answer per turn, in the order asked.

    Raises:
        ValueError: a prompt does not fit the model's layout.
    """
    answers = [[Answer() for _ in window.turns] for window in windows]
    busy = [i for i, window in enumerate(windows) if window.turns]
    if not busy:
        return answers
    stream = TokenStream(model, len(busy), model.score)
    device = model.llm.device
    heard = [model.sound(windows[i].states.to(device), windows[i].activity.to(device)) for i in busy]
    ending = torch.tensor([model.layout.end_token], device=device)
    for turn in range(max(len(windows[i].turns) for i in busy)):
        prompts: list[torch.Tensor | None] = [None] * len(busy)
        rows: list[_Row | None] = [None] * len(busy)
        for row, i in enumerate(busy):
            if turn < len(windows[i].turns):
                request = windows[i].turns[turn]
                first_pass = request.prompt.first_pass
                own = _Row(answers[i][turn], request.limit, first_pass or (), draft)
                own.trust = 0.0 if first_pass is None else trust
                own.look_ahead()
                ids = torch.tensor([*write_prompt(request.prompt, model.layout), *own.guesses], device=device)
                # The end mark of the answer before has not been fed: it was only just written.
                before = heard[row] if turn == 0 else model.embed_text(ending)
                prompts[row], rows[row] = torch.cat([before, model.embed(ids)]), own
        _write(model, stream, prompts, rows)
    return answers


@dataclass(slots=True)
class _Row:
    """An answer in the making. text: of the first pass; guesses: read behind the answer, not yet part of it."""

    answer: Answer
    limit: int
    text: Sequence[int]
    draft: int
    guesses: list[int] = field(default_factory=list)
    trust: float = 0.0

    def look_ahead(self) -> None:
        """Guess what follows, never beyond the limit."""
        room = self.limit - len(self.answer.tokens)
        self.guesses = guess(self.text, self.answer.tokens, min(self.draft, room))

    def choose(self, logprobs: torch.Tensor, end_token: int) -> tuple[list[int], list[float]]:
        """The best token after the answer and after each guess, and its natural logarithm of probability.

        Args:
            logprobs: (guesses + 1, vocabulary).
        """
        scores = logprobs
        if self.trust > 0:
            scores = logprobs.clone()
            for place in range(len(scores)):
                token = expected(self.text, [*self.answer.tokens, *self.guesses[:place]], end_token)
                if token is not None:
                    scores[place, token] += self.trust
        tokens = scores.argmax(dim=-1)
        return tokens.tolist(), logprobs.gather(1, tokens[:, None])[:, 0].tolist()

    def take(self, tokens: Sequence[int], logprobs: Sequence[float], end_token: int) -> tuple[int, bool]:
        """Go on with the LLM's choices after the answer and after each guess.

        Returns:
            How many guesses were right, and whether the answer goes on with one more token, which is yet to be read.
        """
        for right, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
            if token == end_token or len(self.answer.tokens) >= self.limit:
                self.answer.ended = token == end_token
                return right, False
            self.answer.tokens.append(token)
            self.answer.logprobs.append(logprob)
            if right == len(self.guesses) or self.guesses[right] != token:
                return right, True
        raise AssertionError("there is one choice more than there are guesses")


def _write(
    model: SotModel, stream: TokenStream, parts: Sequence[torch.Tensor | None], rows: Sequence[_Row | None]
) -> None:
    """Read the prompts and write one answer in every row that has one, until its end mark or its limit."""
    while any(part is not None for part in parts):
        pause()
        logits = stream.feed(parts, [row.guesses if row is not None else () for row in rows])
        following: list[torch.Tensor | None] = [None] * len(rows)
        for place, row in enumerate(rows):
            if row is None or parts[place] is None:
                continue
            end_token = model.layout.end_token
            tokens, logprobs = row.choose(logits[place][:, : model.layout.vocab_size].log_softmax(dim=-1), end_token)
            right, goes_on = row.take(tokens, logprobs, end_token)
            stream.forget(place, len(row.guesses) - right)
            row.guesses = []
            if goes_on:
                row.look_ahead()
                ids = torch.tensor([row.answer.tokens[-1], *row.guesses], device=stream.device)
                following[place] = model.embed_text(ids)
        parts = following
