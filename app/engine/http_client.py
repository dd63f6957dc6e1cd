"""The engine on other machines: calls to inference workers, spread, watched and repeated when they are lost.

In: windows and decode requests. Out: their answers, see `base.Engine`. A call goes to the least loaded worker. It is
lost when the connection breaks, when its worker turns out to be down (`remote.py`), or when it takes too long; then it
goes to another worker, up to twice, within the deadline of the whole request. That is safe, as an answer follows from
its request alone. While no worker is up, requests wait for one until their deadline. A worker that is full passes the
call to the next one; only when all are full is that the caller's `Overloaded`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, Self, get_args

import httpx2

from app.context import current_trace
from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Urgency, Window
from app.engine.about import DEFAULT_CAPACITY
from app.engine.infer_rules import IDENTITY_HEADER, TIMEOUT_HEADER, TRACE_HEADER, URGENCY_HEADER
from app.engine.load import EngineCost, together
from app.engine.packet import MEDIA_TYPE, pack_request, pack_window
from app.engine.remote import PoolRules, RemoteWorker, State, WorkerPool, bearer
from app.engine.strict_json import WireInvalid
from app.engine.wire import load_decoded, load_diarization
from app.errors import (
    EngineClosed,
    EngineFailed,
    EngineUnavailable,
    ModelUnavailable,
    OptionInvalid,
    Overloaded,
    SetupError,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpRules:
    """timeout_s: of a whole request, waiting and repeating included; call_timeout_s: of one call to one worker;
    losses: lost calls after which a request fails; connect_timeout_s: of a connection; start_timeout_s: how long a
    first worker is waited for"""

    pool: PoolRules
    timeout_s: float = 180.0
    call_timeout_s: float = 60.0
    losses: int = 3
    connect_timeout_s: float = 2.0
    start_timeout_s: float = 60.0


class _Lost(Exception):
    """No answer, for a reason that another worker may not share."""


class _Busy(Exception):
    """The worker is full."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as it is sent. step: the last part of its path; body: see packet.py"""

    step: str
    body: bytes
    urgency: Urgency


@dataclass(slots=True)
class _Tried:
    """What became of one request so far. last: why the last call was lost"""

    lost: list[RemoteWorker] = field(default_factory=list)
    full: list[RemoteWorker] = field(default_factory=list)
    last: str = "no worker is up"


