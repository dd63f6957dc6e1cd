"""Requests that the fake models can answer, shared by the tests of the engines."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from app.core.times import to_samples
from app.core.types import DecodeRequest, DecodeTurn
from app.engine.base import Engine
from app.engine.wire import dump_decoded, dump_diarization
from tests.engine.fake_worker import SPEC, Line, meeting, window_of

SCRIPT = [
    Line(0.5, 0, "alpha bravo charlie delta"),
    Line(1.0, 3, "hotel golf foxtrot"),
    Line(4.0, 5, "echo echo"),
    Line(6.5, 3, "bravo hotel alpha golf"),
    Line(7.0, 0, "delta charlie"),
]
SOUND = meeting(SCRIPT, 10.0)
STEP = 3 * SPEC.window_samples // 10 // SPEC.grid.step * SPEC.grid.step
WINDOWS = [window_of(SOUND, start, i) for i, start in enumerate(range(0, len(SOUND) - SPEC.window_samples + 1, STEP))]


def _turn(line: Line, speaker: int) -> DecodeTurn:
    return DecodeTurn(to_samples(line.start_s), to_samples(line.end_s), speaker)


REQUESTS = [
    DecodeRequest(0, 0, SOUND[: to_samples(4.0)], (_turn(SCRIPT[0], 0), _turn(SCRIPT[1], 1))),
    DecodeRequest(1, to_samples(3.5), SOUND[to_samples(3.5) : to_samples(6.0)], (_turn(SCRIPT[2], 2),), "de"),
    DecodeRequest(2, to_samples(6.0), SOUND[to_samples(6.0) :], (_turn(SCRIPT[3], 1), _turn(SCRIPT[4], 0))),
]
POISON_WINDOW = window_of(np.full(SPEC.window_samples, np.nan, np.float32), index=90)
POISON_REQUEST = replace(REQUESTS[0], index=90, samples=np.full(16_000, np.nan, np.float32))


async def ask_all(engine: Engine) -> list[bytes]:
    """Every answer as bytes, all requests in flight at once."""
    diarized = [engine.diarize(window) for window in WINDOWS]
    decoded = [engine.decode(request) for request in REQUESTS]
    found, written = await asyncio.gather(asyncio.gather(*diarized), asyncio.gather(*decoded))
    return [*map(dump_diarization, found), *map(dump_decoded, written)]
