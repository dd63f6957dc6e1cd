"""Engine settings -> an engine that is ready. Imports only the chosen kind: torch is loaded for `local` alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from app.core.times import SAMPLE_RATE
from app.core.types import DecodeRequest, DecodeTurn, Window
from app.engine.base import Engine
from app.engine.local import LocalEngine
from app.engine.log import FileLog
from app.engine.replay import ReplayEngine, open_replay
from app.engine.settings import EngineSettings as EngineSettings
from app.engine.settings import WorkerSettings as WorkerSettings
from app.errors import EngineFailed, OptionInvalid

PROBE_LOUDNESS = 0.05


async def build_engine(settings: EngineSettings) -> Engine:
    """Make the engine; loading models takes seconds, during which the event loop is free.

    Raises:
        ModelUnavailable: weights are missing, damaged or of another model, or the device is not there.
        OptionInvalid: replay without a log.
        FileUnreadable, OutputError, EngineFailed: see `FileLog` and `open_replay`.
    """
    if settings.kind == "replay":
        if settings.log is None:
            raise OptionInvalid("an engine of kind replay needs a log of answers", param="log")
        return await _over_log(await asyncio.to_thread(FileLog, settings.log, writable=False), None)
    # The log first: a wrong path should not cost the time of loading models.
    log = None if settings.log is None else await asyncio.to_thread(FileLog, settings.log)
    try:
        engine = await asyncio.to_thread(_local, settings)
    except BaseException:
        if log is not None:
            log.close()
        raise
    return engine if log is None else await _over_log(log, engine)


async def probe(engine: Engine) -> None:
    """Send one window of soft noise through the models, diarized and decoded, to prove that they work.

    An engine that only replays has nothing to prove; nothing of a probe is recorded.

    Raises:
        EngineError: the models failed, or their answers do not have the promised shape.
    """
    target = engine.inner if isinstance(engine, ReplayEngine) else engine
    if target is None:
        return
    spec = target.spec
    # Noise, as silence may be answered without asking the models.
    noise = np.random.default_rng(0).uniform(-PROBE_LOUDNESS, PROBE_LOUDNESS, spec.window_samples).astype(np.float32)
    local = await target.diarize(Window(0, 0, noise, len(noise), 0, len(noise)))
    if local.activity.shape[1] != spec.max_local_speakers or not np.isfinite(local.activity).all():
        raise EngineFailed(f"the probe's diarization is unusable: activity of shape {local.activity.shape}")
    second = noise[: min(SAMPLE_RATE, spec.max_decode_samples)]
    decoded = await target.decode(DecodeRequest(0, 0, second, (DecodeTurn(0, len(second), 0),)))
    if len(decoded.turns) != 1:
        raise EngineFailed(f"the probe's decoding is unusable: {len(decoded.turns)} answers to one turn")


def _local(settings: EngineSettings) -> LocalEngine:
    from app.engine.worker import ModelWorker

    worker = ModelWorker.load(settings.worker)
    return LocalEngine(worker, replace(settings.batching, apart=worker.device == "cpu"))


async def _over_log(log: FileLog, inner: Engine | None) -> ReplayEngine:
    try:
        return await open_replay(log, inner)
    except BaseException:
        log.close()
        if inner is not None:
            await inner.aclose()
        raise
