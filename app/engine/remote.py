"""Inference workers as their client sees them: addresses, health, load, and who gets the next call.

Every worker is asked about itself every few seconds. One that cannot be reached, or that is silent twice in a row
(hung, frozen, cut off), is down: it gets no calls, and those that it has are given up at once so that another may have
them. It is up again with its first answer. A worker whose models are others than wanted is refused for as long.

A URL whose name has several addresses (round-robin DNS, a headless service) stands for a worker per address; names are
looked up again and again, so that workers may come and go.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import httpx2

from app.engine.about import About, load_about
from app.engine.strict_json import WireInvalid

_log = logging.getLogger(__name__)

SILENCES_UNTIL_DOWN = 2
_FIRST_RECHECK_S = 0.25

State = Literal["unknown", "up", "down", "refused"]


@dataclass(frozen=True, slots=True)
class PoolRules:
    """urls: where workers are; token: what they want to see; identity: of the wanted models, empty = of the first
    worker that answers; check_s: how often a worker is asked about itself; check_timeout_s: how long its answer may
    take"""

    urls: tuple[str, ...]
    token: str = ""
    identity: str = ""
    check_s: float = 2.0
    check_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where one worker is. base: scheme, address and port; host: the name that was given, for the Host header"""

    base: str
    host: str


