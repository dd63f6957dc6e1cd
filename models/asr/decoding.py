"""Greedy decoding of many clips at once: encoder states in, token ids with their probabilities and attention out.

A loop of our own over the weights of transformers' decoder: keys and values of the sound are computed once, those of the
text go into room made beforehand, finished clips leave the batch, and only the layers whose heads follow the sound (for
word times) pay for keeping their attention. One token a step for every clip; no beams, no sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional as nnf
from transformers import WhisperForConditionalGeneration

Heads = dict[int, list[int]]
"""Decoder layer -> its heads whose attention is kept."""


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
        ended: whether the end token was reached within the limit.
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
        frames: of these, how many each clip may look at.
        capacity: the most tokens that will be fed, prompt included.
        heads: whose attention `feed` returns.
    """

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        states: torch.Tensor,
        frames: Sequence[int],
        capacity: int,
        heads: Heads,
    ) -> None:
        self._decoder = model.model.decoder
        self._n_heads = model.config.decoder_attention_heads
        self._heads = heads
        self._length = 0
        batch, longest, width = states.shape
        shape = (batch, self._n_heads, capacity, width // self._n_heads)
        layers = self._decoder.layers
        self._text = [(states.new_empty(shape), states.new_empty(shape)) for _ in layers]
        self._sound = [
            (self._split(layer.encoder_attn.k_proj(states)), self._split(layer.encoder_attn.v_proj(states)))
            for layer in layers
        ]
        self._mask: torch.Tensor | None = None
        if min(frames) < longest:
            places = torch.arange(longest, device=states.device)
            seen = places < torch.tensor(list(frames), device=states.device)[:, None]
            self._mask = torch.zeros_like(seen, dtype=states.dtype).masked_fill(~seen, -torch.inf)[:, None, None]

    def feed(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Read tokens: (batch, n) ids. Returns the last states (batch, n, d_model) and, for the last token, the kept
        attention (batch, kept heads, frames), None without heads."""
        length = tokens.shape[1]
        hidden = self._decoder.embed_tokens(tokens)
        hidden = hidden + self._decoder.embed_positions.weight[self._length : self._length + length]
        kept: list[torch.Tensor] = []
        for number, layer in enumerate(self._decoder.layers):
            hidden = hidden + self._read_text(layer, number, layer.self_attn_layer_norm(hidden))
            heard, attention = self._read_sound(layer, number, layer.encoder_attn_layer_norm(hidden))
            if attention is not None:
                kept.append(attention)
            hidden = hidden + heard
            inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
            hidden = hidden + layer.fc2(inner)
        self._length += length
        return self._decoder.layer_norm(hidden), torch.cat(kept, dim=1) if kept else None

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with these rows of the batch alone, in this order."""
        self._text = [(keys[rows], values[rows]) for keys, values in self._text]
        self._sound = [(keys[rows], values[rows]) for keys, values in self._sound]
        if self._mask is not None:
            self._mask = self._mask[rows]

    def _read_text(self, layer: torch.nn.Module, number: int, hidden: torch.Tensor) -> torch.Tensor:
        attention = layer.self_attn
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
        return attention.out_proj(self._join(read))

    def _read_sound(
        self, layer: torch.nn.Module, number: int, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        attention = layer.encoder_attn
        keys, values = self._sound[number]
        query = self._split(attention.q_proj(hidden))
        heads = self._heads.get(number)
        if heads is None:
            read = nnf.scaled_dot_product_attention(query, keys, values, attn_mask=self._mask)
            return attention.out_proj(self._join(read)), None
        scores = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5
        if self._mask is not None:
            scores = scores + self._mask
        weights = scores.softmax(dim=-1)
        return attention.out_proj(self._join(weights @ values)), weights[:, heads, -1]

    def _split(self, hidden: torch.Tensor) -> torch.Tensor:
        """(batch, n, d_model) -> (batch, heads, n, d_head)."""
        return hidden.unflatten(-1, (self._n_heads, -1)).transpose(1, 2).contiguous()

    @staticmethod
    def _join(hidden: torch.Tensor) -> torch.Tensor:
        """(batch, heads, n, d_head) -> (batch, n, d_model)."""
        return hidden.transpose(1, 2).flatten(2)


def write(
    model: WhisperForConditionalGeneration, state: DecoderState, last: torch.Tensor, limits: Sequence[int], rules: Rules
) -> list[Row]:
    """Write until every clip has ended or reached its limit.

    Args:
        model: for its output layer.
        state: after the prompt but for its last token.
        last: (batch, n) the prompt's last tokens.
        limits: the most tokens per clip, at least 1.
        rules: what may be written.

    Returns:
        One row per clip.
    """
    rows = [Row() for _ in limits]
    active = list(range(len(limits)))
    tokens, first = last, True
    while active:
        hidden, attention = state.feed(tokens)
        logits = model.proj_out(hidden[:, -1]).float()
        logits = logits.masked_fill(rules.banned | rules.banned_first if first else rules.banned, -torch.inf)
        best, picked = logits.max(dim=-1)
        logprobs = (best - logits.logsumexp(dim=-1)).tolist()
        going = []
        for place, token in enumerate(picked.tolist()):
            row = rows[active[place]]
            row.logprobs.append(logprobs[place])
            if attention is not None:
                row.attention.append(attention[place])
            if token == rules.end:
                row.ended = True
                continue
            row.tokens.append(token)
            if len(row.tokens) < limits[active[place]]:
                going.append(place)
        if len(going) < len(active):
            kept = torch.tensor(going, device=picked.device, dtype=torch.long)
            state.keep_rows(kept)
            picked = picked[kept]
            active = [active[place] for place in going]
        tokens, first = picked[:, None], False
    return rows
