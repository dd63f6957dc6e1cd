"""The engine's contract (app/engine/base.py), one suite over every kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.engine.base import Engine
from app.engine.local import BatchRules
from app.engine.log import FileLog, MemoryLog
from app.engine.replay import open_replay
from app.engine.wire import dump_decoded, dump_diarization
from app.errors import EngineClosed, EngineError
from tests.engine.engine_cases import POISON_REQUEST, POISON_WINDOW, REQUESTS, WINDOWS, ask_all
from tests.engine.fake_worker import NUM_FRAMES, SPEC, FakeWorker, fake_engine
from tests.engine.inference import ServedEngine


class GatedWorker(FakeWorker):
    """A fake worker that answers once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def diarize_batch(self, windows):
        self._wait()
        return super().diarize_batch(windows)

    def decode_batch(self, requests):
        self._wait()
        return super().decode_batch(requests)

    def _wait(self) -> None:
        self.entered.set()
        assert self.gate.wait(10)


@dataclass
class Made:
    """An engine under test; `worker` is None where nothing is asked of models any more."""

    engine: Engine
    worker: GatedWorker | None


async def make_local(_folder: Path) -> Made:
    worker = GatedWorker()
    return Made(fake_engine(worker, BatchRules(max_diarize_batch=3, max_decode_batch=2)), worker)


async def make_recording(_folder: Path) -> Made:
    local = await make_local(_folder)
    return Made(await open_replay(MemoryLog(), local.engine), local.worker)


async def make_replay(folder: Path) -> Made:
    recording = await open_replay(FileLog(folder / "log"), fake_engine())
    await ask_all(recording)
    await recording.aclose()
    return Made(await open_replay(FileLog(folder / "log", writable=False)), None)


async def make_http(_folder: Path) -> Made:
    worker = GatedWorker()
    served = ServedEngine(fake_engine(worker, BatchRules(max_diarize_batch=3, max_decode_batch=2)))
    return Made(await served.start(), worker)


Make = Callable[[Path], Awaitable[Made]]


@pytest.fixture(
    params=[make_local, make_recording, make_replay, make_http],
    ids=["local", "replay over local", "replay alone", "http"],
)
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


def run(main: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def test_spec_and_shapes(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        engine = (await make(tmp_path)).engine
        assert engine.spec == SPEC
        for window in WINDOWS:
            local = await engine.diarize(window)
            assert (local.start, local.end) == (window.start, window.end)
            assert local.activity.shape == (NUM_FRAMES, SPEC.max_local_speakers)
            assert local.activity.dtype == np.float32
            assert local.runs
            for run in local.runs:
                assert run.voice.dtype == np.float32
                assert 0 <= run.local_speaker < SPEC.max_local_speakers
                assert window.own_start <= (run.start + run.end) // 2 < window.own_end
        for request in REQUESTS:
            decoded = await engine.decode(request)
            assert tuple(item.turn for item in decoded.turns) == request.turns
        await engine.aclose()

    run(main())


def test_an_answer_does_not_depend_on_what_else_is_in_flight(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        engine = (await make(tmp_path)).engine
        together = await ask_all(engine)
        alone = [dump_diarization(await engine.diarize(window)) for window in WINDOWS]
        alone += [dump_decoded(await engine.decode(request)) for request in REQUESTS]
        assert together == alone
        assert await ask_all(engine) == alone
        await engine.aclose()

    run(main())


def test_one_failing_request_fails_alone(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        engine = (await make(tmp_path)).engine
        expected = await ask_all(engine)
        bad_window, good, bad_request = await asyncio.gather(
            engine.diarize(POISON_WINDOW), ask_all(engine), engine.decode(POISON_REQUEST), return_exceptions=True
        )
        assert isinstance(bad_window, EngineError)
        assert isinstance(bad_request, EngineError)
        assert good == expected
        await engine.aclose()

    run(main())


def test_after_close_every_call_says_so(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        engine = (await make(tmp_path)).engine
        await engine.aclose()
        await engine.aclose()
        with pytest.raises(EngineClosed):
            await engine.diarize(WINDOWS[0])
        with pytest.raises(EngineClosed):
            await engine.decode(REQUESTS[0])

    run(main())


def test_closing_hangs_nobody(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        made = await make(tmp_path)
        if made.worker is not None:
            made.worker.gate.clear()
        asked = [asyncio.create_task(made.engine.diarize(window)) for window in WINDOWS]
        asked += [asyncio.create_task(made.engine.decode(request)) for request in REQUESTS]
        if made.worker is not None:
            await asyncio.to_thread(made.worker.entered.wait, 10)
        closing = asyncio.create_task(made.engine.aclose())
        await asyncio.sleep(0)
        if made.worker is not None:
            made.worker.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        await closing
        assert all(isinstance(answer, EngineError) or not isinstance(answer, BaseException) for answer in answers)
        assert made.worker is None or made.worker.closed

    run(main())


def test_cancelling_one_request_leaves_the_others(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        made = await make(tmp_path)
        if made.worker is not None:
            made.worker.gate.clear()
        asked = [asyncio.create_task(made.engine.diarize(window)) for window in WINDOWS]
        await asyncio.sleep(0)
        asked[1].cancel()
        if made.worker is not None:
            made.worker.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert [answer.start for i, answer in enumerate(answers) if i != 1] == [
            window.start for i, window in enumerate(WINDOWS) if i != 1
        ]
        # It can be asked again.
        if made.worker is not None:
            assert (await made.engine.diarize(WINDOWS[1])).start == WINDOWS[1].start
        await made.engine.aclose()

    run(main())
