"""The engine in this process: one worker, one thread for its device, and batching over all sessions.

In: windows and decode requests of any number of sessions. Out: their answers, see `base.Engine` for the contract.
Diarization and decoding share the thread: two models at once on one device only slow each other down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Window
from app.engine.about import BATCHES_AT_ONCE
from app.engine.batching import DeviceThread, LaneRules, LaneStats, MicroBatcher
from app.engine.load import EngineCost, LoadMeter


class Worker(Protocol):
    """Answers batches, blocking. As many answers as requests, in their order; an Exception fails its request alone.

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


@dataclass(frozen=True, slots=True)
class BatchRules:
    """Batch sizes; max_wait_ms: how long a batch waits for company; max_waiting: requests of one step that may wait."""

    max_diarize_batch: int = 8
    max_decode_batch: int = 8
    max_wait_ms: float = 20.0
    max_waiting: int = 256


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
        self._device = DeviceThread("crosstalk-engine")
        answer_windows = meter.timed("diarize", worker.diarize_batch)
        answer_requests = meter.timed("decode", worker.decode_batch)
        self._diarize: MicroBatcher[Window, LocalDiarization] = MicroBatcher(self._device, answer_windows, diarize)
        self._decode: MicroBatcher[DecodeRequest, Decoded] = MicroBatcher(self._device, answer_requests, decode)

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

    async def diarize(self, window: Window) -> LocalDiarization:
        """Who speaks when within one window. Raises EngineError (see `MicroBatcher.ask`)."""
        return await self._diarize.ask(window)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The words of every asked turn. Raises EngineError (see `MicroBatcher.ask`)."""
        return await self._decode.ask(request)

    async def aclose(self) -> None:
        """Finish the batch in flight, refuse what waits, end the thread, free the models. May be called again."""
        await self._device.aclose()
        self._worker.close()
