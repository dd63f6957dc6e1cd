"""Inference workers as real processes, killed and frozen while calls are in flight: nobody's answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.times import SAMPLE_RATE
from app.core.types import Frames, TranscriptView
from app.engine.http_client import HttpEngine, open_http
from app.session import Finished, Session, SessionOptions
from tests.engine.engine_cases import ask_all
from tests.engine.fake_worker import VOCABULARY, Line, fake_engine, meeting
from tests.engine.inference import Workers, http_rules
from tests.engine.test_http_client import until

LINES = [Line(0.5 + 3.5 * i, i % 2 * 3, " ".join(VOCABULARY[(i + k) % 8] for k in range(8))) for i in range(16)]
SOUND = meeting(LINES, 60.0)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    found = Workers(tmp_path)
    yield found
    found.close()


def run(main) -> None:
    asyncio.run(asyncio.wait_for(main, 200))


async def transcript(engine, folder: Path) -> TranscriptView:
    from app.audio.spool import Spool

    async def frames():
        for start in range(0, len(SOUND), SAMPLE_RATE):
            yield Frames(start, SOUND[start : start + SAMPLE_RATE])

    with Spool(folder) as spool:
        async for update in Session(engine, SessionOptions(), spool).run(frames()):
            if isinstance(update, Finished):
                return update.view
    raise AssertionError("no transcript")


async def in_process(folder: Path) -> TranscriptView:
    engine = fake_engine()
    try:
        return await transcript(engine, folder)
    finally:
        await engine.aclose()


def busy(engine: HttpEngine) -> list[int]:
    """Calls in flight by worker."""
    return [worker.outstanding for worker in engine._pool.workers]


def begun(log: Path) -> set[str]:
    """Process ids that began to work on a session's windows."""
    return {line.split()[2] for line in log.read_text().splitlines()} if log.exists() else set()


def test_two_workers_give_the_transcript_of_one_process_and_share_the_work(workers: Workers, tmp_path: Path) -> None:
    async def main() -> None:
        expected = await in_process(tmp_path / "a")
        log = tmp_path / "begun"
        for _ in range(2):
            workers.start(fake_log=log, crosstalk_engine__max_diarize_batch=4, crosstalk_engine__max_decode_batch=4)
        engine = await open_http(http_rules(*workers.urls))
        await until(lambda: engine.capacity == 16)
        log.unlink()
        assert await transcript(engine, tmp_path / "b") == expected
        assert expected.segments
        assert begun(log) == {str(process.pid) for process in workers.processes}
        await engine.aclose()

    run(main())


def test_a_killed_worker_costs_time_and_nothing_else(workers: Workers, tmp_path: Path) -> None:
    async def main() -> None:
        expected = await in_process(tmp_path / "a")
        for _ in range(2):
            workers.start(fake_slow_s=0.3)
        engine = await open_http(http_rules(*workers.urls))
        await until(lambda: engine.capacity == 32)
        under_way = asyncio.create_task(transcript(engine, tmp_path / "b"))
        await until(lambda: min(busy(engine)) > 0)
        workers.kill(0)
        assert await under_way == expected
        # The next one in its place is found again.
        await until(lambda: engine.capacity == 16)
        workers.start(port=int(workers.urls[0].rsplit(":", 1)[1]))
        await until(lambda: engine.capacity == 32)
        await engine.aclose()

    run(main())


def test_a_frozen_worker_loses_its_calls_to_the_other(workers: Workers, tmp_path: Path) -> None:
    async def main() -> None:
        expected = await in_process(tmp_path / "a")
        for _ in range(2):
            workers.start(fake_slow_s=0.3)
        engine = await open_http(http_rules(*workers.urls, check_timeout_s=1.0))
        await until(lambda: engine.capacity == 32)
        under_way = asyncio.create_task(transcript(engine, tmp_path / "b"))
        await until(lambda: min(busy(engine)) > 0)
        workers.freeze(0)
        assert await under_way == expected
        assert engine.capacity == 16
        await engine.aclose()

    run(main())


def test_requests_wait_while_no_worker_is_there(workers: Workers) -> None:
    async def main() -> None:
        local = fake_engine()
        expected = await ask_all(local)
        await local.aclose()
        url = workers.start(fake_slow_s=0.3)
        engine = await open_http(http_rules(url))
        asked = asyncio.create_task(ask_all(engine))
        await until(lambda: sum(busy(engine)) > 0)
        workers.kill(0)
        await until(lambda: engine._pool.up == [])
        workers.start(port=int(url.rsplit(":", 1)[1]))
        assert await asked == expected
        await engine.aclose()

    run(main())


def test_a_worker_that_comes_back_with_other_models_is_refused(workers: Workers) -> None:
    async def main() -> None:
        urls = [workers.start(), workers.start()]
        engine = await open_http(http_rules(*urls))
        await until(lambda: engine.capacity == 32)
        workers.kill(0)
        workers.start(identity="others", port=int(urls[0].rsplit(":", 1)[1]))
        await until(lambda: [worker.state for worker in engine._pool.workers].count("refused") == 1)
        assert await ask_all(engine)
        await engine.aclose()

    run(main())
