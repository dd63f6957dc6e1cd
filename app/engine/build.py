"""Engine settings -> an engine that is ready. Imports only the chosen kind: torch is loaded for `local` alone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace

from app.engine.base import Engine
from app.engine.local import LocalEngine
from app.engine.log import FileLog
from app.engine.replay import ReplayEngine, open_replay
from app.engine.settings import EngineSettings as EngineSettings
from app.engine.settings import HttpSettings
from app.engine.settings import WorkerSettings as WorkerSettings
from app.errors import OptionInvalid


async def build_engine(settings: EngineSettings) -> Engine:
    """Make the engine; loading models takes seconds, during which the event loop is free.

    Raises:
        ModelUnavailable: weights are missing, damaged or of another model, or the device is not there; or no
            inference worker answers.
        OptionInvalid: replay without a log, http without URLs.
        SetupError: inference workers cannot be used: another token, other models.
        FileUnreadable, OutputError, EngineFailed: see `FileLog` and `open_replay`.
    """
    if settings.kind == "replay":
        if settings.log is None:
            raise OptionInvalid("an engine of kind replay needs a log of answers", param="log")
        return await _over_log(await asyncio.to_thread(FileLog, settings.log, writable=False), None)
    # The log first: a wrong path should not cost the time of loading models.
    if settings.log is None:
        return await _asking(settings)
    log = await asyncio.to_thread(FileLog, settings.log)
    with ExitStack() as unless_done:
        unless_done.callback(log.close)
        engine = await _asking(settings)
        unless_done.pop_all()
    return await _over_log(log, engine)


async def _asking(settings: EngineSettings) -> Engine:
    """The engine that asks models, here or at workers."""
    if settings.kind == "http":
        return await _remote(settings.http)
    return await asyncio.to_thread(_local, settings)


def _local(settings: EngineSettings) -> Engine:
    from app.engine.worker import ModelWorker

    worker = ModelWorker.load(settings.worker)
    return LocalEngine(worker, replace(settings.batching, apart=worker.device == "cpu"))


async def _remote(settings: HttpSettings) -> Engine:
    from app.engine.http_client import HttpRules, open_http
    from app.engine.remote import PoolRules

    if not settings.urls:
        raise OptionInvalid("an engine of kind http needs the URLs of inference workers", param="urls")
    pool = PoolRules(settings.urls, settings.token, settings.identity, settings.check_s, settings.check_timeout_s)
    rules = HttpRules(pool, settings.timeout_s, settings.call_timeout_s, start_timeout_s=settings.start_timeout_s)
    return await open_http(rules)


async def _over_log(log: FileLog, inner: Engine | None) -> ReplayEngine:
    async with AsyncExitStack() as unless_done:
        if inner is not None:
            unless_done.push_async_callback(inner.aclose)
        unless_done.callback(log.close)
        engine = await open_replay(log, inner)
        unless_done.pop_all()
    return engine
