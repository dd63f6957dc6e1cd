"""The SOT decoder's forward pass: encoder states of a window and the prompts of its turns in, loss or next tokens out.

    states (50 Hz) -> 4 stacked -> projector -> + who speaks (slots) + when (time) -> LLM <- prompts and answers

The encoder runs before (`WhisperAsr.encode`); generation, with its cache, is in `models.sot.generate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as nnf
from transformers import PreTrainedModel

from models.sot.config import SotConfig
from models.sot.tokens import Layout, Symbol

IGNORED = -100
_EMBEDDING_STD = 0.08


@dataclass(frozen=True, slots=True)
class Sequences:
    """What the model reads, one entry per window.

    states: (frames, encoder width), 50 Hz, any float dtype
    activity: (steps, slots) float32, steps = frames / stack rounded up
    ids: (positions,) int64, of the prompts and answers after the sound
    labels: (positions,) int64, the id where it is an answer's, else `IGNORED`; slots and times in free mode only
    """

    states: Sequence[torch.Tensor]
    activity: Sequence[torch.Tensor]
    ids: Sequence[torch.Tensor]
    labels: Sequence[torch.Tensor]

    def answers(self) -> int:
        """Number of positions that count in the loss."""
        return sum(int((row != IGNORED).sum()) for row in self.labels)


class Projector(nn.Module):
    """(frames, encoder width) -> (steps, LLM width): stack, normalise, two layers with GELU, normalise, scale."""

    def __init__(self, config: SotConfig) -> None:
        super().__init__()
        self.stack = config.projector.stack
        width = config.encoder_width * self.stack
        self.before = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.projector.hidden)
        self.down = nn.Linear(config.projector.hidden, config.llm_width)
        self.after = nn.LayerNorm(config.llm_width)
        nn.init.constant_(self.after.weight, config.projector.scale)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        spare = -len(states) % self.stack
        stacked = nnf.pad(states, (0, 0, 0, spare)).reshape(-1, states.shape[1] * self.stack)
        result: torch.Tensor = self.after(self.down(nnf.gelu(self.up(self.before(stacked)))))
        return result


class SotModel(nn.Module):
    """The LLM with what it needs to listen. Only `llm` has weights that are not in a SOT checkpoint."""

    def __init__(self, config: SotConfig, llm: PreTrainedModel) -> None:
        """The LLM must be of `config`'s width and vocabulary; its weights stay as they are."""
        super().__init__()
        self.config = config
        self.layout = Layout(config.vocab_size, config.end_token, config.slots, config.frames(config.max_samples))
        self.llm = llm
        self.projector = Projector(config)
        self.slots = nn.Embedding(config.slots, config.llm_width)
        self.symbols = nn.Embedding(len(Symbol), config.llm_width)
        self.time = nn.Linear(config.time_features, config.llm_width, bias=False)
        for table in (self.slots, self.symbols):
            nn.init.normal_(table.weight, std=_EMBEDDING_STD)
        nn.init.normal_(self.time.weight, std=_EMBEDDING_STD / math.sqrt(config.time_features / 2))
        features = time_features(self.layout.times + 1, config.time_features)
        self.time_table: torch.Tensor
        self.register_buffer("time_table", features, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.llm.device

    @property
    def precision(self) -> torch.dtype:
        """Of the weights that stay as they are."""
        return self.llm.dtype

    def sound(self, states: torch.Tensor, activity: torch.Tensor) -> torch.Tensor:
        """What the LLM hears of one window.

        Args:
            states: (frames, encoder width).
            activity: (steps, slots).

        Returns:
            (steps, LLM width) float32.
        """
        heard = self.projector(states.to(self.projector.up.weight.dtype))
        marks = activity.to(heard.dtype) @ self.slots.weight
        times = self.time(self.time_table[: len(heard)])
        summed: torch.Tensor = heard + marks + times
        return summed

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """(positions,) ids of any kind -> (positions, LLM width) float32."""
        layout = self.layout
        words = self.embed_text(ids.clamp(max=layout.vocab_size - 1))
        marks = self._marks()
        above = (ids - layout.vocab_size).clamp(min=0)
        return torch.where((ids >= layout.vocab_size).unsqueeze(-1), marks[above], words)

    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """(positions,) tokens of the LLM -> (positions, LLM width) float32."""
        words: torch.Tensor = self.llm.get_input_embeddings()(ids).to(self.symbols.weight.dtype)
        return words

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        """(positions, LLM width) of the LLM's last layer -> (positions, vocabulary) float32 logits of what follows."""
        logits: torch.Tensor = self.llm.get_output_embeddings()(hidden).float()  # type: ignore[no-untyped-call]
        return logits

    def score_all(self, hidden: torch.Tensor) -> torch.Tensor:
        """(positions, LLM width) -> (positions, layout.size) float32 logits of tokens, marks, slots and times."""
        marks = hidden.float() @ self._marks().float().T
        return torch.cat([self.score(hidden)[:, : self.layout.vocab_size], marks], dim=1)

    def _marks(self) -> torch.Tensor:
        return torch.cat([self.symbols.weight, self.slots.weight, self.time(self.time_table)])

    def forward(self, batch: Sequences) -> torch.Tensor:
        """Sum of the cross-entropy over all answer positions of the batch; () float32."""
        rows, targets = [], []
        for states, activity, ids, labels in zip(batch.states, batch.activity, batch.ids, batch.labels, strict=True):
            heard = self.sound(states, activity)
            rows.append(torch.cat([heard, self.embed(ids)]))
            silent = torch.full((len(heard),), IGNORED, dtype=labels.dtype, device=labels.device)
            targets.append(torch.cat([silent, labels]))
        inputs = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.llm.dtype)
        wanted = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORED)
        hidden = self.llm.base_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
        # Position i writes i + 1. Padding stands behind everything, so causal attention never sees it.
        asked = wanted[:, 1:] != IGNORED
        logits = self.score_all(hidden[:, :-1][asked])
        loss: torch.Tensor = nnf.cross_entropy(logits, wanted[:, 1:][asked], reduction="sum")
        return loss


def time_features(steps: int, width: int) -> torch.Tensor:
    """(steps, width) float32 sines and cosines of time with periods from 2 to 1000 steps (Vaswani et al., 2017)."""
    half = width // 2
    periods = torch.logspace(math.log10(2.0), 3.0, half, dtype=torch.float64)
    angles = 2 * math.pi * torch.arange(steps, dtype=torch.float64).unsqueeze(1) / periods
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
