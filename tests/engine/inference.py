"""Inference workers for tests: in a thread of this process, and as processes that can be killed and frozen."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from app.engine.http_client import HttpEngine, HttpRules, open_http
from app.engine.infer_app import create_infer_app
from app.engine.infer_rules import InferRules
from app.engine.remote import PoolRules
from tests.running import running

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(app) -> Iterator[str]:
    """The base URL of an ASGI app, served by a thread until the context ends."""
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=20)
    )
    with running(server) as url:
        yield url


def http_rules(*urls: str, token: str = "", identity: str = "", **values) -> HttpRules:
    """Quick to notice, generous in what a loaded machine needs."""
    pool = PoolRules(tuple(urls), token, identity, check_s=0.3, check_timeout_s=values.pop("check_timeout_s", 5.0))
    return HttpRules(pool, **({"timeout_s": 60.0, "start_timeout_s": 30.0} | values))


class ServedEngine:
    """An HttpEngine over a worker in this process that is closed with it."""

    def __init__(self, inner, rules: InferRules | None = None) -> None:
        self._inner = inner
        self._server = serving(create_infer_app(inner, rules or InferRules()))
        self._engine: HttpEngine | None = None

    async def start(self):
        url = await asyncio.to_thread(self._server.__enter__)
        self._engine = await open_http(http_rules(url))
        return self

    def __getattr__(self, name):
        return getattr(self._engine, name)

    async def aclose(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await self._engine.aclose()
            await self._inner.aclose()
            await asyncio.to_thread(server.__exit__, None, None, None)


class Workers:
    """`crosstalk infer` over the fake models, as processes. Close it: what still runs is killed by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.urls: list[str] = []

    def start(
        self,
        identity: str = "fake",
        port: int = 0,
        command: str = "tests.engine.inference_process",
        **settings: object,
    ) -> str:
        """A worker's URL, once it listens. command: a module with other models; settings: environment of
        tests/engine/inference_process.py."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CROSSTALK_", "FAKE_"))}
        environment |= {"PYTHONPATH": str(ROOT), "FAKE_IDENTITY": identity, "OMP_NUM_THREADS": "1"}
        environment |= {key.upper(): str(value) for key, value in settings.items()}
        words = [sys.executable, "-m", command, "infer", "--port", str(port)]
        path = self._folder / f"infer-{len(self.processes)}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        self.urls.append(self._url(path, process))
        return self.urls[-1]

    def kill(self, index: int) -> None:
        """kill -9."""
        self.processes[index].kill()
        self.processes[index].wait()

    def freeze(self, index: int) -> None:
        """It runs no more and answers nothing, but its port stays open."""
        self.processes[index].send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """Kill all that still run."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def _url(self, log: Path, process: subprocess.Popen[bytes]) -> str:
        end_s = time.monotonic() + 60
        while True:
            told = log.read_text()
            if "startup complete" in told and (found := re.search(r"http://127\.0\.0\.1:\d+", told)):
                return found[0]
            assert process.poll() is None, told
            assert time.monotonic() < end_s, told
            time.sleep(0.05)
