"""Training in two processes: the same run as in one, but for rounding, with files written once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training import commands
from models.training.runs import STATE_FILE, load_state, read_rows
from tests.models.sot.tiny import tiny_llm, write_set
from tests.models.training.test_commands import RECIPE

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def arguments(folder: Path, out: str) -> list[str]:
    told = ["train", "--device", "cpu", "--recipe", str(folder / "tiny.toml"), "--data", str(folder / "train")]
    return [*told, "--out", str(folder / out), "--held-out", str(folder / "held-out")]


def train_in_two(folder: Path, out: str) -> str:
    command = [sys.executable, *TORCHRUN, "-m", "tests.models.training.tiny_run", *arguments(folder, out)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_two_processes_train_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "load_named_llm", lambda *_: tiny_llm())
    (tmp_path / "tiny.toml").write_text(RECIPE)
    write_set(tmp_path / "train")
    write_set(tmp_path / "held-out", ("cem", "dee"), 2)
    assert commands.main(arguments(tmp_path, "one")) == 0
    said = train_in_two(tmp_path, "two")
    assert said.count("step 6/6") == 1
    one, two = (read_rows(tmp_path / out) for out in ("one", "two"))
    for column in ("step", "loss", "validation_loss"):
        curves = [[float(row[column] or 0) for row in rows] for rows in (one, two)]
        assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    weights, same = (load_state(tmp_path / out / STATE_FILE)["weights"] for out in ("one", "two"))
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value, rtol=1e-2, atol=1e-3)
