"""Sound that is there already, sent as if it were being spoken: pieces of any size -> the client, at a speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from app.client.options import AudioFormat

PIECE_S = 0.1
"""Sound sent at once; a browser's microphone gives about as much."""


class Sink(Protocol):
    """Takes sound, and may make its giver wait."""

    async def send(self, sound: bytes) -> None:
        """More sound."""


async def send_paced(sink: Sink, sound: AsyncIterator[bytes], audio: AudioFormat, speed: float) -> float:
    """Send all of `sound`; every piece leaves when its end would have been heard at `speed` (0 = as fast as accepted).

    Returns its length in seconds. Raises what the sink and the sound raise.
    """
    clock = asyncio.get_running_loop().time
    size = max(1, int(PIECE_S * audio.sample_rate)) * audio.frame_bytes
    begun_s, sent = clock(), 0
    rest = b""
    async for data in sound:
        rest += data
        while len(rest) >= size:
            await _one(sink, rest[:size], begun_s + audio.seconds_of(sent + size) / speed if speed else 0.0)
            sent, rest = sent + size, rest[size:]
    if rest:
        await _one(sink, rest, begun_s + audio.seconds_of(sent + len(rest)) / speed if speed else 0.0)
    return audio.seconds_of(sent + len(rest))


async def _one(sink: Sink, piece: bytes, at_s: float) -> None:
    wait_s = at_s - asyncio.get_running_loop().time()
    if wait_s > 0:
        await asyncio.sleep(wait_s)
    await sink.send(piece)
