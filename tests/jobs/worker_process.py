"""`crosstalk worker` over the fake engine: what a process that the tests kill, freeze and drain runs.

Every computed answer is a line in LOG. A window with a sample as loud as `LOUD` ends the process ("poison").
While there is a file `LOG.hold`, the step that it names is not answered; `LOG.held.PID` says that this process waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import threading
from pathlib import Path

import numpy as np

from app.cli.main import main
from app.engine.wire import dump_request, dump_window
from app.errors import StoreUnavailable
from app.jobs.claims import ClaimRules, Claims
from app.jobs.dbos_engine import DbosEngine, dbos_url
from app.jobs.types import Failure
from app.store import open_database
from tests.engine.fake_worker import fake_engine

LOUD = 0.97
"""A sample as loud as this ends the process."""


class LoggedEngine:
    """The fake engine, slowed down, that writes down what it computed."""

    def __init__(self, inner, path: str, delay_s: float) -> None:
        self._inner = inner
        self._hold = Path(f"{path}.hold")
        self._held = Path(f"{path}.held.{os.getpid()}")
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
        while self._hold.exists() and self._hold.read_text() == step:
            self._held.touch()
            await asyncio.sleep(0.02)
        if float(np.max(item.samples, initial=0)) > LOUD - 0.01:
            os._exit(9)
        answer = await ask(item)
        os.write(self._log, f"{step} {hashlib.sha256(message).hexdigest()} {os.getpid()}\n".encode())
        return answer


def run(computed: str, delay_ms: int, environment: dict[str, str], log: str) -> None:
    """The whole life of the process. computed: where every answer is written down; log: takes what it says."""
    _become(environment, log)

    async def build(_settings):
        return LoggedEngine(fake_engine(), computed, delay_ms / 1000)

    raise SystemExit(main(["worker"], build))


def run_command(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """`crosstalk ARGUMENTS` as a process."""
    _become(environment, log)
    raise SystemExit(main(arguments))


def run_unlucky(url: str, log: str) -> None:
    """An engine over dbos that does not reach our tables when it takes its first ticket, until a job was given out."""
    _become({}, log)
    given_out = threading.Event()

    class Unlucky(Claims):
        lucky = False

        def claim_ticket(self, ticket):
            if not self.lucky:
                self.lucky = True
                raise StoreUnavailable("the database cannot be used now")
            return super().claim_ticket(ticket)

    def handle(ctx) -> None:
        claims.fail(ctx.claim, Failure("test", "it was given out"))
        given_out.set()

    database = open_database(url)
    claims = Unlucky(database, ClaimRules(lease_s=1.0))
    engine = DbosEngine(claims, database, dbos_url(url), 0.1)
    engine.start(handle, 1)
    came = given_out.wait(30)
    engine.stop(5)
    raise SystemExit(0 if claims.lucky and came else 1)


def _become(environment: dict[str, str], log: str) -> None:
    """Take these settings alone, and say everything to the log."""
    said = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(said, stream.fileno())
    for name in [name for name in os.environ if name.startswith("CROSSTALK_")]:
        del os.environ[name]
    os.environ |= environment
