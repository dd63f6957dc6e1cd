"""A client on a real socket that does not read for a while: what it finds then."""

from __future__ import annotations

import asyncio
import json

from websockets.asyncio.client import connect

from app.core.types import Segment, Word
from app.live.updates import Partial
from app.main import create_app
from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import opened, until
from tests.transport.server import settings
from tests.web.serving import serving

PARTIALS, FINALS = 600, 6
LONG = "word" * 16_000
"""So long that all partials are far more than sockets hold (38 MB): the server has to keep some back."""


def segment(number: int, text: str) -> Segment:
    start = number * 1_600
    return Segment(f"s{number}", 0, start, start + 1_600, (Word(text, start, start + 1_600, 0.5),))


async def say(room) -> None:
    """A partial after the other, a final among them now and then; the server gets a chance to send each."""
    for number in range(PARTIALS):
        room._show(Partial((segment(number, f"{number} {LONG}"),)))
        if number % (PARTIALS // FINALS) == 0:
            await room._finalize(segment(number, str(number)))
        await asyncio.sleep(0)


def test_who_reads_late_finds_the_newest_partial_and_every_final(tmp_path):
    engine = fake_engine()
    app = create_app(settings(tmp_path), engine)

    async def talk(served):
        seen = []
        async with connect(
            served.url.replace("http", "ws") + "/v1/live", max_queue=1, max_size=None, compression=None
        ) as socket:
            ready = await opened(socket)
            room = app.state.live.hub.room(ready["session"])
            await asyncio.to_thread(served.run, say(room))
            while room._client.waiting or room._client._partial or not seen:
                seen.append(json.loads(await socket.recv()))
            await socket.send('{"type": "ping", "id": "p"}')
            await until(socket, "pong", seen)
        return seen

    with serving(app) as served:
        seen = asyncio.run(talk(served))
    asyncio.run(engine.aclose())
    partials = [event["segments"][0]["text"].split()[0] for event in seen if event["type"] == "partial"]
    finals = [event["segment"]["text"] for event in seen if event["type"] == "final"]
    assert partials == sorted(partials, key=int)
    assert len(partials) < PARTIALS
    assert partials[-1] == str(PARTIALS - 1)
    assert finals == [str(number) for number in range(0, PARTIALS, PARTIALS // FINALS)]
