"""Figures that are looked up when somebody asks for them: sessions, the queue, the engine's waiting requests, the GPU.

Asked in a thread, so what is read of the event loop's objects is a number or a copy made in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.errors import StoreError


@dataclass(frozen=True, slots=True)
class LiveState:
    """sessions: held here; room: how many may be; backlog_s: of sound that waits in the session that waits longest;
    transcriptions: requests inside; viewers: who follow sessions here."""

    sessions: int
    room: int
    backlog_s: float
    transcriptions: int
    viewers: int = 0


@dataclass(frozen=True, slots=True)
class QueueState:
    """jobs: number by state; oldest_s: age of the oldest recording that could run now and does not, 0 = none;
    room: how many may wait, 0 = any number."""

    jobs: Mapping[str, int]
    oldest_s: float
    room: int = 0


@dataclass(frozen=True, slots=True)
class EngineState:
    """waiting: requests by step that are in no batch yet; memory: (bytes used, bytes in all) of a GPU, None = none."""

    waiting: Mapping[str, int]
    memory: tuple[int, int] | None


class LiveCollector(Collector):
    """Live sessions and requests inside."""

    def __init__(self, look: Callable[[], LiveState]) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Prometheus's Collector."""
        state = self._look()
        yield _gauge(
            "live_sessions", "Live sessions held here, those that wait for their client included", state.sessions
        )
        yield _gauge("live_sessions_limit", "Live sessions that may be held here", state.room)
        yield _gauge("live_backlog_seconds", "Sound that waits, of the session that waits longest", state.backlog_s)
        yield _gauge("live_viewers", "Viewers of live sessions, served here", state.viewers)
        yield _gauge("transcriptions", "Transcription requests inside, waiting ones included", state.transcriptions)


class QueueCollector(Collector):
    """Recordings in the store, over all servers. The store is asked once in `keep_s` however often somebody looks."""

    def __init__(self, look: Callable[[], QueueState], keep_s: float = 5.0) -> None:
        self._look = look
        self._keep_s = keep_s
        self._last: tuple[float, QueueState | None] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Prometheus's Collector. A store that cannot be asked is told, and its figures are left out."""
        if self._last is None or time.monotonic() - self._last[0] > self._keep_s:
            try:
                found: QueueState | None = self._look()
            except StoreError:
                found = None
            self._last = time.monotonic(), found
        state = self._last[1]
        yield _gauge("store_up", "Whether the store answered when it was last asked", int(state is not None))
        if state is None:
            return
        jobs = GaugeMetricFamily("crosstalk_jobs", "Recordings in the store by state", labels=["state"])
        for name, number in state.jobs.items():
            jobs.add_metric([name], number)
        yield jobs
        yield _gauge("job_queue_oldest_seconds", "Age of the oldest recording that could run now", state.oldest_s)
        yield _gauge("job_queue_limit", "Recordings that may wait, 0 = any number", state.room)


class WorkerCollector(Collector):
    """Inference workers by state, as this process sees them."""

    def __init__(self, look: Callable[[], Mapping[str, int]]) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Prometheus's Collector."""
        found = GaugeMetricFamily("crosstalk_inference_workers", "Inference workers by state", labels=["state"])
        for state, number in self._look().items():
            found.add_metric([state], number)
        yield found


class EngineCollector(Collector):
    """Requests that wait for the models here, and the memory of the GPU."""

    def __init__(self, look: Callable[[], EngineState]) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Prometheus's Collector."""
        state = self._look()
        waiting = GaugeMetricFamily("crosstalk_engine_waiting", "Requests that wait for the models", labels=["step"])
        for step, number in state.waiting.items():
            waiting.add_metric([step], number)
        yield waiting
        if state.memory is not None:
            used, total = state.memory
            yield _gauge("gpu_memory_used_bytes", "Memory in use on the GPU, by anybody", used)
            yield _gauge("gpu_memory_bytes", "Memory of the GPU", total)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"crosstalk_{name}", about, value=value)
