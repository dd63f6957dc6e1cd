"""More texts than the likeliest one for a clip that Whisper is not sure of, and the one that agrees best with all.

Texts are drawn from the model (a token at a time, the likelier the more often), and of these and the greedy one that is
taken which has the fewest words in error on average if one of the others were right: minimum Bayes risk decoding by
samples (Kumar and Byrne 2004; Eikema and Aziz, arXiv 2005.10283).

The draws of a clip hang on nothing but the clip: chance has the same seed in every call and is the same for all clips.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.asr.decoding import Row
from models.asr.scoring import edits

_SEED = 20_260
# Of a vocabulary of 51 865 tokens the likeliest these hold all but a thousandth of the probability.
_TOKENS = 50
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Drawing:
    """When and how texts are drawn.

    Attributes:
        count: texts drawn for a clip beside the greedy one; 0 = none.
        doubt: a clip whose greedy text has a greater mean log probability of its tokens is not doubted.
        temperature: logits are divided by it; below 1 the likely become likelier.
        sharpness: a text counts by its probability to this power.
    """

    count: int = 0
    doubt: float = -0.3
    temperature: float = 0.6
    sharpness: float = 0.3

    def doubts(self, row: Row) -> bool:
        """Whether a greedy text is worth a second opinion: not one without words, of which silence is most likely."""
        if not row.tokens:
            return False
        return not row.ended or sum(row.logprobs) / len(row.logprobs) < self.doubt


class Dice:
    """Draws the next token of rows: row k of every clip has the same chances in every call."""

    def __init__(self, copies: int, temperature: float) -> None:
        self._copies = copies
        self._temperature = temperature
        self._random = torch.Generator().manual_seed(_SEED)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """(clips * copies, vocabulary) logits -> (clips * copies,) tokens, by the Gumbel-max trick (Gumbel 1954)."""
        best, tokens = logits.topk(min(_TOKENS, logits.shape[-1]), dim=-1)
        chance = torch.rand((self._copies, best.shape[-1]), generator=self._random, dtype=torch.float64)
        luck = -torch.log(-torch.log(chance.clamp(1e-12, 1.0 - 1e-12)))
        rows = len(logits) // self._copies
        drawn = (best / self._temperature + luck.to(best).repeat(rows, 1)).argmax(dim=-1)
        return tokens.gather(1, drawn[:, None])[:, 0]


def choose(texts: Sequence[str], logprobs: Sequence[float], sharpness: float) -> int:
    """The place of the text with the least expected number of words in error; the first of equals.

    Args:
        texts: at least one.
        logprobs: natural logarithm of each text's probability.
        sharpness: see `Drawing`.
    """
    words = [_WORD.findall(text.casefold()) for text in texts]
    scaled = sharpness * (np.array(logprobs) - max(logprobs))
    weights = np.exp(scaled) / np.exp(scaled).sum()
    risks = [
        sum(float(weight) * edits(other, own) for weight, other in zip(weights, words, strict=True)) for own in words
    ]
    return int(np.argmin(risks))
