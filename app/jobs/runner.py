"""One claimed job from its sound to one of its ends: a session over recorded answers, told about as it goes.

| what happens                                          | what becomes of the job                              |
|-------------------------------------------------------|------------------------------------------------------|
| damaged sound, a wrong option, sound that is missing  | fails, with the error's code                         |
| the key has no minutes left for more sound than known | fails with `limit_reached`                           |
| the models fail or hang, the disk is full             | queued again, later each time; fails after some runs |
| the database is lost                                  | waits for it, goes on                                |
| the worker stops                                      | handed over at the next window boundary              |
| cancelled, deleted                                    | stops                                                |
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.audio import AudioLimits, open_recording
from app.context import working_for
from app.core.channels import merge_channels
from app.core.naming import speaker_voices
from app.core.times import to_seconds
from app.core.types import FloatArray, SpeakerCount, TranscriptView
from app.engine.base import Engine
from app.engine.log import Key
from app.engine.replay import ReplayEngine, open_replay
from app.engine.wire import dump_spec, load_diarization
from app.errors import (
    BlobMissing,
    CrosstalkError,
    EngineClosed,
    InputError,
    LimitReached,
    OptionInvalid,
    SpeakerNotFound,
    StoreUnavailable,
)
from app.formats import transcript_json
from app.jobs.claims import Claim, ClaimLost, Claims, Outcome, failure_of
from app.jobs.engine import JobCtx, StopReason
from app.jobs.gate import GatedEngine
from app.jobs.minutes import Minutes
from app.jobs.naming import names_of
from app.jobs.patience import patiently
from app.jobs.progress import Tracker
from app.jobs.quality import quality_warnings
from app.jobs.results import SqlResultLog, answers, open_log
from app.jobs.store import Store
from app.jobs.types import Job, KnownSpeaker
from app.observers import Observer, within
from app.recordings import Workplace, follow
from app.session import Final, Finished, Progress, SessionOptions

_log = logging.getLogger(__name__)
_HOPELESS = (InputError, BlobMissing, SpeakerNotFound, LimitReached)
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class RunRules:
    """window_timeout_s: without any answer of the engine; drain_s: for the windows in flight when the worker stops;
    report_s: how often progress is told; retry_s: pause before the second run, doubled for each further one;
    likeness: least cosine of a known voice."""

    window_timeout_s: float = 300.0
    drain_s: float = 15.0
    report_s: float = 1.0
    retry_s: float = 10.0
    likeness: float = 0.5


class Runner:
    """Runs jobs on the event loop that the engine belongs to; many at once."""

    def __init__(self, store: Store, claims: Claims, place: Workplace, rules: RunRules, observer: Observer) -> None:
        self._observer = observer
        self._store = store
        self._claims = claims
        self._place = place
        self._rules = rules
        self.timeouts = 0
        """Windows that the engine did not answer in time: after one it may hang for good."""

    async def run(self, ctx: JobCtx) -> None:
        """See `Handler`. Raises ClaimLost, and StoreUnavailable when the database stays away."""
        job, began_s, ended = ctx.claim.job, time.monotonic(), "lost"
        if ctx.claim.fence == 1 and job.started_at is not None:
            self._observer.job_started(max(0.0, job.started_at - job.created_at))
        span = self._observer.span("job", {"crosstalk.job_id": job.id, "crosstalk.run": ctx.claim.fence}, job.trace)
        try:
            with working_for(job_id=job.id), within(span):
                try:
                    ended = await self._run(ctx)
                finally:
                    span.note({"crosstalk.outcome": ended})
        finally:
            sound_s = None if job.progress.total is None else to_seconds(job.progress.total)
            self._observer.job_ended(ended, time.monotonic() - began_s, sound_s)

    async def _run(self, ctx: JobCtx) -> str:
        """How it ended, as Observer tells it."""
        run = _Run(self._store, self._claims, self._place, self._rules, ctx)
        job, claim = ctx.claim.job, ctx.claim
        try:
            outcome = await run.outcome()
            if outcome is None:
                await self._stopped(ctx)
                return "stopped"
            await patiently(partial(self._claims.succeed, claim, outcome))
            _log.info("recording %s is transcribed", job.id)
            return "succeeded"
        except (ClaimLost, StoreUnavailable):
            raise
        except EngineClosed:
            await patiently(partial(self._claims.hand_over, claim))
            return "stopped"
        except _HOPELESS as error:
            _log.warning("recording %s failed: %s [%s]", job.id, error.message, error.code)
            await patiently(partial(self._claims.fail, claim, failure_of(error)))
            self._observer.error("job", error.code)
            return "failed"
        except CrosstalkError as error:
            self.timeouts += error.code == "window_timeout"
            return await self._again(claim, error)
        except Exception as error:  # noqa: BLE001 - the job worker: whatever a recording does, the others go on
            _log.exception("recording %s met an internal error", job.id)
            return await self._again(claim, error)

    async def _stopped(self, ctx: JobCtx) -> None:
        if ctx.stop.reason is StopReason.LOST:
            raise ClaimLost(ctx.claim.job.id)
        end = self._claims.cancelled if ctx.stop.reason is StopReason.CANCEL else self._claims.hand_over
        await patiently(partial(end, ctx.claim), patience_s=self._rules.drain_s)
        _log.info("recording %s stopped: %s", ctx.claim.job.id, ctx.stop.reason)

    async def _again(self, claim: Claim, error: Exception) -> str:
        failure, delay_s = failure_of(error), self._rules.retry_s * 2**claim.job.attempts
        queued = await patiently(partial(self._claims.try_again, claim, failure, delay_s))
        what = f"tried again in {delay_s:g} s" if queued else "has failed"
        _log.warning("recording %s %s: %s [%s]", claim.job.id, what, failure.message, failure.code)
        self._observer.error("job", failure.code)
        return "again" if queued else "failed"


class _Run:
    """The working state of one run."""

    def __init__(self, store: Store, claims: Claims, place: Workplace, rules: RunRules, ctx: JobCtx) -> None:
        self._store = store
        self._claims = claims
        self._place = place
        self._rules = rules
        self._ctx = ctx
        self._gate = GatedEngine(place.engine, rules.window_timeout_s)
        self._logs: list[SqlResultLog] = []
        self._tracker = Tracker(ctx.claim.job.progress.total, 1, time.monotonic)
        self._minutes = Minutes(claims, ctx.claim)
        self._changed = asyncio.Event()
        self._reporting = asyncio.Lock()

    async def outcome(self) -> Outcome | None:
        """The finished transcript, None when the job was told to stop before."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        self._ctx.stop.on_set(lambda: loop.call_soon_threadsafe(told.set))
        work, stop = asyncio.ensure_future(self._transcribe()), asyncio.ensure_future(told.wait())
        tell = asyncio.ensure_future(self._tell())
        try:
            await asyncio.wait([work, stop, tell], return_when=asyncio.FIRST_COMPLETED)
            if tell.done():
                tell.result()  # raises what ended it
            if not work.done() and self._ctx.stop.reason is StopReason.DRAIN:
                await self._drain(work)
            return work.result() if work.done() else None
        finally:
            for task in (work, stop, tell):
                task.cancel()
            await asyncio.gather(work, stop, tell, return_exceptions=True)

    async def _drain(self, work: asyncio.Future[Outcome]) -> None:
        """Let what is in flight be finished and recorded; nothing new begins."""
        self._gate.shut()
        end_s = time.monotonic() + self._rules.drain_s
        while not work.done() and time.monotonic() < end_s:
            if not self._gate.in_flight and not any(log.pending for log in self._logs):
                return
            await asyncio.sleep(_POLL_S)

    async def _transcribe(self) -> Outcome:
        job = self._ctx.claim.job
        _check(job, self._place.engine)
        if job.blob is None:
            raise BlobMissing("the recording's sound is deleted")
        known = await patiently(partial(_known, self._store, job))
        with ExitStack() as held:
            path = await asyncio.to_thread(held.enter_context, self._store.blobs.local(job.blob.id))
            view, parts = await self._whole(path)
        voices = await patiently(partial(_voices, self._store, job.id, view, parts))
        names = dict(view.names) | names_of(voices, known, self._rules.likeness)
        view = replace(view, names=names, warnings=(*view.warnings, *quality_warnings(view)))
        body = await asyncio.to_thread(transcript_json.render, view)
        return Outcome(body, view.language, view.warnings, view.duration, voices)

    async def _whole(self, path: Path) -> tuple[TranscriptView, int]:
        """The transcript, and of how many channels it is made."""
        options = session_options_of(self._ctx.claim.job)
        if not self._ctx.claim.job.options.channels_as_speakers:
            return await self._part(path, options, 0, None), 1
        parts = await asyncio.to_thread(_channels, path, self._place.limits)
        self._tracker = Tracker(self._ctx.claim.job.progress.total, parts, time.monotonic)
        alone = replace(options, speakers=SpeakerCount(exact=1))
        return merge_channels([await self._part(path, alone, part, part) for part in range(parts)]), parts

    async def _part(self, path: Path, options: SessionOptions, part: int, channel: int | None) -> TranscriptView:
        self._tracker.begin_part(part)
        self._minutes.begin_part()
        engine = await self._replay(part)
        place = replace(self._place, engine=engine)
        try:
            async for update in follow(place, path, options, channel, self._minutes.heard):
                if isinstance(update, Progress):
                    self._tracker.passed(update)
                elif isinstance(update, Final):
                    self._tracker.finished(update.segment)
                else:
                    await self._minutes.settle()
                    await self._report()
                    return update.view
                self._changed.set()
        finally:
            await engine.aclose()
        raise RuntimeError(f"a session ended without {Finished.__name__}")

    async def _replay(self, part: int) -> ReplayEngine:
        """The gate under the answers that are there; answers of other models are dropped."""
        claim, lease_s = self._ctx.claim, self._claims.rules.lease_s
        log = await patiently(partial(open_log, self._store.database, claim, part, lease_s))
        begun_with = await log.get(Key("spec", 0))
        if begun_with is not None and begun_with.payload != dump_spec(self._gate.spec):
            _log.warning("recording %s was begun with other models and starts anew", claim.job.id)
            await patiently(partial(self._claims.forget_answers, claim))
            log = await patiently(partial(open_log, self._store.database, claim, part, lease_s))
        self._logs.append(log)
        return await open_replay(log, self._gate)

    async def _tell(self) -> None:
        """Report what changed, at once or `report_s` after the report before, also while no further window comes."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._report()
            await asyncio.sleep(self._rules.report_s)

    async def _report(self) -> None:
        async with self._reporting:
            segments = self._tracker.take_segments()
            try:
                await asyncio.to_thread(self._claims.report, self._ctx.claim, self._tracker.progress(), segments)
            except StoreUnavailable as error:
                self._tracker.put_back(segments)
                _log.warning("progress of recording %s not told: %s", self._ctx.claim.job.id, error.message)


def session_options_of(job: Job) -> SessionOptions:
    """A job's options as a session takes them."""
    return SessionOptions(job.options.language, job.options.speakers, job.options.hotwords)


def _check(job: Job, engine: Engine) -> None:
    wanted = job.options.decoder
    if wanted is not None and wanted != engine.spec.decoder:
        raise OptionInvalid(f"this worker's decoder is {engine.spec.decoder}, not {wanted}", param="decoder")


def _known(store: Store, job: Job) -> list[tuple[KnownSpeaker, FloatArray]]:
    ids = job.options.known_speakers
    return [] if ids == () else list(store.speakers.voices(job.tenant, ids))


def _channels(path: Path, limits: AudioLimits) -> int:
    with open_recording(path, limits) as recording:
        return recording.info.channels


def _voices(store: Store, job_id: str, view: TranscriptView, parts: int) -> dict[int, tuple[FloatArray, int]]:
    """The voice of every speaker, from the recorded answers."""
    found: dict[int, tuple[FloatArray, int]] = {}
    for part in range(parts):
        locals_ = (load_diarization(payload) for payload in answers(store.database, job_id, part, "diarize"))
        turns = [turn for turn in view.turns if parts == 1 or turn.speaker == part]
        found |= speaker_voices((run for local in locals_ for run in local.runs), turns)
    return found
