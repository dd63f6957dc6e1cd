"""The engine in this process: one worker, one thread for its device (two on a CPU), and batching over all sessions.

In: windows and decode requests of any number of sessions. Out: their answers, see `base.Engine` for the contract.
On a GPU diarization and decoding share the thread: two models at once only slow each other down. On a CPU each has a
thread and its part of the cores: small models on few cores each do far better than one on all of them, whose threads
wait for each other, and captions are not diarized late because a long decoding is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Urgency, Window
from app.engine.about import BATCHES_AT_ONCE
from app.engine.batching import LaneRules, LaneStats, MicroBatcher
from app.engine.device import DEFAULT_PATIENCE_S, Cores, DeviceThread
from app.engine.load import EngineCost, LoadMeter
from app.errors import CrosstalkError
from app.observers import Observer


class Worker(Protocol):
    """Answers batches, blocking. As many answers as requests, in their order; an Exception fails its request alone.
    Each step is asked from one thread at a time; with `BatchRules.apart` both steps may run at the same moment.

    `worker.ModelWorker` is the real one. An answer must not depend on the rest of the batch.
    """

    @property
    def spec(self) -> EngineSpec:
        """What the models dictate."""

    @property
    def identity(self) -> str:
        """Which models these are; see `about.HasIdentity`."""

    def diarize_batch(self, windows: Sequence[Window]) -> Sequence[LocalDiarization | Exception]:
        """One answer per window."""

    def decode_batch(self, requests: Sequence[DecodeRequest]) -> Sequence[Decoded | Exception]:
        """One answer per request."""

    def close(self) -> None:
        """Free the models; nothing is asked afterwards. May be called again."""


@runtime_checkable
class HasMemory(Protocol):
    """A worker that knows its GPU's memory."""

    def memory(self) -> tuple[int, int] | None:
        """(bytes used, bytes in all); None without a GPU. From any thread."""


@runtime_checkable
class Pausing(Protocol):
    """A worker whose batches can be interrupted."""

    def on_pause(self, call: Callable[[], None]) -> None:
        """`call` is called between the steps of a batch, on its thread, from now on; it may ask for other batches."""


@dataclass(frozen=True, slots=True)
class BatchRules:
    """Batch sizes; max_wait_ms: how long a batch waits for company; max_waiting: requests of one step that may wait;
    apart: a thread for each step; patience_s: how long more urgent requests may pass one over."""

    max_diarize_batch: int = 8
    max_decode_batch: int = 8
    max_wait_ms: float = 20.0
    max_waiting: int = 256
    apart: bool = False
    patience_s: float = DEFAULT_PATIENCE_S


class LocalEngine:
    """Engine over a worker in this process. Usable from any event loop; owns the worker until `aclose`."""

    def __init__(self, worker: Worker, rules: BatchRules) -> None:
        """Raises ValueError for limits that are not positive."""
        self._worker = worker
        self._spec = worker.spec
        self._identity = worker.identity
        self._capacity = BATCHES_AT_ONCE * max(rules.max_diarize_batch, rules.max_decode_batch)
        diarize = LaneRules("diarize", rules.max_diarize_batch, rules.max_wait_ms, rules.max_waiting)
        decode = LaneRules("decode", rules.max_decode_batch, rules.max_wait_ms, rules.max_waiting)
        self._meter = meter = LoadMeter()
        answer_windows = meter.timed("diarize", worker.diarize_batch)
        answer_requests = meter.timed("decode", worker.decode_batch)
        cores = Cores(yielding=Urgency.RECORDING)
        names = ("crosstalk-engine", "crosstalk-decode") if rules.apart else ("crosstalk-engine",)
        self._devices = [DeviceThread(name, rules.patience_s, cores=cores) for name in names]
        first = self._devices[0]
        self._diarize: MicroBatcher[Window, LocalDiarization] = MicroBatcher(
            first, answer_windows, diarize, urgency=_urgency
        )
        self._decode: MicroBatcher[DecodeRequest, Decoded] = MicroBatcher(
            self._devices[-1], answer_requests, decode, urgency=_urgency
        )
        if isinstance(worker, Pausing):
            worker.on_pause(self._let_pass)

    @property
    def spec(self) -> EngineSpec:
        """What the models dictate."""
        return self._spec

    @property
    def identity(self) -> str:
        """Which models these are; see `about.HasIdentity`."""
        return self._identity

    @property
    def capacity(self) -> int:
        """Requests in flight that keep the models busy."""
        return self._capacity

    def cost(self) -> EngineCost:
        """What the work costs, as measured."""
        return self._meter.cost()

    @property
    def stats(self) -> dict[str, LaneStats]:
        """Counts by step: `diarize`, `decode`."""
        return {"diarize": self._diarize.stats, "decode": self._decode.stats}

    @property
    def waiting(self) -> Mapping[str, int]:
        """Requests by step that are in no batch yet."""
        return {"diarize": self._diarize.waiting, "decode": self._decode.waiting}

    @property
    def device_memory(self) -> tuple[int, int] | None:
        """(bytes used, bytes in all) of the GPU; None without one."""
        return self._worker.memory() if isinstance(self._worker, HasMemory) else None

    def watch(self, observer: Observer) -> None:
        """Tell of every batch from now on."""
        self._diarize.observer = self._decode.observer = observer

    async def diarize(self, window: Window) -> LocalDiarization:
        """Who speaks when within one window. Raises EngineError (see `MicroBatcher.ask`)."""
        return await self._diarize.ask(window)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The words of every asked turn. Raises EngineError (see `MicroBatcher.ask`)."""
        return await self._decode.ask(request)

    async def diarize_all(self, windows: Sequence[Window]) -> list[LocalDiarization | CrosstalkError]:
        """As `diarize`, for windows that come together; an error in the place of its answer."""
        return await self._diarize.ask_all(windows)

    async def decode_all(self, requests: Sequence[DecodeRequest]) -> list[Decoded | CrosstalkError]:
        """As `decode`, for requests that come together; an error in the place of its answer."""
        return await self._decode.ask_all(requests)

    async def aclose(self) -> None:
        """Finish the batch in flight, refuse what waits, end the thread, free the models. May be called again."""
        await asyncio.gather(*(device.aclose() for device in self._devices))
        self._worker.close()

    def _let_pass(self) -> None:
        for device in self._devices:
            device.let_pass()


def _urgency(request: Window | DecodeRequest) -> int:
    return request.urgency
