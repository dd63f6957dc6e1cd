"""app/transport/live/hub.py: a place is taken from the moment that a session begins to be opened."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.errors import Overloaded, SpeakerNotFound
from app.transport.live.hub import LiveHub
from app.transport.live.limits import LiveLimits
from app.transport.live.messages import Start
from app.transport.live.store import MemoryLiveStore


def test_of_two_who_ask_for_the_last_place_one_gets_it_also_while_voices_are_looked_up():
    asked, looked_up = threading.Event(), threading.Event()

    def voices(_tenant, ids):
        asked.set()
        looked_up.wait(30)
        raise SpeakerNotFound(f"there is no known speaker {ids[0]}")

    async def live() -> None:
        hub = LiveHub(None, MemoryLiveStore(), LiveLimits(max_sessions=1), voices)
        audio = {"encoding": "pcm_s16le"}
        start = Start.model_validate({"type": "start", "version": 1, "audio": audio, "known_speakers": ["spk_0"]})
        first = asyncio.create_task(hub.open(start))
        await asyncio.to_thread(asked.wait, 30)
        try:
            assert hub.sessions == 1
            with pytest.raises(Overloaded):
                await hub.open(start)
        finally:
            looked_up.set()
        with pytest.raises(SpeakerNotFound):
            await first
        assert hub.sessions == 0

    asyncio.run(live())
