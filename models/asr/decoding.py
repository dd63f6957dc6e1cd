"""Greedy decoding of many clips at once: encoder states in, token ids with their probabilities and attention out.

A loop of our own over the weights of transformers' decoder: keys and values of the sound are computed once, those of
the text go into room made beforehand, finished clips leave the batch, and only the layers whose heads follow the sound
(for word times) pay for keeping their attention. One token a step for every row; several rows may read one clip's sound
(`models.asr.draw`), which is kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import torch
from torch.nn import functional as nnf
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperAttention, WhisperDecoderLayer

from models.pause import pause

Heads: TypeAlias = dict[int, list[int]]
"""Decoder layer -> its heads whose attention is kept."""

Sound: TypeAlias = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of the sound in each layer: (clips, heads, frames, d_head)."""

Pick: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""(rows, vocabulary) logits -> (rows,) tokens."""

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


def hear(model: WhisperForConditionalGeneration, states: torch.Tensor) -> Sound:
    """What the decoder looks up of the sound, from (clips, frames, d_model) states of the encoder."""
    layers = cast("list[WhisperDecoderLayer]", list(model.model.decoder.layers))
    heads: int = model.config.decoder_attention_heads
    return [
        (_split(layer.encoder_attn.k_proj(states), heads), _split(layer.encoder_attn.v_proj(states), heads))
        for layer in layers
    ]


class DecoderState:
    """The decoder over rows of text, a step at a time; as many rows for every clip, side by side.

    Args:
        model: in eval mode.
        sound: of the clips, from `hear`.
        capacity: the most tokens that will be fed, prompt included.
        heads: whose attention `feed` returns.
        copies: rows for each clip.
    """

    def __init__(
        self, model: WhisperForConditionalGeneration, sound: Sound, capacity: int, heads: Heads, copies: int = 1
    ) -> None:
        self.copies = copies
        self._decoder = model.model.decoder
        self._layers = cast("list[WhisperDecoderLayer]", list(self._decoder.layers))
        self._n_heads: int = model.config.decoder_attention_heads
        self._heads = heads
        self._length = 0
        self._sound = sound
        keys = sound[0][0]
        shape = (len(keys) * copies, self._n_heads, capacity, keys.shape[-1])
        self._text = [(keys.new_empty(shape), keys.new_empty(shape)) for _ in self._layers]

    def feed(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Read (rows, n) token ids.

        Returns:
            The last states (rows, n, d_model), and for the last token the kept attention (rows, kept heads, frames)
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

    def keep_clips(self, clips: torch.Tensor) -> None:
        """Go on with the rows of these clips alone, in this order."""
        rows = (clips[:, None] * self.copies + torch.arange(self.copies, device=clips.device)).flatten()
        self._text = [(keys[rows], values[rows]) for keys, values in self._text]
        self._sound = [(keys[clips], values[clips]) for keys, values in self._sound]

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
        # The rows of one clip ask side by side, so that its sound is read once.
        length = hidden.shape[1]
        query = self._split(attention.q_proj(hidden.reshape(len(keys), self.copies * length, -1)))
        heads = self._heads.get(number)
        if heads is None:
            read = nnf.scaled_dot_product_attention(query, keys, values)
            return self._apart(attention.out_proj(self._join(read)), length), None
        scores = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5
        weights = scores.float().softmax(dim=-1)
        read = weights.to(values.dtype) @ values
        kept = weights[:, heads, length - 1 :: length].transpose(1, 2).flatten(0, 1)
        return self._apart(attention.out_proj(self._join(read)), length), kept

    def _apart(self, joined: torch.Tensor, length: int) -> torch.Tensor:
        """(clips, copies * n, d_model) -> (rows, n, d_model)."""
        return joined.reshape(-1, length, joined.shape[-1])

    def _split(self, hidden: torch.Tensor) -> torch.Tensor:
        return _split(hidden, self._n_heads)

    @staticmethod
    def _join(hidden: torch.Tensor) -> torch.Tensor:
        """(batch, heads, n, d_head) -> (batch, n, d_model)."""
        return hidden.transpose(1, 2).flatten(2)


def _split(hidden: torch.Tensor, heads: int) -> torch.Tensor:
    """(batch, n, d_model) -> (batch, heads, n, d_head)."""
    batch, length, width = hidden.shape
    return hidden.view(batch, length, heads, width // heads).transpose(1, 2).contiguous()


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """Greedy decoding."""
    return logits.argmax(dim=-1)


def write(
    model: WhisperForConditionalGeneration,
    state: DecoderState,
    last: torch.Tensor,
    limits: Sequence[int],
    rules: Rules,
    pick: Pick = likeliest,
) -> list[Row]:
    """Write until every row has ended, reached its limit, or goes in circles.

    Args:
        model: for its output layer.
        state: after the prompt but for its last tokens.
        last: (rows, n) the prompt's last tokens.
        limits: the most tokens per clip, at least 1.
        rules: what may be written.
        pick: what chooses each row's next token.

    Returns:
        One row per row of `last`: `state.copies` for each clip, side by side.
    """
    copies = state.copies
    rows = [Row() for _ in range(len(limits) * copies)]
    going = [True] * len(rows)
    active = list(range(len(limits)))
    tokens, banned = last, rules.banned | rules.banned_first
    while active:
        pause()
        hidden, attention = state.feed(tokens)
        logits = model.proj_out(hidden[:, -1]).float().masked_fill(banned, -torch.inf)
        picked = pick(logits)
        logprobs = (logits.gather(1, picked[:, None])[:, 0] - logits.logsumexp(dim=-1)).tolist()
        for place, (token, logprob) in enumerate(zip(picked.tolist(), logprobs, strict=True)):
            clip, number = active[place // copies], active[place // copies] * copies + place % copies
            if not going[number]:  # it waits for the other rows of its clip
                continue
            row = rows[number]
            row.logprobs.append(logprob)
            if attention is not None:
                row.attention.append(attention[place])
            row.ended = token == rules.end
            if not row.ended:
                row.tokens.append(token)
            going[number] = not row.ended and len(row.tokens) < limits[clip] and not goes_in_circles(row.tokens)
        kept = [place for place, clip in enumerate(active) if any(going[clip * copies : (clip + 1) * copies])]
        if 0 < len(kept) < len(active):
            places = torch.tensor(kept, device=picked.device)
            state.keep_clips(places)
            picked = picked.view(-1, copies)[places].flatten()
        active = [active[place] for place in kept]
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
