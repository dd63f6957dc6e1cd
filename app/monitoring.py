"""Settings and the parts of a running process -> its figures. Used by the two roots, app/main.py and app/cli."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from app.core.times import to_seconds
from app.engine.base import Engine
from app.engine.observed import HasWorkers, ObservedEngine, Watchable
from app.errors import SetupError
from app.jobs.store import Store
from app.jobs.types import JobState
from app.settings import Settings
from app.telemetry.collect import (
    EngineCollector,
    EngineState,
    LiveCollector,
    LiveState,
    QueueCollector,
    QueueState,
    WorkerCollector,
)
from app.telemetry.metrics import CONTENT_TYPE, Metrics
from app.telemetry.port import metrics_port
from app.transport.admission import Admission
from app.transport.live.hub import LiveHub
from app.transport.observed import Figures, Observed, metrics_router
from app.version import installed_version


def make_metrics(settings: Settings) -> Metrics:
    """Figures of one app or worker, all at nothing; with traces where the settings ask for them. Raises SetupError."""
    traces = settings.traces
    if not traces.endpoint:
        return Metrics(installed_version())
    try:
        from app.telemetry.traces import otlp
    except ImportError as error:
        message = "traces need OpenTelemetry: pip install 'crosstalk[otel]'"
        raise SetupError(message, param="CROSSTALK_TRACES__ENDPOINT") from error
    return otlp(installed_version(), traces.endpoint, traces.ratio)


def install(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """The outermost layer of an app, and its `/metrics` unless that is off or on a port of its own."""
    rules = settings.metrics
    if not rules.enabled or rules.port:
        app.add_middleware(Observed, observer=metrics)
        return
    figures = Figures(metrics.text, CONTENT_TYPE, rules.token)
    app.include_router(metrics_router(figures))
    app.add_middleware(Observed, observer=metrics, figures=figures)


def watch_engine(metrics: Metrics, engine: Engine) -> Engine:
    """The engine to work with; the given one goes on to be the one to probe and to close."""
    if isinstance(engine, Watchable):
        engine.watch(metrics)
        metrics.registry.register(EngineCollector(lambda: EngineState(engine.waiting, engine.device_memory)))
    if isinstance(engine, HasWorkers):
        metrics.registry.register(WorkerCollector(lambda: engine.workers))
    return ObservedEngine(engine, metrics)


def watch_store(metrics: Metrics, store: Store) -> None:
    """Recordings by state, over all servers."""
    jobs = store.jobs

    def look() -> QueueState:
        counts = jobs.counts()
        by_state = {state.value: counts.get(state, 0) for state in JobState}
        return QueueState(by_state, jobs.oldest_wait_s(), jobs.most_queued)

    metrics.registry.register(QueueCollector(look))


def watch_live(metrics: Metrics, hub: LiveHub, admission: Admission) -> None:
    """Sessions and requests inside."""
    hub.observer = metrics
    metrics.registry.register(
        LiveCollector(
            lambda: LiveState(
                hub.sessions,
                hub.limits.max_sessions,
                to_seconds(hub.backlog_samples),
                admission.inside,
                len(hub.audience),
            )
        )
    )


@contextmanager
def own_port(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """`/metrics` on a port of its own while this lasts, if the settings ask for one. Raises SetupError."""
    rules = settings.metrics
    if not rules.enabled or not rules.port:
        yield
        return
    with metrics_port((rules.host, rules.port), metrics.text, CONTENT_TYPE, rules.token):
        yield