class RemoteWorker:
    """One worker. `gone` is done once it is down: calls wait for their answer or for that."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.about: About | None = None
        self.state: State = "unknown"
        self.reason = "not asked yet"
        self.outstanding = 0
        self.silences = 0
        self.checked = asyncio.Event()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.suspected = asyncio.Event()

    @property
    def load(self) -> float:
        """Calls of this process that it has, against what keeps it busy."""
        return self.outstanding / (1 if self.about is None else self.about.capacity)

    def turn(self, state: State, reason: str = "") -> None:
        """Change the state; logged once per change."""
        if state != self.state:
            level = logging.INFO if state == "up" else logging.WARNING
            _log.log(level, "inference worker %s is %s%s", self.address.base, state, reason and f": {reason}")
        self.state, self.reason = state, reason
        if state == "up":
            self.silences = 0
            if self.gone.done():
                self.gone = asyncio.get_running_loop().create_future()
        elif not self.gone.done():
            self.gone.set_result(None)


class WorkerPool:
    """All workers. `start` it, `close` it; one event loop."""

    def __init__(self, rules: PoolRules, http: httpx2.AsyncClient) -> None:
        self._rules = rules
        self._http = http
        self._workers: dict[Address, RemoteWorker] = {}
        self._watchers: dict[Address, asyncio.Task[None]] = {}
        self._looker: asyncio.Task[None] | None = None
        self._turns = itertools.count()
        self.identity = rules.identity
        self.changed = asyncio.Event()

    @property
    def workers(self) -> list[RemoteWorker]:
        """Every known worker."""
        return list(self._workers.values())

    @property
    def up(self) -> list[RemoteWorker]:
        """Those that get calls."""
        return [worker for worker in self._workers.values() if worker.state == "up"]

    async def start(self) -> None:
        """Look up and watch the workers; returns once each was asked, or when a first one is up."""
        await self._look_up()
        self._looker = asyncio.create_task(self._keep_looking())
        checks = [asyncio.create_task(worker.checked.wait()) for worker in self.workers]
        for check in asyncio.as_completed(checks):
            await check
            if self.up:
                break
        for task in checks:
            task.cancel()

    async def close(self) -> None:
        """Watch no more."""
        tasks = [*self._watchers.values(), *([] if self._looker is None else [self._looker])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def pick(self, avoid: Iterable[RemoteWorker]) -> RemoteWorker | None:
        """The least loaded worker that is up and not to be avoided; None when there is none. Equal ones take turns."""
        free = [worker for worker in self.up if worker not in avoid]
        if not free:
            return None
        least = min(worker.load for worker in free)
        equal = [worker for worker in free if worker.load == least]
        return equal[next(self._turns) % len(equal)]

    def unreachable(self, worker: RemoteWorker, reason: str) -> None:
        """A call was lost: the worker is down until it has answered a question about itself."""
        if worker.state == "up":
            worker.turn("down", reason)
        worker.suspected.set()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._rules.check_s)
            await self._look_up()

    async def _look_up(self) -> None:
        found = {address for url in self._rules.urls for address in await self._addresses(url)}
        for address in found - self._workers.keys():
            self._workers[address] = RemoteWorker(address)
            self._watchers[address] = asyncio.create_task(self._watch(self._workers[address]))
        for address in self._workers.keys() - found:
            _log.info("inference worker %s is not named any more", address.base)
            del self._workers[address]
            self._watchers.pop(address).cancel()

    async def _addresses(self, url: str) -> list[Address]:
        """What a URL stands for; where its name cannot be looked up, what it stood for before."""
        parsed = httpx2.URL(url)
        host, port = parsed.host, parsed.port or (443 if parsed.scheme == "https" else 80)
        whole = Address(f"{parsed.scheme}://{parsed.netloc.decode()}{parsed.path.rstrip('/')}", parsed.netloc.decode())
        if parsed.scheme == "https":
            return [whole]  # its certificate is for the name
        try:
            loop = asyncio.get_running_loop()
            infos = await loop.getaddrinfo(host, port, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except OSError as error:
            known = [address for address in self._workers if address.host == whole.host]
            _log.warning("the inference workers' name %s cannot be looked up: %s", host, error)
            return known or [whole]
        names = {(info[0], str(info[4][0])) for info in infos}
        if host == "localhost" or host in {name for _, name in names}:
            return [whole]
        preferred = {name for family, name in names if family == socket.AF_INET} or {name for _, name in names}
        path = parsed.path.rstrip("/")
        return [
            Address(f"http://{f'[{name}]' if ':' in name else name}:{port}{path}", whole.host)
            for name in sorted(preferred)
        ]

    async def _watch(self, worker: RemoteWorker) -> None:
        pause_s = _FIRST_RECHECK_S
        while True:
            await self._check(worker)
            worker.checked.set()
            self.changed.set()
            # Checked soon again after a loss, then less and less often.
            pause_s = self._rules.check_s if worker.state == "up" else min(2 * pause_s, self._rules.check_s)
            worker.suspected.clear()
            try:
                await asyncio.wait_for(worker.suspected.wait(), pause_s)
            except TimeoutError:
                continue
            pause_s = _FIRST_RECHECK_S
            await asyncio.sleep(min(pause_s, self._rules.check_s))

    async def _check(self, worker: RemoteWorker) -> None:
        headers = {"Host": worker.address.host} | bearer(self._rules.token)
        url = f"{worker.address.base}/v1/infer/about"
        try:
            answer = await self._http.get(url, headers=headers, timeout=self._rules.check_timeout_s)
            if answer.status_code != httpx2.codes.OK:
                refused = answer.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)
                worker.turn("refused" if refused else "down", f"it answers with status {answer.status_code}")
                return
            about = load_about(answer.content)
        except WireInvalid as error:
            worker.turn("refused", str(error))
        except httpx2.TimeoutException:
            worker.silences += 1
            if worker.silences >= SILENCES_UNTIL_DOWN or worker.state != "up":
                worker.turn("down", f"it is silent for {worker.silences} times {self._rules.check_timeout_s:g} s")
        except httpx2.RequestError as error:
            worker.turn("down", f"{type(error).__name__}: {error}")
        else:
            self._heard(worker, about)

    def _heard(self, worker: RemoteWorker, about: About) -> None:
        self.identity = self.identity or about.identity
        if about.identity != self.identity:
            worker.turn("refused", f"its models are {about.identity}, not {self.identity}")
            return
        worker.about = about
        worker.turn("up")


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}
