"""`python -m tests.deploy.replay_crosstalk ...`: the real command line over recorded answers.

An answer is found by the content of its request in the folder REPLAY_FOLDER. What is not there yet the fake engine
answers, and it is recorded, for every process over the folder: a process spends its time on all but models.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import sys
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path

from app.cli.main import main
from app.settings import Settings
from tests.engine.fake_worker import fake_engine


class Replay:
    """Engine over a folder of answers, for any number of recordings at once."""

    capacity = 64

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inner = fake_engine()
        self._held: dict[str, object] = {}
        self.spec = self._inner.spec

    async def diarize(self, window):
        """See Engine."""
        return await self._answer(window, self._inner.diarize)

    async def decode(self, request):
        """See Engine."""
        return await self._answer(request, self._inner.decode)

    async def aclose(self) -> None:
        """See Engine."""
        await self._inner.aclose()

    async def _answer(self, request, ask: Callable[..., Awaitable[object]]):
        # All but its urgency, which changes no answer.
        rest = [getattr(request, it.name) for it in fields(request) if it.name not in {"samples", "urgency"}]
        name = hashlib.sha256(request.samples.tobytes() + repr(rest).encode()).hexdigest()
        if name not in self._held:
            path = self._folder / name
            if path.exists():
                self._held[name] = pickle.loads(path.read_bytes())
            else:
                self._held[name] = await ask(request)
                part = path.with_suffix(f".{os.getpid()}")
                part.write_bytes(pickle.dumps(self._held[name]))
                part.rename(path)
        else:
            await asyncio.sleep(0)
        return self._held[name]


async def build_replay(settings: Settings) -> Replay:
    """In place of the real engine."""
    return Replay(Path(os.environ["REPLAY_FOLDER"]))


if __name__ == "__main__":
    sys.exit(main(build=build_replay))
