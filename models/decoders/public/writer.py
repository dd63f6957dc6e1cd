"""A public model with its processor: windows of sound in, what it wrote out, with how sure it was of each piece.

Greedy, bounded by the length of the sound, and stopped early where the answer goes in circles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.functional import resample
from transformers import (
    BatchFeature,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    ProcessorMixin,
    StoppingCriteria,
    StoppingCriteriaList,
)

from models.decoders.public.kinds import Hint, Kind
from models.decoders.public.segments import SAMPLE_RATE
from models.errors import BadCheckpoint


@dataclass(frozen=True, slots=True)
class Written:
    """An answer.

    pieces: (text, mean logarithm of the probability of its tokens) in order; joined they are the answer
    ended: the model wrote the end itself; looped: it was stopped as it went in circles
    """

    pieces: tuple[tuple[str, float], ...]
    ended: bool
    looped: bool = False

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


class Writer(Protocol):
    """Writes windows. An answer does not depend on what else is in the batch."""

    def write(
        self, sounds: Sequence[NDArray[np.float32]], hints: Sequence[Hint], limits: Sequence[int]
    ) -> list[Written]:
        """One answer per sound ((samples,) mono 16 kHz, not empty), of at most `limits` tokens each."""


class PublicWriter:
    """A model of transformers and its processor."""

    def __init__(self, kind: Kind, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        """Raises BadCheckpoint for a model that does not say which token ends an answer."""
        self._kind = kind
        self._model: Any = model
        self._processor: Any = processor
        ends = self._model.generation_config.eos_token_id
        ends = self._processor.tokenizer.eos_token_id if ends is None else ends
        self._ends = frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
        if not self._ends:
            raise BadCheckpoint(f"the {kind.name} model names no token that ends an answer")
        pad = self._model.generation_config.pad_token_id
        self._pad = pad if pad is not None else min(self._ends)

    def write(
        self, sounds: Sequence[NDArray[np.float32]], hints: Sequence[Hint], limits: Sequence[int]
    ) -> list[Written]:
        """See `Writer`."""
        request = self.request(sounds, hints).to(self._model.device, dtype=self._model.dtype)
        start = request["input_ids"].shape[1]
        confidence, loops = _Confidence(), _LoopStop(start)
        with torch.inference_mode():
            tokens = self._model.generate(
                **request,
                **self._kind.options,
                do_sample=False,
                num_beams=1,
                max_new_tokens=max(limits),
                eos_token_id=sorted(self._ends),
                pad_token_id=self._pad,
                logits_processor=LogitsProcessorList([confidence]),
                stopping_criteria=StoppingCriteriaList([loops]),
            )[:, start:]
        logprobs = torch.stack(confidence.steps, dim=1).tolist()
        return [
            self._written(row, own, limit, loops.stopped.get(i))
            for i, (row, own, limit) in enumerate(zip(tokens.tolist(), logprobs, limits, strict=True))
        ]

    def request(self, sounds: Sequence[NDArray[np.float32]], hints: Sequence[Hint]) -> BatchFeature:
        """What the model is given: the chat template's prompt with the sound in it, padded on the left."""
        request: BatchFeature = self._processor.apply_transcription_request(
            [self._resampled(sound) for sound in sounds],
            processor_kwargs={
                "audio_kwargs": {"sampling_rate": self._kind.rate},
                "text_kwargs": {"padding": True, "padding_side": "left"},
                "common_kwargs": {"return_tensors": "pt"},
            },
            **self._kind.request(hints),
        )
        return request

    def _resampled(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._kind.rate == SAMPLE_RATE:
            return sound
        converted: NDArray[np.float32] = resample(torch.from_numpy(sound), SAMPLE_RATE, self._kind.rate).numpy()
        return converted

    def _written(self, row: list[int], logprobs: list[float], limit: int, stopped: int | None) -> Written:
        length = min(limit, len(row), len(row) if stopped is None else stopped)
        end = next((i for i, token in enumerate(row[:length]) if token in self._ends), None)
        tokens = row[: length if end is None else end]
        looped = end is None and stopped is not None and stopped <= limit
        if looped:
            tokens = first_round(tokens)
        return Written(self._pieces(tokens, logprobs), end is not None, looped)

    def _pieces(self, tokens: Sequence[int], logprobs: Sequence[float]) -> tuple[tuple[str, float], ...]:
        """The fewest tokens at a time that read as whole characters: a character may be cut over several tokens."""
        pieces: list[tuple[str, float]] = []
        first = 0
        for last in range(1, len(tokens) + 1):
            text = self._processor.tokenizer.decode(
                tokens[first:last], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            if "\ufffd" not in text or last == len(tokens) or last - first >= _MOST_TOKENS:
                pieces.append((text, sum(logprobs[first:last]) / (last - first)))
                first = last
        return tuple(pieces)


_MOST_TOKENS = 8
"""A character takes at most 4 bytes, and so tokens; what is not whole by then never will be."""


class _Confidence(LogitsProcessor):
    """Changes nothing; keeps the best token's logarithm of probability, which under greedy search is that written."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: ARG002
        self.steps.append(torch.log_softmax(scores.float(), dim=-1).amax(dim=-1).cpu())
        return scores


class _LoopStop(StoppingCriteria):
    """Stops an answer that has written the same tokens over and over. `stopped`: row -> its length then."""

    def __init__(self, start: int) -> None:
        self.stopped: dict[int, int] = {}
        self._start = start
        self._answer = torch.zeros(0, dtype=torch.bool)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **_: object) -> torch.Tensor:  # noqa: ARG002
        if self._answer.shape[0] != input_ids.shape[0]:
            self._answer = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        length = input_ids.shape[1] - self._start
        if length % _EVERY == 0:
            for row, tail in enumerate(input_ids[:, self._start :][:, -_LOOKED_AT:].tolist()):
                if row not in self.stopped and goes_in_circles(tail):
                    self.stopped[row] = length
                    self._answer[row] = True
        return self._answer


_EVERY = 16
_LOOKED_AT = 256
_LOOP_TOKENS = 96
_LOOP_ROUNDS = 4


def goes_in_circles(tokens: Sequence[int]) -> bool:
    """Whether the last tokens are one run over and over: at least 4 rounds and 96 tokens."""
    return _period(tokens) is not None


def first_round(tokens: list[int]) -> list[int]:
    """The tokens without the rounds after the first, where they end in a loop; as they are where they do not."""
    period = _period(tokens)
    if period is None:
        return tokens
    end = len(tokens)
    while end > period and tokens[end - 1] == tokens[end - 1 - period]:
        end -= 1
    return tokens[:end]


def _period(tokens: Sequence[int]) -> int | None:
    """Length of the run that the last tokens are over and over, None where they are not."""
    for period in range(1, len(tokens) // _LOOP_ROUNDS + 1):
        needed = max(_LOOP_TOKENS, period * _LOOP_ROUNDS)
        if needed > len(tokens):
            continue
        tail = tokens[-needed:]
        if tail[period:] == tail[:-period]:
            return period
    return None
