"""Asking an engine for many things at once and taking the answers in order: the only concurrency of a session."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def in_order(
    items: AsyncIterator[Item], ask: Callable[[Item], Coroutine[Any, Any, Answer]], max_in_flight: int
) -> AsyncIterator[Answer]:
    """Ask for up to `max_in_flight` items at once, so that the engine can batch them; answers in the items' order.

    An answer is given as soon as it and all before it are there, also while the next item is still awaited. No more
    items
    are taken than may be in flight: a slow engine slows its source down. The first error ends everything; what is
    still in flight is cancelled.
    """
    waiting: deque[asyncio.Task[Answer]] = deque()
    upcoming: asyncio.Task[Item] | None = asyncio.ensure_future(_coroutine(anext(items)))
    try:
        while upcoming is not None or waiting:
            awaited: set[asyncio.Task[Any]] = {waiting[0]} if waiting else set()
            if upcoming is not None and len(waiting) < max_in_flight:
                awaited.add(upcoming)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if waiting and waiting[0].done():
                yield waiting.popleft().result()
            elif upcoming is not None and upcoming.done():
                upcoming = _take(upcoming, items, ask, waiting)
    finally:
        tasks = [*waiting, *([upcoming] if upcoming is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _take(
    done: asyncio.Task[Item],
    items: AsyncIterator[Item],
    ask: Callable[[Item], Coroutine[Any, Any, Answer]],
    waiting: deque[asyncio.Task[Answer]],
) -> asyncio.Task[Item] | None:
    """Start the question for an item that has come; returns the wait for the next item, None at the end."""
    try:
        item = done.result()
    except StopAsyncIteration:
        return None
    waiting.append(asyncio.ensure_future(ask(item)))
    return asyncio.ensure_future(_coroutine(anext(items)))


async def _coroutine(awaitable: Awaitable[Item]) -> Item:
    return await awaitable
