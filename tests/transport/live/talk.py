"""A client in the raw: frames in, events out."""

from __future__ import annotations

import asyncio
import json

from tests.engine.fake_worker import meeting
from tests.transport.server import DURATION_S, SCRIPT

START = {"type": "start", "version": 1, "audio": {"encoding": "pcm_s16le"}}
SOUND = (meeting(SCRIPT, DURATION_S) * 32767).astype("<i2").tobytes()


async def until(socket, kind, seen=None):
    """The next event of a kind; all before it go to `seen`. Fails at an error."""
    async with asyncio.timeout(60):
        while True:
            event = json.loads(await socket.recv())
            if seen is not None:
                seen.append(event)
            assert event["type"] == kind or event["type"] != "error", event
            if event["type"] == kind:
                return event


async def opened(socket, **start):
    """Start a session; its `ready`."""
    await socket.send(json.dumps(START | start))
    return await until(socket, "ready")


async def send(socket, sound, step=16_000):
    """Sound in packets."""
    for at in range(0, len(sound), step):
        await socket.send(sound[at : at + step])


def words(events):
    """The words of the finals among events."""
    return [word["text"] for event in events if event["type"] == "final" for word in event["segment"]["words"]]
