"""The shape of every block of the core, and the laws that each of them keeps.

A block is synchronous and owns its own state, nothing else. The laws, tested by one property suite over all blocks
(tests/core/test_block_laws.py):

1. Any chunking of the input gives the same total output as pushing it at once.
2. Nothing is lost: `flush` gives the tail, and every sample pushed is covered by the output.
3. The times of what comes out never go back.
4. What was given out is never changed later (values are frozen).
5. After `flush`, a further `push` or `flush` raises `StreamClosed`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")


class StreamClosed(RuntimeError):
    """A block was pushed to, or flushed, after its flush: a mistake of the caller."""


class Block(Protocol[In_contra, Out]):
    """One step of the way of the data."""

    def push(self, item: In_contra) -> list[Out]:
        """Take one item; return what it completed, in the order of time."""

    def flush(self) -> list[Out]:
        """End of the stream: return the tail."""
