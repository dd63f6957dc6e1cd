"""`crosstalk worker` over the fake engine, as a process of its own: `python -m tests.jobs.worker_process LOG DELAY_MS`.

Every computed answer is a line in LOG. A window with a sample as loud as `LOUD` ends the process ("poison").
While there is a file `LOG.hold`, nothing is answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from app.cli.main import main
from app.engine.wire import dump_request, dump_window
from tests.engine.fake_worker import fake_engine
from tests.jobs.harness import LOUD


class LoggedEngine:
    """The fake engine, slowed down, that writes down what it computed."""

    def __init__(self, inner, path: str, delay_s: float) -> None:
        self._inner = inner
        self._hold = Path(f"{path}.hold")
        self._log = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._delay_s = delay_s
        self.spec = inner.spec

    async def diarize(self, window):
        return await self._answer("diarize", dump_window(window), window, self._inner.diarize)

    async def decode(self, request):
        return await self._answer("decode", dump_request(request), request, self._inner.decode)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _answer(self, step, message, item, ask):
        await asyncio.sleep(self._delay_s)
        while self._hold.exists():  # noqa: ASYNC110 - told by another process
            await asyncio.sleep(0.02)
        if float(np.max(item.samples, initial=0)) > LOUD - 0.01:
            os._exit(9)
        answer = await ask(item)
        os.write(self._log, f"{step} {hashlib.sha256(message).hexdigest()} {os.getpid()}\n".encode())
        return answer


async def build(_settings):
    """What `main` builds in place of the models."""
    return LoggedEngine(fake_engine(), sys.argv[1], int(sys.argv[2]) / 1000)


if __name__ == "__main__":
    raise SystemExit(main(["worker"], build))
