"""The driver paced by incoming sound (skeleton: the interface stands, the blocks follow).

    session = LiveSession(engine, LiveOptions(), LiveRules(), resume=None)
    async with session:
        await session.push(samples)            # float32 16 kHz; returns when accepted, `ahead_samples` tells what waits
        async for update in session.updates(): # one reader; ends after Finished; raises the engine's CrosstalkError
            ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from app.core.types import FloatArray
from app.engine.base import Engine
from app.live.snapshot import Snapshot
from app.live.updates import LiveOptions, Update


@dataclass(frozen=True, slots=True)
class LiveRules:
    """max_ahead_samples: sound that may wait; `push` returns only once less than this waits."""

    max_ahead_samples: int = 16_000 * 30


class LiveSession:
    """One live meeting. Start it with `async with` (or the first `push`), end it by `stop` and reading to `Finished`,
    or `aclose`, which drops what is not written yet."""

    def __init__(
        self, engine: Engine, options: LiveOptions, rules: LiveRules | None = None, resume: Snapshot | None = None
    ) -> None:
        """Raises BadSnapshot."""
        raise NotImplementedError

    @property
    def from_samples(self) -> int:
        """Where the sound has to begin: 0, or the snapshot's position."""
        raise NotImplementedError

    @property
    def received_samples(self) -> int:
        """End of the sound pushed so far, in samples of the whole session."""
        raise NotImplementedError

    @property
    def ahead_samples(self) -> int:
        """Sound that was pushed and waits to be worked on."""
        raise NotImplementedError

    async def push(self, samples: FloatArray) -> None:
        """(samples,) float32 at 16 kHz, contiguous with what came before. Raises EngineError once the session failed."""
        raise NotImplementedError

    async def flush(self, id: str | None = None) -> None:
        """Everything said so far becomes final; answered by `Flushed` among the updates."""
        raise NotImplementedError

    async def mark(self, id: str) -> None:
        """Answered by `Marked` among the updates, once what came before is worked on."""
        raise NotImplementedError

    def rename(self, speaker: int, name: str) -> None:
        """Name a speaker, empty = take the name back; answered by a `Revision`. Raises ValueError for a blank name."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End of the sound: the rest is written, then `Finished` comes."""
        raise NotImplementedError

    def updates(self) -> AsyncIterator[Update]:
        """Every update, for one reader. Raises CrosstalkError (engine) with its code."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stop working at once. May be called again."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
