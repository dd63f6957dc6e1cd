"""The queries of recordings, on both databases."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa

from app.core.times import SAMPLE_RATE
from app.core.types import SpeakerCount
from app.errors import (
    IdempotencyConflict,
    JobNotFound,
    JobStateInvalid,
    OptionInvalid,
    RevisionConflict,
    SetupError,
    SpeakerNotFound,
)
from app.formats import transcript_json
from app.jobs import tables
from app.jobs.blobs import Blobs
from app.jobs.claims import ClaimLost, ClaimRules, Claims, Outcome
from app.jobs.retention import RetentionRules, sweep
from app.jobs.types import DeliveryState, Edit, Failure, JobOptions, JobProgress, JobQuery, JobState, NewJob
from app.jobs.worker import Worker, WorkerRules, build_job_engine
from tests.formats.views import meeting

VIEW = meeting()
OPTIONS = JobOptions("de", SpeakerCount(min=2, max=4), None, ("Zürich",), "cascade", True, "https://example.org/hook")
VOICE = np.array([0.6, 0.8], np.float32)


def outcome() -> Outcome:
    return Outcome(transcript_json.render(VIEW), "en", ("a warning",), VIEW.duration, {0: (VOICE, 16_000)})


@pytest.fixture
def claims(site):
    return Claims(site.store.database, ClaimRules(lease_s=30, max_attempts=3))


def finished(site, claims, **values):
    job = site.submit(b"RIFF" * 20, **values)
    claim = claims.claim_next("w")
    assert claim.job.id == job.id
    claims.succeed(claim, outcome())
    return job


def rows_of(site, job_id: str) -> dict[str, int]:
    with site.store.database.read() as connection:
        return {
            table.name: connection.execute(
                sa.select(sa.func.count()).select_from(table).where(table.c.get("job_id", table.c.get("id")) == job_id)
            ).scalar_one()
            for table in tables.metadata.sorted_tables
            if "job_id" in table.c or table.name == "job"
        }


def test_options_come_back_as_they_were(site):
    job = site.submit(b"x", options=OPTIONS, tenant="t", priority=7)
    found = site.store.jobs.get(job.id, "t")
    assert (found.options, found.priority, found.state, found.blob.size) == (OPTIONS, 7, JobState.QUEUED, 1)
    with pytest.raises(JobNotFound):
        site.store.jobs.get(job.id, "another")


def test_a_key_that_is_used_again(site):
    first = site.submit(b"one", idempotency_key="k", tenant="t")
    assert site.submit(b"one", idempotency_key="k", tenant="t").id == first.id
    assert site.submit(b"one", idempotency_key="k", tenant="u").id != first.id
    with pytest.raises(IdempotencyConflict):
        site.submit(b"two", idempotency_key="k", tenant="t")
    assert len(list(site.store.blobs.older_than(-60))) == 2


def test_pages_hold_every_job_once_newest_first(site):
    jobs = [site.submit(b"x", tenant="t" if number % 2 else "u") for number in range(7)]
    seen, cursor = [], None
    while True:
        page = site.store.jobs.list(JobQuery(cursor=cursor, limit=3))
        seen += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [job.id for job in reversed(jobs)]
    assert len(site.store.jobs.list(JobQuery(tenant="t")).jobs) == 3
    assert len(site.store.jobs.list(JobQuery(states=(JobState.RUNNING,))).jobs) == 0
    assert len(site.store.jobs.list(JobQuery(name="M.W")).jobs) == 7
    assert len(site.store.jobs.list(JobQuery(name="%")).jobs) == 0
    with pytest.raises(OptionInvalid):
        site.store.jobs.list(JobQuery(cursor="nonsense"))


def test_a_recording_deleted_leaves_no_trace(site, claims):
    job = finished(site, claims, options=OPTIONS)
    before = rows_of(site, job.id)
    assert before["job"] == before["transcript"] == before["voice"] == before["delivery"] == 1
    site.store.jobs.delete(job.id)
    assert set(rows_of(site, job.id).values()) == {0}
    assert list(site.store.blobs.older_than(-60)) == []
    with pytest.raises(JobNotFound):
        site.store.transcripts.get(job.id)


def test_a_worker_of_a_deleted_or_retaken_job_can_write_nothing(site, claims):
    job = site.submit(b"x")
    claim = claims.claim_next("w")
    site.store.jobs.delete(job.id)
    for write in (
        lambda: claims.report(claim, JobProgress(), []),
        lambda: claims.succeed(claim, outcome()),
        lambda: claims.hand_over(claim),
        lambda: claims.try_again(claim, Failure("c", "m"), 0),
    ):
        with pytest.raises(ClaimLost):
            write()
    assert set(rows_of(site, job.id).values()) == {0}


def test_silent_workers_are_recovered_until_it_is_enough(site):
    claims = Claims(site.store.database, ClaimRules(lease_s=-1, max_attempts=2))
    job = site.submit(b"x")
    for owner in "ab":
        assert claims.claim_next(owner).job.id == job.id
        assert claims.claim_next("c") is None
        assert claims.recover() == (job.id,)
    failed = site.store.jobs.get(job.id)
    assert (failed.state, failed.failure.code) == (JobState.FAILED, "attempts_exhausted")
    assert site.store.jobs.retry(job.id).state is JobState.QUEUED
    assert claims.claim_next("d").job.attempts == 0


def test_illegal_moves_are_refused(site, claims):
    job = finished(site, claims)
    with pytest.raises(JobStateInvalid):
        site.store.jobs.cancel(job.id)
    with pytest.raises(JobStateInvalid):
        site.store.jobs.retry(job.id)
    waiting = site.submit(b"y")
    with pytest.raises(JobStateInvalid, match="queued"):
        site.store.transcripts.get(waiting.id)


def test_edits_are_revisions_and_two_editors_do_not_overwrite_each_other(site, claims):
    job = finished(site, claims)
    first = site.store.jobs.get(job.id)
    segment = VIEW.segments[0]
    edit = Edit(names={segment.speaker: "Ana María"}, texts={segment.id: "entirely new words"})
    assert site.store.transcripts.edit(job.id, edit, expected=1).number == 2
    with pytest.raises(RevisionConflict):
        site.store.transcripts.edit(job.id, edit, expected=1)
    with pytest.raises(OptionInvalid):
        site.store.transcripts.edit(job.id, Edit(texts={"nope": "x"}), expected=2)
    view = site.store.transcripts.view(job.id)
    assert view.name(segment.speaker) == "Ana María"
    assert next(it for it in view.segments if it.id == segment.id).text == "entirely new words"
    assert site.store.transcripts.view(job.id, 1) == transcript_json.parse(outcome().body)
    assert site.store.jobs.get(job.id).etag != first.etag
    assert [event.kind for event in site.store.events.since(job.id)][-1] == "revision"


def test_of_progress_only_the_newest_is_kept_and_segments_are_told_once(site, claims):
    job = site.submit(b"x")
    claim = claims.claim_next("w")
    for number in range(5):
        progress = JobProgress("diarize", number * SAMPLE_RATE)
        claims.report(claim, progress, [{"id": "seg_1", "text": "hello"}])
    events = site.store.events.since(job.id)
    assert [event.kind for event in events] == ["state", "state", "segment", "progress"]
    assert events[-1].data["diarized_s"] == 4
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert site.store.events.since(job.id, events[-2].id) == events[-1:]
    assert site.store.events.segments(job.id) == ({"id": "seg_1", "text": "hello"},)


def test_webhook_messages_are_an_outbox(site, claims):
    job = finished(site, claims, options=OPTIONS)
    (message,) = site.store.deliveries.claim_due()
    assert (message.job_id, message.event, message.attempts) == (job.id, "recording.succeeded", 1)
    assert site.store.deliveries.claim_due() == ()
    site.store.deliveries.failed(message.id, 500, "no", retry_in_s=0)
    (again,) = site.store.deliveries.claim_due()
    site.store.deliveries.delivered(again.id, 204)
    (logged,) = site.store.deliveries.of_job(job.id)
    assert (logged.state, logged.attempts, logged.status) == (DeliveryState.DELIVERED, 2, 204)


def test_known_speakers(site, claims):
    known = site.store.speakers.add("t", "Ana", VOICE, source_job="rec_1")
    assert "0.6" not in repr(known)
    assert site.store.speakers.get(known.id, "t") == known
    assert site.store.speakers.list("t") == ((known,), None)
    ((found, voice),) = site.store.speakers.voices("t")
    assert found == known
    np.testing.assert_array_equal(voice, VOICE)
    job = finished(site, claims)
    np.testing.assert_array_equal(site.store.speakers.of_transcript(job.id, 0), VOICE)
    site.store.speakers.delete(known.id, "t")
    with pytest.raises(SpeakerNotFound):
        site.store.speakers.voices("t", [known.id])


def test_retention_deletes_what_is_too_old_and_only_that(site, claims):
    forgotten: list[str] = []
    old, fresh = finished(site, claims), site.submit(b"fresh")
    nothing = sweep(site.store, RetentionRules(3600, 3600), forgotten.append)
    assert (nothing.audio, nothing.jobs) == (0, 0)
    with site.store.database.write() as connection:
        connection.execute(sa.update(tables.job).where(tables.job.c.id == old.id).values(finished_at=1.0))
        connection.execute(sa.insert(tables.trash).values(blob="00.left-by-a-crash"))
    swept = sweep(site.store, RetentionRules(audio_ttl_s=3600), forgotten.append)
    assert (swept.audio, swept.jobs, swept.trash) == (1, 0, 1)
    assert site.store.jobs.get(old.id).blob is None
    assert not site.store.blobs.exists(old.blob.id)
    assert sweep(site.store, RetentionRules(3600, 3600), forgotten.append).jobs == 1
    assert forgotten == [old.id]
    assert site.store.blobs.exists(site.store.jobs.get(fresh.id).blob.id)


def test_tenants_and_lengths_share_the_machine_and_priorities_come_first(site, claims):
    hour = 3600 * SAMPLE_RATE * 2
    long = [site.submit(b"\0" * 44 + b"\0" * 10, tenant="a") for _ in range(2)]
    assert [site.store.jobs.position(job) for job in long] == [1, 2]

    def queue(tenant, duration, priority=5):
        blob = site.store.blobs.put_stream([b"x"], 10)
        return site.store.jobs.create(NewJob(blob, tenant=tenant, duration=duration, priority=priority))[0].id

    many = [queue("b", hour) for _ in range(3)]
    single, short, urgent = queue("c", hour), queue("b", 60 * SAMPLE_RATE), queue("b", hour, 9)
    order = [claims.claim_next("w").job.id for _ in range(8)]
    assert order[0] == urgent
    assert order.index(short) < order.index(many[0])
    assert order.index(single) < order.index(many[1])
    assert sorted(map(order.index, many)) == list(map(order.index, many))


def test_a_tenant_has_no_more_jobs_at_once_than_allowed(site):
    claims = Claims(site.store.database, ClaimRules(max_per_tenant=1))
    for tenant in ("a", "a", "b"):
        site.submit(b"x", tenant=tenant)
    assert [claims.claim_next("w").job.tenant for _ in range(2)] == ["a", "b"]
    assert claims.claim_next("w") is None


def test_two_workers_who_claim_at_once_keep_to_a_tenants_limit(site):
    claims = Claims(site.store.database, ClaimRules(max_per_tenant=1))
    for _ in range(12):
        site.submit(b"x", tenant="a")
    ready = threading.Barrier(6)

    def claim(number):
        ready.wait(30)
        return claims.claim_next(str(number))

    with ThreadPoolExecutor(6) as workers:
        assert sum(found is not None for found in workers.map(claim, range(6))) == 1


def test_an_engine_that_cannot_count_a_tenants_jobs_says_so(site):
    rules = WorkerRules("sqlite:///x", kind="dbos", claims=ClaimRules(max_per_tenant=1))
    with pytest.raises(SetupError, match="tenant"):
        build_job_engine(Claims(site.store.database, rules.claims), site.store, rules)


def test_the_same_file_twice_at_once_from_another_disk(tmp_path, monkeypatch):
    def other_disk(path, target):
        if path.parent == came:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    came, rename, copy, parts = tmp_path / "came", Path.replace, shutil.copyfile, []
    blobs = Blobs(str(tmp_path / "blobs"), tmp_path / "staging")
    came.mkdir()
    monkeypatch.setattr(Path, "replace", other_disk)
    monkeypatch.setattr(shutil, "copyfile", lambda path, part: (parts.append(part), copy(path, part)))
    for name in ("a", "b"):
        (came / name).write_bytes(b"sound")
        assert b"".join(blobs.read(blobs.put_file(came / name).id)) == b"sound"
    assert len(set(parts)) == 2
    assert not [*came.iterdir()]


def test_a_sweep_that_fails_is_not_the_last(site, monkeypatch, caplog):
    swept = threading.Event()

    def fails(*_arguments):
        if fails.times:
            swept.set()
        fails.times += 1
        raise RuntimeError("a sweep that nobody thought of")

    async def work():
        worker = Worker(site.store, SimpleNamespace(), WorkerRules(site.url, sweep_interval_s=0.01))
        sweeping = asyncio.create_task(worker._sweep())
        assert await asyncio.to_thread(swept.wait, 30)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)

    fails.times = 0
    monkeypatch.setattr("app.jobs.worker.sweep", fails)
    asyncio.run(work())
    assert "nobody thought of" in caplog.text
