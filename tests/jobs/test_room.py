"""How many recordings may wait, on both databases, and what the refused are told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from app.errors import CrosstalkError, QueueFull, QueueShareFull
from app.jobs import tables
from app.jobs.claims import ClaimRules, Claims
from app.jobs.room import MOST_S, UNKNOWN_S, QueueRules
from app.jobs.store import open_store
from app.jobs.types import Failure, JobState


def limited(site, **rules):
    """The site's store under limits."""
    site.store = open_store(site.store.database, site.store.blobs, QueueRules(**rules))
    return Claims(site.store.database, ClaimRules(lease_s=30))


def blobs(site) -> int:
    return len(list(site.store.blobs.older_than(-60)))


def past(site, job, **seconds_ago: float) -> None:
    """Move times of a job into the past."""
    with site.store.database.write() as connection:
        values = {name: site.store.database.now - ago for name, ago in seconds_ago.items()}
        connection.execute(sa.update(tables.job).where(tables.job.c.id == job.id).values(values))


def ended(site, claims, *, began: float, ended: float, tenant: str = ""):
    """A recording that was worked on, so many seconds ago."""
    job = site.submit(b"x", tenant=tenant)
    claim = claims.claim_next("w")
    assert claim.job.id == job.id
    claims.fail(claim, Failure("c", "m"))
    past(site, job, started_at=began, finished_at=ended)


def test_a_full_queue_takes_nothing_more_until_one_leaves(site):
    claims = limited(site, max_queued=2)
    first = site.submit(b"1", idempotency_key="k")
    site.submit(b"2", tenant="t")
    for tenant in ("", "t", "u"):
        with pytest.raises(QueueFull, match="2 recordings wait"):
            site.store.jobs.check_room(tenant)
        with pytest.raises(QueueFull):
            site.submit(b"3", tenant=tenant)
    assert blobs(site) == 2, "what was refused leaves nothing"
    assert sum(site.store.jobs.counts().values()) == 2

    # Who asks again for what is there is not refused.
    site.store.jobs.check_room("", "k")
    assert site.submit(b"1", idempotency_key="k").id == first.id
    with pytest.raises(QueueFull):
        site.store.jobs.check_room("t", "k")

    assert claims.claim_next("w").job.state is JobState.RUNNING
    site.store.jobs.check_room("u")
    site.submit(b"3")
    with pytest.raises(QueueFull):
        site.submit(b"4")


def test_a_tenants_share_is_its_own(site):
    limited(site, max_per_tenant=1)
    site.submit(b"1", tenant="t")
    with pytest.raises(QueueShareFull) as refused:
        site.submit(b"2", tenant="t")
    assert refused.value.retry_after_s == UNKNOWN_S
    site.submit(b"2", tenant="u")


def test_a_retry_needs_room_too_and_a_workers_own_does_not(site):
    claims = limited(site, max_queued=1)
    failed = site.submit(b"1")
    claims.fail(claims.claim_next("w"), Failure("c", "m"))
    site.submit(b"2")
    running = claims.claim_next("w")
    site.submit(b"3")
    with pytest.raises(QueueFull):
        site.store.jobs.retry(failed.id)
    assert site.state(failed) is JobState.FAILED
    # It was let in already: what a worker hands over waits again, whatever the queue is like.
    claims.hand_over(running)
    assert site.store.jobs.counts()[JobState.QUEUED] == 2


def test_many_at_once_never_pass_the_limit(site):
    limited(site, max_queued=5)

    def ask(number: int) -> str:
        try:
            site.submit(str(number).encode())
        except CrosstalkError as error:
            return error.code
        return "queued"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(20)))
    assert (found.count("queued"), found.count("queue_full")) == (5, 15)
    assert blobs(site) == 5


def test_when_to_come_again_follows_the_pace_of_the_queue(site):
    claims = limited(site, max_queued=1)

    def told() -> int:
        with pytest.raises(QueueFull) as refused:
            site.store.jobs.check_room("")
        return refused.value.retry_after_s

    # Five were worked on within 400 s: one leaves every 80 s. This test itself may take a while.
    for number in range(5):
        ended(site, claims, began=400 - 80 * number, ended=320 - 79 * number, tenant="a")
    waits = site.submit(b"x")
    assert 80 <= told() <= 100
    # One that was cancelled in the queue was not worked on.
    site.store.jobs.cancel(waits.id)
    waits = site.submit(b"x")
    assert 80 <= told() <= 100
    # What left long ago tells nothing of today.
    with site.store.database.write() as connection:
        connection.execute(sa.update(tables.job).values(finished_at=tables.job.c.finished_at - 10_000))
    assert told() == UNKNOWN_S
    # Then what runs tells when it will be over, if it knows, an hour at most.
    claims.claim_next("w")
    site.submit(b"y")
    for left_s, expected in ((7.2, 8), (100_000.0, MOST_S)):
        with site.store.database.write() as connection:
            connection.execute(sa.update(tables.job).where(tables.job.c.id == waits.id).values(left_s=left_s))
        assert told() == expected
