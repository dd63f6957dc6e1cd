"""Settings -> the plain values that the layers below are built from. Used by the two roots, app/main.py and app/cli."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from app.access import AccessRules
from app.access.usage import Usage
from app.audio import AudioLimits, ProcessLimits
from app.engine.base import Engine
from app.engine.build import build_engine
from app.engine.infer_rules import InferRules
from app.engine.local import BatchRules
from app.engine.settings import EngineSettings, HttpSettings, WorkerSettings
from app.jobs.blobs import Blobs
from app.jobs.claims import ClaimRules
from app.jobs.retention import RetentionRules
from app.jobs.room import QueueRules
from app.jobs.runner import RunRules
from app.jobs.store import Store, open_store
from app.jobs.uploads import UploadRules
from app.jobs.webhooks import WebhookRules
from app.jobs.worker import WorkerRules
from app.observers import Observer
from app.settings import Settings
from app.store import check_schema, migrate, open_database
from app.transport.access.rules import GuardRules
from app.transport.live.limits import LiveLimits


def engine_settings(settings: Settings) -> EngineSettings:
    """How the engine is built."""
    engine = settings.engine
    return EngineSettings(
        kind=engine.kind,
        http=HttpSettings(
            urls=engine.urls,
            token=engine.token,
            identity=engine.identity,
            timeout_s=engine.request_timeout_s,
            call_timeout_s=engine.call_timeout_s,
            check_s=engine.check_s,
            check_timeout_s=engine.check_timeout_s,
            start_timeout_s=engine.start_timeout_s,
        ),
        worker=WorkerSettings(
            weights_dir=settings.weights_dir,
            device=engine.device,
            num_threads=engine.num_threads,
            dtype=engine.dtype,
            quantize=engine.quantize,
            candidates=engine.candidates,
            decoder=engine.decoder,
            decoder_model=engine.decoder_model,
            decoder_window_s=engine.decoder_window_s,
        ),
        batching=BatchRules(
            max_diarize_batch=engine.max_diarize_batch,
            max_decode_batch=engine.max_decode_batch,
            max_wait_ms=engine.max_wait_ms,
            max_waiting=engine.max_waiting,
            patience_s=engine.patience_s,
        ),
    )


def infer_rules(settings: Settings) -> InferRules:
    """What an inference worker lets in."""
    return InferRules(
        token=settings.engine.token,
        max_inside=settings.engine.max_inside,
        default_timeout_s=settings.engine.request_timeout_s,
        probe_interval_s=settings.server.probe_interval_s,
        probe_timeout_s=settings.server.probe_timeout_s,
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
        process=ProcessLimits(limits.decode_memory_bytes, limits.decode_cpu_s, limits.decode_stall_s),
    )


def work_dir(settings: Settings) -> Path:
    """Where uploads and sound lie while they are worked on."""
    return settings.data_dir / "work"


def store_url(settings: Settings) -> str:
    """The database's URL."""
    return settings.store.url or f"sqlite:///{(settings.data_dir / 'crosstalk.sqlite').absolute()}"


def blobs_from(settings: Settings) -> Blobs:
    """Where sound is kept. Raises SetupError."""
    endpoint = settings.store.blobs_endpoint_url
    url = settings.store.blobs_url or str((settings.data_dir / "blobs").absolute())
    return Blobs(url, work_dir(settings), endpoint)


def store_from(settings: Settings, observer: Observer | None = None) -> Store:
    """The store that the settings name, migrated; blocks. Its database is the caller's to close.

    Raises SetupError, StoreUnavailable.
    """
    blobs = blobs_from(settings)
    database = open_database(store_url(settings), pool_size=settings.store.pool_size)
    if observer is not None:
        database.observer = observer
    with ExitStack() as unless_done:
        unless_done.callback(database.close)
        (migrate if settings.store.auto_migrate else check_schema)(database)
        rules = QueueRules(settings.jobs.max_queued, settings.jobs.max_queued_per_tenant)
        store = open_store(database, blobs, rules, Usage(database).count)
        unless_done.pop_all()
    return store


def webhook_rules(settings: Settings) -> WebhookRules:
    """Where webhooks may go, and how they are signed."""
    hooks = settings.webhooks
    return WebhookRules(
        secret=hooks.secret,
        allow_private=hooks.allow_private,
        max_attempts=hooks.max_attempts,
        retry_s=hooks.retry_s,
        timeout_s=hooks.timeout_s,
    )


def upload_rules(settings: Settings) -> UploadRules:
    """What uploads in parts may take."""
    return UploadRules(settings.limits.upload_ttl_s, settings.limits.max_open_uploads)


def access_rules(settings: Settings) -> AccessRules:
    """How keys, tokens and links work."""
    access = settings.access
    return AccessRules(access.cache_s, access.token_ttl_s, access.share_ttl_s)


def guard_rules(settings: Settings) -> GuardRules:
    """Who is let in."""
    access = settings.access
    return GuardRules(
        required=access.required,
        any_host=access.required or access.allow_open,
        origins=access.origins,
        hosts=access.hosts,
        recheck_s=access.recheck_s,
        max_body_bytes=settings.limits.max_field_bytes,
    )


def worker_rules(settings: Settings) -> WorkerRules:
    """How recordings are worked on."""
    jobs = settings.jobs
    return WorkerRules(
        url=store_url(settings),
        kind=jobs.engine,
        slots=jobs.slots,
        poll_s=jobs.poll_s,
        sweep_interval_s=jobs.sweep_interval_s,
        claims=ClaimRules(jobs.lease_s, jobs.max_attempts, jobs.max_per_tenant),
        run=RunRules(
            window_timeout_s=jobs.window_timeout_s,
            drain_s=jobs.drain_s,
            retry_s=jobs.retry_s,
            likeness=jobs.speaker_likeness,
        ),
        retention=RetentionRules(jobs.audio_ttl_s, jobs.transcript_ttl_s),
        webhooks=webhook_rules(settings),
    )


def live_limits(settings: Settings) -> LiveLimits:
    """What live sessions may cost."""
    live = settings.live
    return LiveLimits(
        max_sessions=live.max_sessions,
        max_viewers=live.max_viewers,
        max_beginning=live.max_beginning,
        max_load=live.max_load,
        max_message_bytes=live.max_message_bytes,
        max_ahead_s=live.max_ahead_s,
        idle_timeout_s=live.idle_timeout_s,
        max_duration_s=live.max_duration_s,
        resume_window_s=live.resume_window_s,
        flush_after_s=live.flush_after_s,
        lag_limit_s=live.lag_limit_s,
        max_waiting_events=live.max_waiting_events,
        drain_s=live.drain_s,
        keep_s=live.keep_s,
        share_ttl_s=settings.access.share_ttl_s,
        retry_after_s=settings.server.retry_after_s,
    )
