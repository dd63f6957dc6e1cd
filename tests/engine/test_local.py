"""LocalEngine: both steps on one thread, batched over sessions, the worker closed with it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.engine.local import BatchRules
from tests.engine.engine_cases import REQUESTS, WINDOWS, ask_all
from tests.engine.fake_worker import FakeWorker, fake_engine


class WatchedWorker(FakeWorker):
    """Notes which threads it runs on, and whether two calls ever overlapped."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.overlapped = False
        self._inside = threading.Lock()

    def _enter(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.overlapped |= not self._inside.acquire(blocking=False)

    def diarize_batch(self, windows):
        self._enter()
        answers = super().diarize_batch(windows)
        self._inside.release()
        return answers

    def decode_batch(self, requests):
        self._enter()
        answers = super().decode_batch(requests)
        self._inside.release()
        return answers


class ApartWorker(FakeWorker):
    """Its decoding ends only when something was diarized meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.decoding, self.diarized = threading.Event(), threading.Event()

    def diarize_batch(self, windows):
        self.threads.add(threading.current_thread().name)
        return super().diarize_batch(windows)

    def decode_batch(self, requests):
        self.threads.add(threading.current_thread().name)
        self.decoding.set()
        assert self.diarized.wait(60)
        return super().decode_batch(requests)


def test_all_work_is_done_on_one_thread_one_batch_at_a_time() -> None:
    worker = WatchedWorker()

    async def main() -> None:
        engine = fake_engine(worker, BatchRules(max_diarize_batch=3, max_decode_batch=2))
        sessions = await asyncio.gather(*(ask_all(engine) for _ in range(4)))
        assert all(answers == sessions[0] for answers in sessions)
        stats = engine.stats
        await engine.aclose()
        assert stats["diarize"].requests == 4 * len(WINDOWS)
        assert stats["decode"].requests == 4 * len(REQUESTS)
        assert stats["diarize"].batches < stats["diarize"].requests

    asyncio.run(main())
    assert worker.threads == {"crosstalk-engine"}
    assert not worker.overlapped
    assert worker.closed
    assert max(size for step, size in worker.batches if step == "diarize") == 3
    assert max(size for step, size in worker.batches if step == "decode") == 2


def test_limits_are_checked() -> None:
    before = threading.enumerate()
    with pytest.raises(ValueError, match="positive"):
        fake_engine(rules=BatchRules(max_decode_batch=0))
    assert set(threading.enumerate()) <= set(before)


def test_apart_each_step_has_a_thread_and_neither_waits_for_the_other() -> None:
    worker = ApartWorker()

    async def main() -> None:
        engine = fake_engine(worker, BatchRules(apart=True))
        decoding = asyncio.create_task(engine.decode(REQUESTS[0]))
        assert await asyncio.to_thread(worker.decoding.wait, 60)
        await asyncio.wait_for(engine.diarize(WINDOWS[0]), 60)
        worker.diarized.set()
        await decoding
        await engine.aclose()

    asyncio.run(main())
    assert worker.closed
    assert worker.threads == {"crosstalk-engine", "crosstalk-decode"}
