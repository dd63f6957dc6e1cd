"""The inference worker on Ray Serve: the app of `infer_app.py`, as many replicas as the cluster has room and work for.
The only module that imports ray (extra `ray`).

A replica holds the models and answers over HTTP, through the proxies of Serve, to the same client as `crosstalk infer`
(`http_client.py`): no program that transcribes is part of the cluster, or ends with it. Calls are gathered by
`@serve.batch`, so that Serve's figures tell how full batches are; which of the gathered goes to the models next is
decided when the device is free, by urgency, as everywhere (`batching.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ray import serve
from ray.exceptions import RayError
from starlette.applications import Starlette

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Urgency, Window
from app.engine.infer_app import create_infer_app
from app.engine.infer_rules import InferRules
from app.engine.load import EngineCost
from app.engine.local import BatchRules, LocalEngine, Worker
from app.errors import CrosstalkError, EngineFailed
from app.observers import Observer

DEPLOYMENT = "Infer"

_log = logging.getLogger(__name__)

Req = TypeVar("Req", Window, DecodeRequest)
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a replica is made of, on the machine where it runs."""

    worker: Worker
    batching: BatchRules = field(default_factory=BatchRules)
    rules: InferRules = field(default_factory=InferRules)
    observer: Observer | None = None


def application(make: Callable[[], Parts]) -> object:
    """What Serve deploys. make: called in every replica, a function of a module that the cluster can import."""
    bound: object = serve.deployment(serve.ingress()(Replica), name=DEPLOYMENT).bind(make)
    return bound


class Replica:
    """One copy of the models. Serve calls its methods; Ray says on which GPU it is."""

    def __init__(self, make: Callable[[], Parts]) -> None:
        parts = make()
        self._engine = GatheredEngine(LocalEngine(parts.worker, parts.batching), parts.batching, parts.rules.max_inside)
        if parts.observer is not None:
            self._engine.inner.watch(parts.observer)
        self._infer = create_infer_app(self._engine, parts.rules, parts.observer)

    def __serve_build_asgi_app__(self) -> Starlette:
        """The worker's HTTP side."""
        return self._infer

    async def check_health(self) -> None:
        """Serve replaces a replica that raises here thrice. Raises EngineFailed when a probe did not pass."""
        self._engine.replicas = await asyncio.to_thread(_running, self._engine.replicas)
        result = await self._infer.state.readiness.check()
        if result is not None and not result.passed:
            raise EngineFailed(result.reason)


class GatheredEngine:
    """An engine whose requests Serve gathers, those of each step and urgency by themselves. replicas: that run now."""

    def __init__(self, inner: LocalEngine, rules: BatchRules, max_inside: int) -> None:
        self.inner = inner
        self.replicas = 1
        wait_s = rules.max_wait_ms / 1000
        self._diarize = {
            urgency: _gathered(inner.diarize_all, rules.max_diarize_batch, wait_s, max_inside) for urgency in Urgency
        }
        self._decode = {
            urgency: _gathered(inner.decode_all, rules.max_decode_batch, wait_s, max_inside) for urgency in Urgency
        }

    @property
    def spec(self) -> EngineSpec:
        """What the models dictate."""
        return self.inner.spec

    @property
    def identity(self) -> str:
        """Which models these are; see `about.HasIdentity`."""
        return self.inner.identity

    @property
    def capacity(self) -> int:
        """Requests in flight that keep the models of all replicas busy: who asks reaches all through any proxy."""
        return self.inner.capacity * self.replicas

    @property
    def waiting(self) -> Mapping[str, int]:
        """See LocalEngine."""
        return self.inner.waiting

    def cost(self) -> EngineCost:
        """What the work costs, as measured."""
        return self.inner.cost()

    async def diarize(self, window: Window) -> LocalDiarization:
        """Who speaks when within one window. Raises EngineError."""
        return await self._diarize[window.urgency](window)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The words of every asked turn. Raises EngineError, OptionInvalid."""
        return await self._decode[request.urgency](request)

    async def aclose(self) -> None:
        """See LocalEngine."""
        await self.inner.aclose()


def _running(known: int) -> int:
    """How many replicas run; as many as were known when Serve does not say. Blocks."""
    context = serve.get_replica_context()
    try:
        deployment = serve.status().applications[context.app_name].deployments[context.deployment]
    except (RayError, KeyError) as error:
        _log.warning("the number of replicas is not known: %s", error)
        return known
    running: int = deployment.replica_states.get("RUNNING", 1)
    return max(1, running)


def _gathered(
    ask_all: Callable[[Sequence[Req]], Awaitable[Sequence[Res | CrosstalkError]]],
    max_batch: int,
    wait_s: float,
    max_inside: int,
) -> Callable[[Req], Awaitable[Res]]:
    """`ask_all` for single requests, gathered by Serve."""

    async def gathered(requests: list[Req]) -> list[Res | CrosstalkError]:
        return list(await ask_all(requests))

    # As many lists under way as there may be requests: which of them is next is not decided here.
    at_once = max(1, max_inside // max_batch)
    batched: Callable[[Req], Awaitable[Res | CrosstalkError]] = serve.batch(
        max_batch_size=max_batch, batch_wait_timeout_s=wait_s, max_concurrent_batches=at_once
    )(gathered)

    async def ask(request: Req) -> Res:
        answer = await batched(request)
        if isinstance(answer, CrosstalkError):
            raise answer
        return answer

    return ask
