"""One job's way to each of its ends, with a worker in this process."""

from __future__ import annotations

import asyncio
import io
import wave
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from app.audio import AudioLimits
from app.core.types import Flag, Turn
from app.errors import EngineFailed
from app.formats import transcript_json
from app.jobs.claims import ClaimRules
from app.jobs.naming import names_of
from app.jobs.quality import coverage, quality_warnings
from app.jobs.runner import RunRules
from app.jobs.types import JobOptions, JobState, KnownSpeaker
from app.jobs.worker import Worker, WorkerRules
from app.recordings import Workplace, transcribe_file
from app.session import SessionOptions
from tests.engine.fake_worker import SPEC, Line, fake_engine, meeting
from tests.formats.views import meeting as some_view
from tests.jobs.harness import Site, recording
from tests.transport.server import wav


class Flaky:
    """The fake engine that fails or hangs for its first `failures` windows, or claims to be other models."""

    def __init__(self, inner, failures: int = 0, hang: bool = False, spec=SPEC) -> None:
        self.inner, self.failures, self.hang, self.spec, self.asked = inner, failures, hang, spec, 0

    async def diarize(self, window):
        return await self._answer(self.inner.diarize, window)

    async def decode(self, request):
        return await self._answer(self.inner.decode, request)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _answer(self, ask, item):
        self.asked += 1
        if self.asked <= self.failures:
            if self.hang:
                await asyncio.Event().wait()
            raise EngineFailed("no luck")
        return await ask(item)


@pytest.fixture
def site(tmp_path):
    it = Site(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path)
    yield it
    it.close()


@asynccontextmanager
async def working(site, engine=None, spools=None, **run):
    engine = engine or Flaky(fake_engine())
    place = Workplace(engine, AudioLimits(), spools or site.folder / "work")
    rules = RunRules(**({"retry_s": 0.0, "report_s": 0.0} | run))
    worker = Worker(site.store, place, WorkerRules(site.url, poll_s=0.02, claims=ClaimRules(30, 3), run=rules))
    await worker.start()
    try:
        yield worker
    finally:
        await worker.aclose()
        await engine.aclose()


async def over(site, job):
    async with asyncio.timeout(60):
        while not (found := await asyncio.to_thread(site.store.jobs.get, job.id)).state.over:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


def run(site, job, engine=None, **rules):
    async def it():
        async with working(site, engine, **rules):
            return await over(site, job)

    return asyncio.run(it())


def test_a_job_writes_what_a_session_alone_writes(site, tmp_path):
    data = recording(1)
    (tmp_path / "m.wav").write_bytes(data)

    async def alone():
        engine = fake_engine()
        view = await transcribe_file(
            Workplace(engine, AudioLimits(), tmp_path / "alone"), tmp_path / "m.wav", SessionOptions()
        )
        await engine.aclose()
        return view

    job = site.submit(data)
    found = run(site, job)
    assert (found.state, found.revision, found.progress.decoded) == (JobState.SUCCEEDED, 1, 20 * 16_000)
    assert site.body(job) == transcript_json.render(asyncio.run(alone()))
    told = [event.data["text"] for event in site.store.events.since(job.id) if event.kind == "segment"]
    assert told == [segment.text for segment in site.store.transcripts.view(job.id).segments]
    assert site.recorded(job.id) == set()
    assert list((tmp_path / "work").iterdir()) == []


def test_progress_is_told_before_the_next_window_comes(site):
    class Held(Flaky):
        """Writes the first words; those after it wait."""

        async def decode(self, request):
            if request.start > 0:
                await release.wait()
            return await super().decode(request)

    async def it():
        nonlocal release
        release = asyncio.Event()
        async with working(site, Held(fake_engine()), report_s=0.2), asyncio.timeout(60):
            while (await asyncio.to_thread(site.store.jobs.get, job.id)).progress.decoded == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            release.set()
            return await over(site, job)

    release, job = asyncio.Event(), site.submit(recording(1, 60.0))
    assert asyncio.run(it()).state is JobState.SUCCEEDED


def test_known_voices_give_their_names(site):
    first = site.submit(recording(1))
    run(site, first)
    voice = site.store.speakers.of_transcript(first.id, 0)
    known = site.store.speakers.add("", "Ana", voice, first.id)
    job = site.submit(recording(2), options=JobOptions(known_speakers=(known.id,)))
    run(site, job)
    assert list(site.store.transcripts.view(job.id).names.values()) == ["Ana"]
    site.store.speakers.delete(known.id)
    late = site.submit(recording(3), options=JobOptions(known_speakers=(known.id,)))
    assert run(site, late).failure.code == "speaker_not_found"


