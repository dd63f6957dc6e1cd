"""app/transport/live/room.py: a session for which nothing is written says again and again that it is there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from app.errors import StoreUnavailable
from app.live import updates
from app.transport.live.limits import LiveLimits
from app.transport.live.room import Room
from app.transport.live.store import Record

RECORD = Record(id="one", token_hash="token", share_hash="share", asked="{}", expires_s=100.0)
SNAPSHOT = SimpleNamespace(dump=lambda: b"state")


class Session:
    """A driver that writes what it is told to."""

    received_samples = 0
    ahead_samples = 0
    stopped = False
    waiting_marks = ()

    def __init__(self) -> None:
        self.queue: asyncio.Queue[updates.Update | None] = asyncio.Queue()

    async def updates(self):
        while (update := await self.queue.get()) is not None:
            yield update

    async def aclose(self) -> None:
        pass


class Store:
    """Counts what is written. renewals: with nothing in it"""

    def __init__(self) -> None:
        self.renewals = 0
        self.checkpoints = 0
        self.changed = asyncio.Condition()

    async def commit(self, _session, _epoch, events, checkpoint, _expires_s) -> None:
        self.renewals += not events and checkpoint is None
        self.checkpoints += checkpoint is not None
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition) -> None:
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(condition)


def test_a_silent_session_is_renewed_again_and_again():
    async def live() -> None:
        session, store = Session(), Store()
        room = Room(session, RECORD, store, LiveLimits(tick_s=0.01, renew_s=0.02))
        running = asyncio.create_task(room.run())
        session.queue.put_nowait(updates.Ack(samples=1, snapshot=SNAPSHOT))
        await store.until(lambda: store.checkpoints == 1 and store.renewals >= 3)
        session.queue.put_nowait(None)
        await running

    asyncio.run(live())


def test_a_store_that_is_away_for_a_moment_ends_no_renewing():
    class Away(Store):
        tries = 0

        async def commit(self, *written) -> None:
            self.tries += 1
            if self.tries <= 2:
                raise StoreUnavailable("the database cannot be used now")
            await super().commit(*written)

    async def live() -> None:
        session, store = Session(), Away()
        room = Room(session, RECORD, store, LiveLimits(tick_s=0.01, renew_s=0.02))
        running = asyncio.create_task(room.run())
        await store.until(lambda: store.renewals >= 2)
        session.queue.put_nowait(None)
        await running

    asyncio.run(live())
