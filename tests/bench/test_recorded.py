"""Recorded answers for any number of sessions."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from app.bench.recorded import RecordedEngine, load_recorded, record
from app.core.types import DecodeRequest, DecodeTurn, Window
from app.engine.log import MemoryLog
from app.errors import EngineClosed, EngineFailed
from tests.engine.fake_worker import SPEC, fake_engine, meeting
from tests.transport.server import DURATION_S, SCRIPT

LOOP = meeting(SCRIPT, DURATION_S)
N = len(LOOP)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    async def make():
        inner = fake_engine()
        log = MemoryLog()
        try:
            await record(inner, LOOP, log, tmp_path_factory.mktemp("spools"))
        finally:
            await inner.aclose()
        return RecordedEngine(await load_recorded(log))

    return asyncio.run(make())


def window(start):
    samples = np.zeros(SPEC.window_samples, np.float32)
    return Window(0, start, samples, len(samples), start, start + len(samples))


def test_a_window_gets_its_answer_in_any_round_at_its_own_time(engine):
    first = asyncio.run(engine.diarize(window(16000)))
    later = asyncio.run(engine.diarize(window(16000 + 3 * N)))
    assert np.array_equal(first.activity, later.activity)
    assert first.activity.any()
    assert [run.start + 3 * N for run in first.runs] == [run.start for run in later.runs]
    assert (later.start, later.end) == (16000 + 3 * N, 16000 + 3 * N + SPEC.window_samples)


def test_every_word_of_every_round_is_written_once(engine):
    expected = sorted(word for line in SCRIPT for word in line.text.split())
    turn = DecodeTurn(2 * N, 4 * N, 5)
    request = DecodeRequest(0, 2 * N, np.zeros(10, np.float32), (turn, DecodeTurn(0, 9, 1, ask=False)), "en")
    (answer,) = asyncio.run(engine.decode(request)).turns
    assert answer.turn == turn
    assert sorted(word.text for word in answer.words) == sorted(expected * 2)
    assert all(turn.start <= word.start < word.end <= turn.end for word in answer.words)


def test_padding_is_silent(engine):
    whole = window(0)
    half = Window(0, 0, whole.samples, SPEC.window_samples // 2, 0, SPEC.window_samples // 2)
    answer = asyncio.run(engine.diarize(half))
    assert not answer.activity[len(answer.activity) // 2 + 1 :].any()


def test_an_incomplete_log_and_a_closed_engine_are_errors(engine):
    with pytest.raises(EngineFailed, match="not complete"):
        asyncio.run(load_recorded(MemoryLog()))

    async def closed():
        other = RecordedEngine(engine._recorded)
        await other.aclose()
        await other.diarize(window(0))

    with pytest.raises(EngineClosed):
        asyncio.run(closed())
