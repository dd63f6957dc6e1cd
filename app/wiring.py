"""Settings -> the plain values that the layers below are built from. Used by the two roots, app/main.py and app/cli."""

from __future__ import annotations

from pathlib import Path

from app.audio import AudioLimits
from app.engine.base import Engine
from app.engine.build import build_engine
from app.engine.local import BatchRules
from app.engine.settings import EngineSettings, WorkerSettings
from app.settings import Settings
from app.transport.live.limits import LiveLimits


def engine_settings(settings: Settings) -> EngineSettings:
    """How the engine is built."""
    engine = settings.engine
    return EngineSettings(
        worker=WorkerSettings(
            weights_dir=settings.weights_dir,
            device=engine.device,
            num_threads=engine.num_threads,
            dtype=engine.dtype,
            quantize=engine.quantize,
            decoder=engine.decoder,
        ),
        batching=BatchRules(
            max_diarize_batch=engine.max_diarize_batch,
            max_decode_batch=engine.max_decode_batch,
            max_wait_ms=engine.max_wait_ms,
            max_waiting=engine.max_waiting,
        ),
    )


async def build_from(settings: Settings) -> Engine:
    """The engine that the settings ask for. Raises what `build_engine` raises."""
    return await build_engine(engine_settings(settings))


def audio_limits(settings: Settings) -> AudioLimits:
    """What recordings are accepted."""
    limits = settings.limits
    return AudioLimits(
        max_duration_s=limits.max_duration_s,
        min_rate=limits.min_rate_hz,
        max_rate=limits.max_rate_hz,
        max_channels=limits.max_channels,
    )


def work_dir(settings: Settings) -> Path:
    """Where uploads and sound lie while they are worked on."""
    return settings.data_dir / "work"


def live_limits(settings: Settings) -> LiveLimits:
    """What live sessions may cost."""
    live = settings.live
    return LiveLimits(
        max_sessions=live.max_sessions,
        max_message_bytes=live.max_message_bytes,
        max_ahead_s=live.max_ahead_s,
        idle_timeout_s=live.idle_timeout_s,
        max_duration_s=live.max_duration_s,
        resume_window_s=live.resume_window_s,
        flush_after_s=live.flush_after_s,
        lag_limit_s=live.lag_limit_s,
        drain_s=live.drain_s,
        keep_s=live.keep_s,
    )
