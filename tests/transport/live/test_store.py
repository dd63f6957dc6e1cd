"""What every store of live sessions must do: in memory, on SQLite, on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from app.store import migrate, open_database
from app.transport.live.sql_store import SqlLiveStore
from app.transport.live.store import Checkpoint, Fenced, MemoryLiveStore, Record, StoredEvent

RECORD = Record(id="one", token_hash="token", share_hash="share", asked="{}", expires_s=100.0)
EVENTS = [StoredEvent(revision, f'{{"text": "Grüße {revision}"}}') for revision in range(1, 8)]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def run(request, tmp_path):
    """Runs a scenario with a store."""
    if request.param == "memory":
        yield lambda scenario: asyncio.run(scenario(MemoryLiveStore()))
        return
    server = request.getfixturevalue("postgres") if request.param == "postgres" else None
    url = f"sqlite:///{tmp_path / 'live.sqlite'}" if server is None else server.database()
    database = open_database(url)
    migrate(database)

    async def main(scenario):
        store = SqlLiveStore(database)
        try:
            await scenario(store)
        finally:
            await store.aclose()

    yield lambda scenario: asyncio.run(main(scenario))
    database.close()
    if server is not None:
        server.drop(url)


def test_a_record_comes_back_as_it_was(run):
    async def scenario(store):
        await store.create(RECORD)
        assert await store.find("one") == RECORD
        assert await store.find("two") is None

    run(scenario)


def test_events_come_back_in_order_and_in_pages(run):
    async def scenario(store):
        await store.create(RECORD)
        await store.commit("one", RECORD.epoch, EVENTS[:4], None, 200.0)
        await store.commit("one", RECORD.epoch, EVENTS[4:], Checkpoint(48_000, 7, b"\0state\xff"), 300.0)
        assert await store.events("one", 0, 5) == EVENTS[:5]
        assert await store.events("one", 5, 5) == EVENTS[5:]
        assert await store.events("one", 7, 5) == []
        record = await store.find("one")
        assert record.revision == 7
        assert record.expires_s == 300.0
        assert record.checkpoint == Checkpoint(48_000, 7, b"\0state\xff")

    run(scenario)


def test_who_claims_a_session_locks_the_last_owner_out(run):
    async def scenario(store):
        await store.create(RECORD)
        mine = await store.claim("token", "", 50.0)
        assert mine.epoch == RECORD.epoch + 1
        with pytest.raises(Fenced):
            await store.commit("one", RECORD.epoch, EVENTS[:1], None, 200.0)
        with pytest.raises(Fenced):
            await store.close("one", RECORD.epoch, "{}", 200.0)
        assert await store.events("one", 0, 5) == []
        assert (await store.find("one")).state == "open"
        await store.commit("one", mine.epoch, EVENTS[:1], None, 200.0)
        assert await store.events("one", 0, 5) == EVENTS[:1]

    run(scenario)


def test_of_many_who_claim_at_once_one_owns_it(run):
    async def scenario(store):
        await store.create(RECORD)
        claimed = await asyncio.gather(*(store.claim("token", "", 50.0) for _ in range(8)))
        owners = 0
        for record in claimed:
            try:
                await store.commit("one", record.epoch, (), None, 200.0)
                owners += 1
            except Fenced:
                continue
        assert owners >= 1
        assert (await store.find("one")).epoch == RECORD.epoch + 8

    run(scenario)


def test_nobody_claims_what_is_unknown_or_expired_and_what_is_closed_stays_so(run):
    async def scenario(store):
        await store.create(RECORD)
        assert await store.claim("guess", "", 50.0) is None
        assert await store.claim("token", "", 100.5) is None
        await store.close("one", RECORD.epoch, '{"type":"done"}', 100.0)
        closed = await store.claim("token", "", 50.0)
        assert (closed.state, closed.done, closed.epoch) == ("closed", '{"type":"done"}', RECORD.epoch)
        with pytest.raises(Fenced):
            await store.commit("one", RECORD.epoch, EVENTS[:1], None, 200.0)

    run(scenario)


def test_the_sweep_closes_what_was_left_and_later_forgets_it(run):
    async def scenario(store):
        await store.create(RECORD)
        await store.commit("one", RECORD.epoch, EVENTS, None, 100.0)
        assert await store.sweep(99.0, 10.0) == 0
        assert (await store.find("one")).state == "open"
        assert await store.sweep(101.0, 10.0) == 0
        assert (await store.find("one")).state == "closed"
        assert await store.events("one", 0, 10) == EVENTS
        assert await store.sweep(111.0, 10.0) == 1
        assert await store.find("one") is None
        assert await store.events("one", 0, 10) == []

    run(scenario)
