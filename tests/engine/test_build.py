"""Settings -> engine: only the chosen kind is imported, what is missing is named, and the probe proves something."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.core.types import Decoded
from app.engine.build import EngineSettings, build_engine
from app.engine.log import FileLog, Key, MemoryLog, Record
from app.engine.probe import probe
from app.engine.replay import open_replay
from app.engine.settings import WorkerSettings
from app.errors import EngineClosed, EngineFailed, FileUnreadable, ModelUnavailable, OptionInvalid, OutputError
from tests.engine.engine_cases import ask_all
from tests.engine.fake_worker import SPEC, FakeWorker, fake_engine


def run(main):
    return asyncio.run(asyncio.wait_for(main, 60))


def record(path: Path) -> list[bytes]:
    async def main() -> list[bytes]:
        engine = await open_replay(FileLog(path), fake_engine())
        try:
            return await ask_all(engine)
        finally:
            await engine.aclose()

    return run(main())


def test_a_replay_engine_is_built_without_torch(tmp_path: Path) -> None:
    record(tmp_path / "log")
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from app.engine.build import EngineSettings, build_engine\n"
        "engine = asyncio.run(build_engine(EngineSettings('replay', log=Path(sys.argv[1]))))\n"
        "assert engine.spec.decoder == 'fake'\n"
        "assert not {'torch', 'models', 'app.engine.worker'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "log")], check=True, timeout=60)


def test_replay_gives_the_recorded_answers(tmp_path: Path) -> None:
    expected = record(tmp_path / "log")

    async def main() -> None:
        engine = await build_engine(EngineSettings("replay", log=tmp_path / "log"))
        assert await ask_all(engine) == expected
        await probe(engine)
        await engine.aclose()
        with pytest.raises(EngineClosed):
            await ask_all(engine)

    run(main())


def test_replay_needs_a_log(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid):
        run(build_engine(EngineSettings("replay")))
    with pytest.raises(FileUnreadable):
        run(build_engine(EngineSettings("replay", log=tmp_path / "log")))
    FileLog(tmp_path / "log").close()
    with pytest.raises(EngineFailed, match="empty"):
        run(build_engine(EngineSettings("replay", log=tmp_path / "log")))


def test_missing_weights_are_named_and_the_log_is_let_go(tmp_path: Path) -> None:
    settings = EngineSettings(worker=WorkerSettings(weights_dir=tmp_path, device="cpu"), log=tmp_path / "log")
    with pytest.raises(ModelUnavailable, match="segmentation"):
        run(build_engine(settings))
    FileLog(tmp_path / "log").close()


def test_a_log_that_cannot_be_written_is_refused_before_models_are_loaded(tmp_path: Path) -> None:
    settings = EngineSettings(worker=WorkerSettings(weights_dir=tmp_path), log=tmp_path / "missing" / "log")
    with pytest.raises(OutputError):
        run(build_engine(settings))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"device": "abacus"}, ModelUnavailable),
        ({"device": "cuda:"}, ModelUnavailable),
        ({"device": "cuda:99"}, ModelUnavailable),
    ],
)
def test_wrong_devices_are_refused(change: dict[str, str], error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error, match=change["device"]):
        run(build_engine(EngineSettings(worker=WorkerSettings(weights_dir=tmp_path, **change))))


def test_the_probe_asks_both_steps_and_is_not_recorded() -> None:
    async def main() -> None:
        worker = FakeWorker()
        engine = fake_engine(worker)
        await probe(engine)
        assert sorted(worker.batches) == [("decode", 1), ("diarize", 1)]
        records: dict[Key, Record] = {}
        recording = await open_replay(MemoryLog(records), engine)
        await probe(recording)
        assert set(records) == {Key("spec", 0)}
        await recording.aclose()
        with pytest.raises(EngineClosed):
            await probe(recording)

    run(main())


class NoNumbers(FakeWorker):
    def diarize_batch(self, windows):
        return [replace(item, activity=np.full_like(item.activity, np.nan)) for item in super().diarize_batch(windows)]


class FewerSpeakers(FakeWorker):
    spec = replace(SPEC, max_local_speakers=4)


class NoTurns(FakeWorker):
    def decode_batch(self, requests):
        return [Decoded(()) for _ in requests]


class Broken(FakeWorker):
    def decode_batch(self, requests):
        raise RuntimeError("device-side assert")


@pytest.mark.parametrize("kind", [NoNumbers, FewerSpeakers, NoTurns, Broken])
def test_the_probe_finds_a_broken_engine(kind: type[FakeWorker]) -> None:
    async def main() -> None:
        engine = fake_engine(kind())
        with pytest.raises(EngineFailed):
            await probe(engine)
        await engine.aclose()

    run(main())
