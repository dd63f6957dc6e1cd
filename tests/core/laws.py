"""The block laws (app/core/block.py) as checks that any block's test can call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.core.block import Block, StreamClosed


def run(block: Block[Any, Any], items: Sequence[Any]) -> list[Any]:
    """Everything that comes out of a fresh block."""
    out = [result for item in items for result in block.push(item)]
    return out + block.flush()


def check_closes(make: Callable[[], Block[Any, Any]], item: Any) -> None:
    """Law 5: after the flush nothing may be pushed or flushed."""
    block = make()
    block.flush()
    with pytest.raises(StreamClosed):
        block.push(item)
    with pytest.raises(StreamClosed):
        block.flush()


def check_order(times: Sequence[int]) -> None:
    """Law 3: times never go back."""
    assert list(times) == sorted(times)
