"""Text of the SOT decoder's prompts and answers <-> tokens of its LLM."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]


def plain_encode(tokenizer: PreTrainedTokenizerBase) -> Encode:
    """A tokenizer's `encode` that never writes special tokens, also where the text spells one."""
    special = set(tokenizer.all_special_ids)

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return [token for token in ids if token not in special]

    return encode


def plain_decode(tokenizer: PreTrainedTokenizerBase) -> Decode:
    """A tokenizer's `decode` that leaves special tokens out."""

    def decode(tokens: Sequence[int]) -> str:
        text = tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text if isinstance(text, str) else "".join(text)

    return decode
