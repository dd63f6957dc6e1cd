"""ReplayEngine: recorded answers bit for bit, inner asked only at gaps, another recording refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.log import FileLog, Key, MemoryLog, Record
from app.engine.replay import open_replay
from app.errors import EngineFailed
from tests.engine.engine_cases import POISON_WINDOW, REQUESTS, WINDOWS, ask_all
from tests.engine.fake_worker import SPEC, FakeWorker, fake_engine


def run(main) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def test_a_second_run_asks_nobody_and_gives_the_same_bytes(tmp_path: Path) -> None:
    async def main() -> None:
        first = await open_replay(FileLog(tmp_path / "log"), fake_engine())
        expected = await ask_all(first)
        await first.aclose()

        worker = FakeWorker()
        second = await open_replay(FileLog(tmp_path / "log"), fake_engine(worker))
        assert await ask_all(second) == expected
        await second.aclose()
        assert worker.batches == []

        third = await open_replay(FileLog(tmp_path / "log", writable=False))
        assert await ask_all(third) == expected
        assert third.spec == SPEC
        await third.aclose()

    run(main())


def test_a_broken_run_goes_on_at_the_first_gap() -> None:
    async def main() -> None:
        records: dict[Key, Record] = {}
        first = await open_replay(MemoryLog(records), fake_engine())
        await first.diarize(WINDOWS[0])
        await first.decode(REQUESTS[0])
        await first.aclose()

        worker = FakeWorker()
        second = await open_replay(MemoryLog(records), fake_engine(worker))
        await ask_all(second)
        await second.aclose()
        asked = {step: sum(size for name, size in worker.batches if name == step) for step in ("diarize", "decode")}
        assert asked == {"diarize": len(WINDOWS) - 1, "decode": len(REQUESTS) - 1}

    run(main())


def test_a_gap_without_models_names_the_key() -> None:
    async def main() -> None:
        records: dict[Key, Record] = {}
        first = await open_replay(MemoryLog(records), fake_engine())
        await first.diarize(WINDOWS[0])
        await first.aclose()
        second = await open_replay(MemoryLog(records))
        with pytest.raises(EngineFailed, match="diarize 1"):
            await second.diarize(WINDOWS[1])
        with pytest.raises(EngineFailed, match="decode 0"):
            await second.decode(REQUESTS[0])

    run(main())


@pytest.mark.parametrize("with_inner", [False, True])
def test_a_log_of_another_recording_is_refused(with_inner: bool) -> None:
    async def main() -> None:
        records: dict[Key, Record] = {}
        first = await open_replay(MemoryLog(records), fake_engine())
        await ask_all(first)
        await first.aclose()
        second = await open_replay(MemoryLog(records), fake_engine() if with_inner else None)
        window, request = WINDOWS[0], REQUESTS[0]
        louder = window.samples.copy()
        louder[100] += 0.25
        for other in (replace(window, start=400), replace(window, samples=louder), replace(window, own_end=16)):
            with pytest.raises(EngineFailed, match=r"diarize 0.*another recording"):
                await second.diarize(other)
        changes = [{"language": "fr"}, {"turns": request.turns[:1]}, {"hotwords": ("x",)}, {"context": "x"}]
        for change in changes:
            with pytest.raises(EngineFailed, match=r"decode 0.*another recording"):
                await second.decode(replace(request, **change))
        assert (await second.diarize(window)).start == window.start
        await second.aclose()

    run(main())


def test_failures_are_not_recorded() -> None:
    async def main() -> None:
        records: dict[Key, Record] = {}
        engine = await open_replay(MemoryLog(records), fake_engine())
        with pytest.raises(EngineFailed):
            await engine.diarize(POISON_WINDOW)
        await engine.aclose()
        assert set(records) == {Key("spec", 0)}

    run(main())


def test_other_models_or_no_models_and_no_answers_are_refused() -> None:
    async def main() -> None:
        with pytest.raises(EngineFailed, match="empty"):
            await open_replay(MemoryLog())
        records: dict[Key, Record] = {}
        first = await open_replay(MemoryLog(records), fake_engine())
        await first.aclose()
        worker = FakeWorker()
        worker.spec = replace(SPEC, decoder="another")
        inner = fake_engine(worker)
        with pytest.raises(EngineFailed, match="other models"):
            await open_replay(MemoryLog(records), inner)
        await inner.aclose()

    run(main())


def test_a_record_that_cannot_be_read_fails_its_request() -> None:
    async def main() -> None:
        records: dict[Key, Record] = {}
        first = await open_replay(MemoryLog(records), fake_engine())
        await first.diarize(WINDOWS[0])
        await first.aclose()
        records[Key("diarize", 0)] = replace(records[Key("diarize", 0)], payload=b"{}")
        second = await open_replay(MemoryLog(records))
        with pytest.raises(EngineFailed, match="diarize 0"):
            await second.diarize(WINDOWS[0])
        records[Key("spec", 0)] = Record("", b"{}")
        with pytest.raises(EngineFailed, match="which models"):
            await open_replay(MemoryLog(records))

    run(main())
