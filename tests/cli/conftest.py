"""Recordings on disk, and the command line over the fake engine."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from app.cli.main import main
from tests.engine.fake_worker import FakeWorker, fake_engine
from tests.transport.server import wav


@dataclass
class Result:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str


@pytest.fixture
def meeting_wav(tmp_path):
    path = tmp_path / "meeting.wav"
    path.write_bytes(wav())
    return path


@pytest.fixture
def worker():
    return FakeWorker()


@pytest.fixture
def built():
    """The settings of every engine that was built."""
    return []


@pytest.fixture
def crosstalk(tmp_path, monkeypatch, capsys, worker, built):
    """Run a command line in this process: crosstalk("transcribe", ...) -> Result."""
    for name in list(os.environ):
        if name.upper().startswith("CROSSTALK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CROSSTALK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")

    async def build(settings):
        built.append(settings)
        return fake_engine(worker)

    def run(*arguments) -> Result:
        capsys.readouterr()
        status = main([str(it) for it in arguments], build)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run
