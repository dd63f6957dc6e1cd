"""Greedy decoding of many clips at once: encoder states in, token ids with their probabilities and attention out.

A loop of our own over the weights of transformers' decoder: keys and values of the sound are computed once, those of
the text go into room made beforehand, finished clips leave the batch, and only the layers whose heads follow the sound
(for word times) pay for keeping their attention. One token a step for every clip; no beams, no sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import torch
from torch.nn import functional as nnf
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperAttention, WhisperDecoderLayer

from models.pause import pause

Heads: TypeAlias = dict[int, list[int]]
"""Decoder layer -> its heads whose attention is kept."""

# Tokens that come round in a circle this often, and at least so many in all, will go on to the limit.
_CIRCLES = 4
_CIRCLING_TOKENS = 24
_LONGEST_CIRCLE = 32


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be written.

    Attributes:
        banned: (vocabulary,) bool, tokens never written.
        banned_first: (vocabulary,) bool, tokens not written as the first one.
        end: id of the end token.
    """

    banned: torch.Tensor
    banned_first: torch.Tensor
    end: int


@dataclass(slots=True)
class Row:
    """What was written for one clip.

    Attributes:
        tokens: ids without the end token.
        logprobs: natural logarithm of each token's probability, one more for the end token where it was reached.
        attention: one (heads, frames) tensor per step, see `alignment.token_starts_s`.
        ended: whether the end token was reached, rather than the limit or a circle.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    attention: list[torch.Tensor] = field(default_factory=list)
    ended: bool = False


class DecoderState:
    """The decoder over a batch of clips, a step at a time.

    Args:
        model: in eval mode.
        states: (batch, frames, d_model) from the encoder.
        capacity: the most tokens that will be fed, prompt included.
        heads: whose attention `feed` returns.
    """

    def __init__(
        self, model: WhisperForConditionalGeneration, states: torch.Tensor, capacity: int, heads: Heads
    ) -> None:
        self._decoder = model.model.decoder
        self._layers = cast("list[WhisperDecoderLayer]", list(self._decoder.layers))
        self._n_heads: int = model.config.decoder_attention_heads
        self._heads = heads
        self._length = 0
        shape = (len(states), self._n_heads, capacity, states.shape[-1] // self._n_heads)
        self._text = [(states.new_empty(shape), states.new_empty(shape)) for _ in self._layers]
        self._sound = [
            (self._split(layer.encoder_attn.k_proj(states)), self._split(layer.encoder_attn.v_proj(states)))
            for layer in self._layers
        ]

    def feed(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Read (batch, n) token ids.

        Returns:
            The last states (batch, n, d_model), and for the last token the kept attention (batch, kept heads, frames)
            in the order of layers, None without heads.
        """
        length = tokens.shape[1]
        hidden = self._decoder.embed_tokens(tokens)
        hidden = hidden + self._decoder.embed_positions.weight[self._length : self._length + length]
        kept: list[torch.Tensor] = []
        for number, layer in enumerate(self._layers):
            hidden = hidden + self._read_text(layer.self_attn, number, layer.self_attn_layer_norm(hidden))
            heard, attention = self._read_sound(layer.encoder_attn, number, layer.encoder_attn_layer_norm(hidden))
            if attention is not None:
                kept.append(attention)
            hidden = hidden + heard
            hidden = hidden + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden))))
        self._length += length
        return self._decoder.layer_norm(hidden), torch.cat(kept, dim=1) if kept else None

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with these rows of the batch alone, in this order."""
        self._text = [(keys[rows], values[rows]) for keys, values in self._text]
        self._sound = [(keys[rows], values[rows]) for keys, values in self._sound]

    def _read_text(self, attention: WhisperAttention, number: int, hidden: torch.Tensor) -> torch.Tensor:
        keys, values = self._text[number]
        end = self._length + hidden.shape[1]
        keys[:, :, self._length : end] = self._split(attention.k_proj(hidden))
        values[:, :, self._length : end] = self._split(attention.v_proj(hidden))
        query = self._split(attention.q_proj(hidden))
        mask = None
        if hidden.shape[1] > 1:
            places = torch.arange(end, device=hidden.device)
            mask = places <= places[self._length :, None]
        read = nnf.scaled_dot_product_attention(query, keys[:, :, :end], values[:, :, :end], attn_mask=mask)
        out: torch.Tensor = attention.out_proj(self._join(read))
        return out

    def _read_sound(
        self, attention: WhisperAttention, number: int, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        keys, values = self._sound[number]
        query = self._split(attention.q_proj(hidden))
        heads = self._heads.get(number)
        if heads is None:
            read = nnf.scaled_dot_product_attention(query, keys, values)
            return attention.out_proj(self._join(read)), None
        scores = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5
        weights = scores.float().softmax(dim=-1)
        read = weights.to(values.dtype) @ values
        return attention.out_proj(self._join(read)), weights[:, heads, -1]

    def _split(self, hidden: torch.Tensor) -> torch.Tensor:
        """(batch, n, d_model) -> (batch, heads, n, d_head)."""
        batch, length, width = hidden.shape
        return hidden.view(batch, length, self._n_heads, width // self._n_heads).transpose(1, 2).contiguous()

    @staticmethod
    def _join(hidden: torch.Tensor) -> torch.Tensor:
        """(batch, heads, n, d_head) -> (batch, n, d_model)."""
        return hidden.transpose(1, 2).flatten(2)


def write(
    model: WhisperForConditionalGeneration, state: DecoderState, last: torch.Tensor, limits: Sequence[int], rules: Rules
) -> list[Row]:
    """Write until every clip has ended, reached its limit, or goes in circles.

    Args:
        model: for its output layer.
        state: after the prompt but for its last tokens.
        last: (batch, n) the prompt's last tokens.
        limits: the most tokens per clip, at least 1.
        rules: what may be written.

    Returns:
        One row per clip.
    """
    rows = [Row() for _ in limits]
    active = list(range(len(limits)))
    tokens, banned = last, rules.banned | rules.banned_first
    while active:
        pause()
        hidden, attention = state.feed(tokens)
        logits = model.proj_out(hidden[:, -1]).float().masked_fill(banned, -torch.inf)
        best, picked = logits.max(dim=-1)
        logprobs = (best - logits.logsumexp(dim=-1)).tolist()
        going = []
        for place, (token, logprob) in enumerate(zip(picked.tolist(), logprobs, strict=True)):
            row = rows[active[place]]
            row.logprobs.append(logprob)
            if attention is not None:
                row.attention.append(attention[place])
            if token == rules.end:
                row.ended = True
                continue
            row.tokens.append(token)
            if len(row.tokens) < limits[active[place]] and not goes_in_circles(row.tokens):
                going.append(place)
        if 0 < len(going) < len(active):
            kept = torch.tensor(going, device=picked.device)
            state.keep_rows(kept)
            picked = picked[kept]
        active = [active[place] for place in going]
        tokens, banned = picked[:, None], rules.banned
    return rows


def goes_in_circles(tokens: Sequence[int]) -> bool:
    """Whether the last tokens are one phrase over and over. Greedy decoding does not come out of that."""
    for period in range(1, _LONGEST_CIRCLE + 1):
        length = period * max(_CIRCLES, -(-_CIRCLING_TOKENS // period))
        if len(tokens) < length:
            continue
        tail = list(tokens[-length:])
        if tail[period:] == tail[:-period]:
            return True
    return False
