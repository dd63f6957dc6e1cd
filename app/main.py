"""Composition root of the server: settings -> engine, limits, routes, lifespan.

`crosstalk serve` runs it; so does any ASGI server: `uvicorn --factory app.main:create_app`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.access import Access
from app.engine.base import Engine
from app.engine.readiness import Readiness
from app.jobs.store import Store
from app.jobs.worker import Worker
from app.live.session import LiveSession
from app.monitoring import install, make_metrics, own_port, watch_engine, watch_live, watch_store
from app.observers import Observer
from app.recordings import Workplace
from app.settings import Settings, load_settings
from app.telemetry.metrics import Metrics
from app.transport import health, openai_api, openai_models, openapi, pages, problems, speakers, uploads
from app.transport.access import routes as access_routes
from app.transport.access.guard import Guard
from app.transport.access.headers import SecurityHeaders
from app.transport.admission import Admission
from app.transport.deps import Services, Timings
from app.transport.listen import endpoint as listen
from app.transport.live import endpoint as live_endpoint
from app.transport.live import service as live_service
from app.transport.live import shares
from app.transport.recordings import routes as recordings
from app.transport.resumable import headers as resumable_headers
from app.transport.resumable import routes as resumable
from app.version import installed_version
from app.wiring import (
    access_rules,
    audio_limits,
    build_from,
    guard_rules,
    live_limits,
    store_from,
    upload_rules,
    webhook_rules,
    work_dir,
    worker_rules,
)

_log = logging.getLogger(__name__)

_ASKED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "Range")
_TOLD = ("ETag", "Location", "Retry-After", "X-Crosstalk-Partial", "X-Crosstalk-Ignored")
"""Headers that pages of other origins may send and read."""

DESCRIPTION = """Self-hosted multi-talker meeting transcription: who spoke, when, and what.

The transcription endpoint speaks OpenAI's wire format, so its clients work with a changed base URL.
Errors everywhere have OpenAI's body: `{"error": {"message", "type", "param", "code"}}`."""


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    *,
    close_engine: bool = False,
    metrics: Metrics | None = None,
) -> FastAPI:
    """The ASGI app. Settings are read from the environment, and the engine is built at start, unless they are given.

    A given engine stays the caller's to close, unless `close_engine`. metrics: in place of those of the settings.
    """
    settings = settings or load_settings()
    metrics = metrics or make_metrics(settings)

    app = bare_app(settings, lambda app: _life(app, settings, metrics, engine, close_engine))
    problems.install(app, settings.server.retry_after_s, metrics)
    add_guard(app, settings, metrics)
    live_routes = (live_endpoint, shares, listen)
    for module in (openai_api, openai_models, recordings, resumable, speakers, *live_routes, access_routes, health):
        app.include_router(module.router)
    app.include_router(pages.make_router())
    openapi.install(app, keys_required=settings.access.required)
    install(app, settings, metrics)
    return app


@asynccontextmanager
async def _life(
    app: FastAPI, settings: Settings, metrics: Metrics, engine: Engine | None, close_engine: bool
) -> AsyncIterator[None]:
    """From the app's start to its end."""
    store = await asyncio.to_thread(store_from, settings, metrics)
    running = engine or await build_from(settings)
    watched = watch_engine(metrics, running)
    watch_store(metrics, store)
    place = workplace(settings, watched)
    worker = Worker(store, place, worker_rules(settings), metrics)
    # The probe is nobody's work, so it passes the figures by.
    probing = Readiness(running, settings.server.probe_interval_s, settings.server.probe_timeout_s)
    services = make_services(settings, place, store, worker, probing)
    app.state.services = services
    app.state.access = Access(store.database, access_rules(settings))
    if settings.access.required and not await asyncio.to_thread(app.state.access.keys.any):
        _log.warning("API keys are required and there is none yet: crosstalk keys create --name NAME")
    removed = uploads.sweep(services.upload_dir)
    if removed:
        _log.info("removed %d uploads that an earlier server left behind", removed)
    services.readiness.start()
    if settings.jobs.in_server:
        await worker.start()
    try:
        async with live_service.running(
            watched,
            store.database,
            live_limits(settings),
            audio_limits(settings),
            settings.jobs.speaker_likeness,
            settings.access.recheck_s,
        ) as live:
            app.state.live = live
            app.state.listen = listen_service(settings, live.engine, live)
            watch_live(metrics, live.hub, services.admission)
            with own_port(settings, metrics):
                yield
    finally:
        await worker.aclose()
        await services.readiness.aclose()
        if engine is None or close_engine:
            await running.aclose()
        await asyncio.to_thread(store.database.close)
        await asyncio.to_thread(metrics.close)


def bare_app(settings: Settings, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """The app without routes."""
    # The pages for the API load scripts from elsewhere: never beside a page that holds somebody's key.
    return FastAPI(
        title="Crosstalk",
        version=installed_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None if settings.access.required else "/docs",
        redoc_url=None if settings.access.required else "/redoc",
    )


def add_guard(app: FastAPI, settings: Settings, observer: Observer) -> None:
    """What every request passes: headers, then CORS, then the guard, then the routes."""
    app.add_middleware(Guard, rules=guard_rules(settings), observer=observer)
    if settings.access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.access.origins),
            allow_methods=("GET", "HEAD", "POST", "PATCH", "DELETE"),
            allow_headers=(*_ASKED, *resumable_headers.ASKED),
            expose_headers=(*_TOLD, *resumable_headers.TOLD),
        )
    app.add_middleware(SecurityHeaders, secure=settings.server.tls_certfile is not None)


def workplace(settings: Settings, engine: Engine) -> Workplace:
    """The engine, what is accepted, and where sound lies meanwhile."""
    return Workplace(engine, audio_limits(settings), work_dir(settings))


def listen_service(settings: Settings, engine: Engine, live: live_endpoint.LiveService) -> listen.ListenService:
    """What /v1/listen works with: guests of the live hub, under its limits, and not kept for a resume."""
    rules = live_service.live_rules(live.hub.limits, settings.jobs.speaker_likeness)
    return listen.ListenService(
        open_session=lambda options: LiveSession(engine, options, rules),
        hub=live.hub,
        limits=audio_limits(settings),
        model=f"crosstalk-{engine.spec.decoder}",
        version=installed_version(),
    )


def make_services(settings: Settings, place: Workplace, store: Store, worker: Worker, readiness: Readiness) -> Services:
    """What the routes work with. A worker that is not started still serves to forget deleted recordings."""
    server, limits = settings.server, settings.limits
    return Services(
        workplace=place,
        store=store,
        job_engine=worker.engine,
        admission=Admission(server.max_transcriptions, server.max_waiting_transcriptions),
        readiness=readiness,
        upload_limits=uploads.UploadLimits(
            limits.max_upload_bytes, limits.max_field_bytes, server.upload_stall_timeout_s
        ),
        timings=Timings(server.request_timeout_s, server.heartbeat_s),
        upload_dir=work_dir(settings),
        version=installed_version(),
        started_at_s=int(time.time()),
        webhooks=webhook_rules(settings),
        uploads=upload_rules(settings),
    )
