"""Training in two processes: the same run as in one, but for rounding, with files written once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training.runs import STATE_FILE, load_state, read_rows
from tests.models.sot.tiny import write_set
from tests.models.training.test_commands import RECIPE

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def train(folder: Path, out: str, launcher: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *launcher, "-m", "tests.models.training.tiny_run", "train", "--device", "cpu"]
    command += ["--recipe", str(folder / "tiny.toml"), "--data", str(folder / "train"), "--out", str(folder / out)]
    command += ["--held-out", str(folder / "held-out")]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    write_set(tmp_path / "train")
    write_set(tmp_path / "held-out", ("cem", "dee"), 2)
    train(tmp_path, "one")
    said = train(tmp_path, "two", TORCHRUN)
    assert said.count("step 6/6") == 1
    one, two = (read_rows(tmp_path / out) for out in ("one", "two"))
    for column in ("step", "loss", "validation_loss"):
        curves = [[float(row[column] or 0) for row in rows] for rows in (one, two)]
        assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    weights, same = (load_state(tmp_path / out / STATE_FILE)["weights"] for out in ("one", "two"))
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value, rtol=1e-2, atol=1e-3)
