"""What every job engine must do on every database, with real worker processes that are killed, frozen and drained.

The answers that a worker computed are compared with those that were recorded before it began: nothing that is recorded
is ever computed again.
"""

from __future__ import annotations

import signal

import pytest

from app.errors import AttemptsExhausted, QueueFull
from app.jobs.room import QueueRules
from app.jobs.store import open_store
from app.jobs.types import JobState
from tests.jobs import worker_process
from tests.jobs.harness import FORKS, Site, kill, recording

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=["sql", pytest.param("dbos", marks=pytest.mark.slow)])
def site(request, url, tmp_path):
    """A store of each kind with each engine."""
    it = Site(url, tmp_path, kind=request.param)
    yield it
    it.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a recording's transcript is when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    it = Site(f"sqlite:///{folder / 'store.sqlite'}", folder)
    jobs = {seed: it.submit(recording(seed)) for seed in (1, 2, 3)} | {6: it.submit(recording(6, 60.0))}
    it.work()
    bodies = {seed: it.body(it.wait(job)) for seed, job in jobs.items()}
    it.close()
    assert len(set(bodies.values())) == 4
    return bodies


def test_killed_worker_frozen_worker_and_drain(site, undisturbed):
    job = site.submit(recording(1))
    site.hold()
    first = site.work()
    site.wait_held(first)
    kill(first)
    kept = site.recorded()
    assert kept

    second = site.work()
    site.wait_held(second)
    site.freeze(second)
    site.release()
    third = site.work(delay_ms=20)
    site.wait(job)
    second.send_signal(signal.SIGCONT)

    last = site.submit(recording(2))
    site.until(lambda: site.state(last) is not JobState.QUEUED)
    for process in (second, third):
        process.terminate()
    assert second.wait(60) == third.wait(60) == 0
    assert site.state(last) in (JobState.QUEUED, JobState.SUCCEEDED)

    site.work()
    site.wait(last)
    assert site.body(job) == undisturbed[1]
    assert site.body(last) == undisturbed[2]
    assert len(site.store.transcripts.revisions(job.id)) == 1
    assert all(site.computations().count(answer) == 1 for answer in kept)


def test_drain_hands_over_without_counting_and_loses_nothing(site, undisturbed):
    job = site.submit(recording(6, 60.0))
    site.hold()
    first = site.work(delay_ms=200)
    site.wait_held(first)
    first.terminate()
    site.until(lambda: "stopping at the next window" in site.log())
    site.release()
    assert first.wait(60) == 0
    handed = site.store.jobs.get(job.id)
    assert (handed.state, handed.attempts) == (JobState.QUEUED, 0)
    assert site.recorded() == set(site.computations())
    site.work()
    assert site.body(site.wait(job)) == undisturbed[6]
    assert len(set(site.computations())) == len(site.computations())


def test_poisoned_recording_fails_alone_with_its_reason(site, undisturbed):
    poisoned = site.submit(recording(4, poison=True))
    healthy = site.submit(recording(1))
    for _ in range(12):
        if site.state(poisoned).over:
            break
        process = site.work(max_attempts=2)
        site.until(lambda process=process: process.poll() is not None or site.state(poisoned).over)
    failed = site.store.jobs.get(poisoned.id)
    assert failed.state is JobState.FAILED
    assert failed.failure.code == AttemptsExhausted.code
    assert "ended 2 times" in failed.failure.message
    site.work()
    assert site.body(site.wait(healthy)) == undisturbed[1]


def test_order_cancelling_and_double_submit(site, undisturbed):
    low = site.submit(recording(2), priority=1)
    high = site.submit(recording(3), priority=8)
    once = site.submit(recording(1), idempotency_key="k")
    again = site.submit(recording(1), idempotency_key="k")
    never = site.submit(recording(5))
    assert again.id == once.id
    assert site.store.jobs.cancel(never.id).state is JobState.CANCELLED
    process = site.work(delay_ms=30)
    site.wait(high)
    done = {name: site.wait(job) for name, job in (("low", low), ("once", once))}
    started = [site.store.jobs.get(job.id).started_at for job in (high, once, low)]
    assert started == sorted(started)
    assert site.body(done["once"]) == undisturbed[1]
    assert site.store.jobs.get(never.id).started_at is None

    site.hold()
    running = site.submit(recording(3))
    site.wait(running, JobState.RUNNING)
    assert site.store.jobs.cancel(running.id).state is JobState.RUNNING
    site.wait(running, JobState.CANCELLED)
    site.release()
    site.store.jobs.retry(running.id)
    assert site.body(site.wait(running)) == undisturbed[3]
    process.terminate()
    assert process.wait(60) == 0


def test_a_full_queue_has_room_again_when_a_worker_has_taken_one(site, undisturbed):
    site.store = open_store(site.store.database, site.store.blobs, QueueRules(max_queued=2))
    jobs = {seed: site.submit(recording(seed)) for seed in (1, 2)}
    with pytest.raises(QueueFull):
        site.submit(recording(3))
    site.hold()
    site.wait_held(site.work())
    jobs[3] = site.submit(recording(3))
    with pytest.raises(QueueFull):
        site.submit(recording(4))
    site.release()
    assert {seed: site.body(site.wait(job)) for seed, job in jobs.items()} == {
        seed: undisturbed[seed] for seed in (1, 2, 3)
    }


def test_database_restart_is_waited_for(postgres, tmp_path, undisturbed):
    it = Site(postgres.database(), tmp_path)
    try:
        job = it.submit(recording(1))
        it.hold()
        it.wait_held(it.work())
        postgres.stop("immediate")
        postgres.start()
        it.release()
        assert it.body(it.wait(job)) == undisturbed[1]
    finally:
        it.close()


def test_dbos_in_short_a_killed_worker_is_taken_over(tmp_path, undisturbed):
    it = Site(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path, kind="dbos")
    try:
        job = it.submit(recording(1))
        it.hold()
        first = it.work(lease_s=1)
        it.wait_held(first)
        kill(first)
        kept = it.recorded()
        assert kept
        it.release()
        it.work(lease_s=1)
        assert it.body(it.wait(job)) == undisturbed[1]
        assert all(it.computations().count(answer) == 1 for answer in kept)
    finally:
        it.close()


def test_dbos_in_short_a_ticket_that_nobody_could_take_is_given_out_anew(tmp_path):
    it = Site(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path, kind="dbos")
    try:
        job = it.submit(recording(1))
        process = FORKS.Process(target=worker_process.run_unlucky, args=(it.url, str(tmp_path / "workers.log")))
        process.start()
        process.join(90)
        assert process.exitcode == 0, it.log()
        assert it.state(job) is JobState.FAILED
    finally:
        it.close()


@pytest.mark.slow
def test_database_restart_under_dbos(postgres, tmp_path, undisturbed):
    it = Site(postgres.database(), tmp_path, kind="dbos")
    try:
        job = it.submit(recording(1))
        it.hold()
        it.wait_held(it.work())
        postgres.stop("immediate")
        postgres.start()
        it.release()
        assert it.body(it.wait(job, timeout_s=150)) == undisturbed[1]
    finally:
        it.close()