def test_channels_are_speakers(site):
    voices = np.stack([meeting([Line(0.5, v, "alpha bravo charlie delta echo")], 6.0) for v in (0, 3)], axis=1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((voices * 32767).astype("<i2").tobytes())
    job = site.submit(buffer.getvalue(), options=JobOptions(channels_as_speakers=True))
    assert run(site, job).state is JobState.SUCCEEDED
    view = site.store.transcripts.view(job.id)
    assert [view.name(segment.speaker) for segment in view.segments] == ["Channel 1", "Channel 2"]
    assert site.store.speakers.of_transcript(job.id, 1) is not None
    told = [event.data["id"] for event in site.store.events.since(job.id) if event.kind == "segment"]
    assert sorted(told) == sorted(segment.id for segment in view.segments)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"not a recording at all" * 100, "audio_unreadable"), (b"", "audio_empty"), (wav()[:40], "audio_truncated")],
)
def test_damaged_sound_fails_at_once_with_its_code(site, data, code):
    found = run(site, site.submit(data))
    assert (found.state, found.attempts) == (JobState.FAILED, 0)
    assert found.failure.code in {code, "audio_unreadable"}
    assert site.store.events.since(found.id)[-1].data["code"] == found.failure.code


def test_missing_sound_and_another_decoder_fail_with_their_codes(site):
    lost = site.submit(recording(1))
    site.store.blobs.delete(lost.blob.id)
    assert run(site, lost).failure.code == "audio_missing"
    other = site.submit(recording(1), options=JobOptions(decoder="sot"))
    assert run(site, other).failure.code == "option_invalid"


def test_a_fault_that_passes_is_tried_again_and_one_that_stays_fails(site):
    job = site.submit(recording(1))
    engine = Flaky(fake_engine(), failures=1)
    found = run(site, job, engine)
    assert (found.state, found.attempts) == (JobState.SUCCEEDED, 1)
    stays = run(site, site.submit(recording(2)), Flaky(fake_engine(), failures=10**6))
    assert (stays.state, stays.failure.code, stays.attempts) == (JobState.FAILED, "engine_failed", 3)


def test_a_window_that_hangs_is_given_up(site):
    found = run(site, site.submit(recording(1)), Flaky(fake_engine(), 10**6, hang=True), window_timeout_s=0.05)
    assert (found.state, found.failure.code) == (JobState.FAILED, "window_timeout")


def test_a_disk_that_cannot_be_written_is_told(site, tmp_path):
    (tmp_path / "file").write_text("")
    found = run(site, site.submit(recording(1)), spools=tmp_path / "file" / "no")
    assert (found.state, found.failure.code, found.attempts) == (JobState.FAILED, "output_failed", 3)


def test_other_models_start_a_job_anew(site):
    job = site.submit(recording(1))
    old = Flaky(fake_engine(), spec=replace(SPEC, decoder="older"))
    old.failures, old.hang = 10**6, True
    asyncio.run(begin(site, job, old))
    fresh = Flaky(fake_engine())
    found = run(site, job, fresh)
    assert (found.state, found.attempts) == (JobState.SUCCEEDED, 0)


async def begin(site, job, engine):
    """Until the job runs, then hand it over."""
    async with working(site, engine, drain_s=0.1):
        while engine.asked == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_warnings_tell_of_a_transcript_that_is_not_good():
    view = some_view()
    flagged = replace(view.segments[0], flags=frozenset({Flag.POSSIBLY_TRUNCATED}))
    silent = replace(view, segments=(), turns=(Turn(0, 20 * 16_000, 0),), duration=20 * 16_000)
    assert any("cut short" in it for it in quality_warnings(replace(view, segments=(flagged, *view.segments[1:]))))
    assert (coverage(silent), quality_warnings(silent)) == (
        0.0,
        ("words were written for 0% of the speech that was found",),
    )


def test_names_go_to_the_likest_pairs_once():
    known = [
        (KnownSpeaker(str(i), "", name, 0.0, None), voice)
        for i, (name, voice) in enumerate(
            (
                ("Ana", np.array([1, 0], np.float32)),
                ("Bo", np.array([0, 1], np.float32)),
                ("Cy", np.ones(3, np.float32)),
            )
        )
    ]
    voices = {0: (np.array([0.8, 0.6], np.float32), 1), 1: (np.array([1, 0], np.float32), 1)}
    assert names_of(voices, known, 0.5) == {1: "Ana", 0: "Bo"}
    assert names_of(voices, known, 0.9) == {1: "Ana"}
