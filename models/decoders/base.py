"""What every decoder is given and gives back. Times are int samples at 16 kHz from the first sample of the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

REPETITION = "repetition"
TRUNCATED = "possibly_truncated"
NO_SPEECH = "no_speech"


@dataclass(frozen=True, slots=True)
class DecoderTurn:
    """One stretch of one speaker in the window. `ask`: write it; the others only tell who else speaks when."""

    start: int
    end: int
    speaker: int
    ask: bool = True
    open: bool = False
    hypothesis: str | None = None


@dataclass(frozen=True, slots=True)
class DecoderInput:
    """samples: (samples,) float32 mono 16 kHz, at most `Decoder.max_samples`; turns sorted by (start, speaker).

    brief: the text is replaced soon, so that a decoder need not take pains with it.
    """

    samples: NDArray[np.float32]
    turns: tuple[DecoderTurn, ...]
    language: str | None = None
    hotwords: tuple[str, ...] = ()
    context: str = ""
    brief: bool = False


@dataclass(frozen=True, slots=True)
class DecoderWord:
    """A written word with its punctuation; `confidence` in [0, 1]."""

    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class DecoderTurnOutput:
    """Words in order of time. flags: possibly_truncated, repetition, no_speech."""

    words: tuple[DecoderWord, ...]
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DecoderOutput:
    """One entry per asked turn, in the input's order; `language` as given or detected, None when nothing was heard."""

    turns: tuple[DecoderTurnOutput, ...]
    language: str | None = None


class Decoder(Protocol):
    """A decoder is stateless: the answer to an input does not depend on what else is in the batch."""

    name: str
    max_samples: int

    def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        """Answers in the order of the inputs."""