class HttpEngine:
    """Engine over inference workers. Made by `open_http`; for the event loop it was made on."""

    def __init__(self, rules: HttpRules) -> None:
        self._rules = rules
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=4.0)
        timeout = httpx2.Timeout(rules.call_timeout_s, connect=rules.connect_timeout_s)
        self._http = httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=False)
        self._pool = WorkerPool(rules.pool, self._http)
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spec: EngineSpec | None = None

    async def start(self) -> Self:
        """Find the workers. Raises ModelUnavailable when none can be used, SetupError when they refuse the token."""
        try:
            async with asyncio.timeout(self._rules.start_timeout_s):
                await self._pool.start()
                while not self._pool.up:
                    self._refuse_hopeless()
                    self._pool.changed.clear()
                    await self._pool.changed.wait()
        except TimeoutError as error:
            reasons = "; ".join(f"{worker.address.base}: {worker.reason}" for worker in self._pool.workers)
            raise ModelUnavailable(f"no inference worker can be used: {reasons}") from error
        about = self._pool.up[0].about
        assert about is not None
        self._spec = about.spec
        _log.info("inference by %d workers, models %s", len(self._pool.up), self._pool.identity)
        return self

    @property
    def spec(self) -> EngineSpec:
        """What the workers' models dictate."""
        assert self._spec is not None
        return self._spec

    @property
    def identity(self) -> str:
        """Which models the workers run."""
        return self._pool.identity

    @property
    def capacity(self) -> int:
        """Requests in flight that keep all workers busy that are up."""
        return sum(worker.about.capacity for worker in self._pool.up if worker.about) or DEFAULT_CAPACITY

    @property
    def workers(self) -> Mapping[str, int]:
        """How many workers are in which state: `up`, `down`, `refused`, `unknown`. From any thread."""
        states = [worker.state for worker in self._pool.workers]
        return {state: states.count(state) for state in get_args(State)}

    def cost(self) -> EngineCost:
        """Of all workers that are up."""
        return together([worker.about.cost for worker in self._pool.up if worker.about])

    async def diarize(self, window: Window) -> LocalDiarization:
        """Who speaks when within one window. Raises EngineError."""
        try:
            return load_diarization(await self._ask(_Asked("diarize", pack_window(window), window.urgency)))
        except WireInvalid as error:
            raise EngineFailed(f"window {window.index} cannot be sent, or its answer not read: {error}") from error

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The words of every asked turn. Raises EngineError, OptionInvalid."""
        try:
            return load_decoded(await self._ask(_Asked("decode", pack_request(request), request.urgency)))
        except WireInvalid as error:
            raise EngineFailed(f"request {request.index} cannot be sent, or its answer not read: {error}") from error

    async def aclose(self) -> None:
        """Give up what is in flight with EngineClosed. The workers go on. May be called again."""
        if not self._closed.done():
            self._closed.set_result(None)
        await self._pool.close()
        await self._http.aclose()

    def _refuse_hopeless(self) -> None:
        refused = [worker for worker in self._pool.workers if worker.state == "refused"]
        if refused and len(refused) == len(self._pool.workers):
            raise SetupError(f"inference worker {refused[0].address.base} cannot be used: {refused[0].reason}")

    async def _ask(self, asked: _Asked) -> bytes:
        """The answer's bytes. Raises Overloaded, EngineUnavailable, EngineClosed, and what the worker answered."""
        tried = _Tried()
        try:
            async with asyncio.timeout(self._rules.timeout_s):
                while True:
                    worker = await self._worker(tried)
                    try:
                        return await self._call(worker, asked)
                    except _Busy:
                        tried.full.append(worker)
                    except _Lost as lost:
                        tried.lost.append(worker)
                        tried.last = f"{worker.address.base}: {lost}"
                        _log.warning("a call to %s was lost at %s", asked.step, tried.last)
                        if len(tried.lost) >= self._rules.losses:
                            raise EngineUnavailable(
                                f"{len(tried.lost)} calls were lost, at last {tried.last}"
                            ) from lost
        except TimeoutError as error:
            message = f"no inference worker answered within {self._rules.timeout_s:g} s; {tried.last}"
            raise EngineUnavailable(message) from error

    async def _worker(self, tried: _Tried) -> RemoteWorker:
        """Who is asked next: not who is full, and who has lost this request already only where there is no other."""
        while True:
            if self._closed.done():
                raise EngineClosed("the engine is closed")
            self._pool.changed.clear()
            found = self._pool.pick([*tried.lost, *tried.full]) or self._pool.pick(tried.full)
            if found is not None:
                return found
            if tried.full and self._pool.up:
                raise Overloaded("every inference worker is full; try again later")
            changed = asyncio.ensure_future(self._pool.changed.wait())
            awaited: set[asyncio.Future[Any]] = {changed, self._closed}
            try:
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()

    async def _call(self, worker: RemoteWorker, asked: _Asked) -> bytes:
        """One call to one worker. Raises _Busy, _Lost, EngineClosed, and what the worker answered."""
        worker.outstanding += 1
        call = asyncio.ensure_future(self._post(worker, asked))
        awaited: set[asyncio.Future[Any]] = {call, worker.gone, self._closed}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if call.done():
                return self._read(worker, asked.step, call.result())
            if self._closed.done():
                raise EngineClosed("the engine was closed before the answer came")
            raise _Lost(worker.reason)
        except httpx2.RequestError as error:
            if isinstance(error, (httpx2.ReadTimeout, httpx2.PoolTimeout)):
                raise _Lost(f"no answer within {self._rules.call_timeout_s:g} s") from error
            self._pool.unreachable(worker, f"{type(error).__name__} {error}".strip())
            raise _Lost(worker.reason) from error
        finally:
            worker.outstanding -= 1
            if not call.done():
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)

    async def _post(self, worker: RemoteWorker, asked: _Asked) -> httpx2.Response:
        headers = {
            "Host": worker.address.host,
            "Content-Type": MEDIA_TYPE,
            IDENTITY_HEADER: self._pool.identity,
            TIMEOUT_HEADER: str(round(1000 * self._rules.call_timeout_s)),
            URGENCY_HEADER: str(asked.urgency.value),
        } | bearer(self._rules.pool.token)
        if trace := current_trace():
            headers[TRACE_HEADER] = trace
        return await self._http.post(
            f"{worker.address.base}/v1/infer/{asked.step}", content=asked.body, headers=headers
        )

    def _read(self, worker: RemoteWorker, step: str, answer: httpx2.Response) -> bytes:
        if answer.status_code == httpx2.codes.OK:
            return answer.content
        code, message, param = _problem(answer)
        if code == Overloaded.code:
            raise _Busy
        if code == OptionInvalid.code:
            raise OptionInvalid(message, param=param)
        if code == EngineFailed.code or answer.status_code in (400, 413):
            raise EngineFailed(f"{message} [{code}]" if code != EngineFailed.code else message)
        if answer.status_code in (401, 403, 409):
            worker.turn("refused", message)
        raise _Lost(f"status {answer.status_code} to {step}: {message} [{code}]")


async def open_http(rules: HttpRules) -> HttpEngine:
    """The engine over the workers of `rules`, once a first one is found. Raises SetupError, ModelUnavailable."""
    async with AsyncExitStack() as unless_done:
        engine = await unless_done.enter_async_context(aclosing(HttpEngine(rules)))
        await engine.start()
        unless_done.pop_all()
    return engine


def _problem(answer: httpx2.Response) -> tuple[str, str, str | None]:
    """Code, message and culprit of an error; of what is not a worker's (a proxy's page), its status."""
    try:
        error = json.loads(answer.content)["error"]
        param = error["param"]
        return str(error["code"]), str(error["message"]), None if param is None else str(param)
    except (ValueError, KeyError, TypeError):
        return f"http_{answer.status_code}", answer.text[:200], None
