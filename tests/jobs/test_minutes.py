"""What recordings cost their keys, on both databases: counted once, with the job or not at all, and no more than is."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.access import KeyLimits, NewKey
from app.access.keys import Keys
from app.access.usage import Usage
from app.core.times import SAMPLE_RATE
from app.errors import LimitReached
from app.jobs.claims import ClaimLost, ClaimRules, Claims
from app.jobs.minutes import Minutes
from app.jobs.room import QueueRules
from app.jobs.store import open_store
from app.jobs.types import JobQuery

MINUTE = 60 * SAMPLE_RATE


@pytest.fixture
def metered(site):
    """(site, claims, usage, id of a key with two minutes a day)."""
    database = site.store.database
    usage = Usage(database)
    site.store = open_store(database, site.store.blobs, QueueRules(), usage.count)
    _, key = Keys(database).create(NewKey("brief", limits=KeyLimits(audio_minutes_per_day=2)))
    return site, Claims(database, ClaimRules(lease_s=30), usage.count), usage, key.id


def hear(minutes, *pieces, settle=True):
    """One part of a recording in such pieces of samples, to its end unless that is not to come."""

    async def whole():
        minutes.begin_part()
        for samples in pieces:
            await minutes.heard(samples)
        if settle:
            await minutes.settle()

    asyncio.run(whole())


def run(claims, job):
    """The minutes of the next run of it."""
    claim = claims.claim_next("w")
    assert claim.job.id == job.id
    return Minutes(claims, claim), claim


def test_what_is_counted_already_is_not_counted_again(metered):
    site, claims, usage, key_id = metered
    job = site.submit(b"x", key_id=key_id, counted=MINUTE)
    assert usage.today_s(key_id) == 60
    minutes, claim = run(claims, job)
    hear(minutes, *[SAMPLE_RATE] * 70, settle=False)
    assert usage.today_s(key_id) == 60, "less than a piece"
    hear(minutes, *[SAMPLE_RATE] * 70)
    assert usage.today_s(key_id) == 70
    hear(minutes, MINUTE)  # another channel of the same sound
    assert usage.today_s(key_id) == 70
    claims.hand_over(claim)
    again, claim = run(claims, job)
    hear(again, MINUTE)
    assert claim.job.counted == 70 * SAMPLE_RATE
    assert usage.today_s(key_id) == 70


def test_more_than_there_is_stops_it_and_is_counted(metered):
    site, claims, usage, key_id = metered
    minutes, _ = run(claims, site.submit(b"x", key_id=key_id, counted=MINUTE))
    hear(minutes, 2 * MINUTE, settle=False)
    assert usage.today_s(key_id) == 120, "as much as it may"
    with pytest.raises(LimitReached, match="2 minutes of sound a day") as caught:
        hear(minutes, 2 * MINUTE, MINUTE)
    assert 1 <= caught.value.retry_after_s <= 86_400
    assert usage.today_s(key_id) == 180


def test_a_tail_beyond_it_ends_well(metered):
    site, claims, usage, key_id = metered
    minutes, _ = run(claims, site.submit(b"x", key_id=key_id, counted=2 * MINUTE))
    hear(minutes, 2 * MINUTE + 20 * SAMPLE_RATE)
    assert usage.today_s(key_id) == 140


def test_nobodys_minutes(metered):
    site, claims, _, _ = metered
    minutes, claim = run(claims, site.submit(b"x"))
    hear(minutes, 99 * MINUTE)
    assert claims.count(claim, 0) is None


def test_a_worker_that_lost_its_job_counts_nothing(metered):
    site, claims, usage, key_id = metered
    _, claim = run(claims, site.submit(b"x", key_id=key_id))
    claims.hand_over(claim)
    with pytest.raises(ClaimLost):
        claims.count(claim, MINUTE)
    assert usage.today_s(key_id) == 0


def test_many_at_once_get_no_more_than_there_is(metered):
    site, _, usage, key_id = metered

    def hand_in(_):
        try:
            return site.submit(b"x", key_id=key_id, counted=MINUTE)
        except LimitReached:
            return None

    with ThreadPoolExecutor(6) as pool:
        made = [job for job in pool.map(hand_in, range(6)) if job is not None]
    assert len(made) == 2
    assert usage.today_s(key_id) == 120
    assert len(site.store.jobs.list(JobQuery()).jobs) == 2
    assert len(list(site.store.blobs.older_than(-60))) == 2
