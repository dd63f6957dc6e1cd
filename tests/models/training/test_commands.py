"""The commands, end to end on tiny models: train, go on, export, evaluate; errors are named and give status 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.training import commands
from models.training.commands import main
from models.training.runs import read_rows
from tests.models.sot.tiny import tiny_llm, write_set

RECIPE = """
name = "tiny"
[projector]
hidden = 24
[lora]
rank = 4
alpha = 8
[train]
steps = 6
batch = 2
warmup = 1
validate_every = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(commands, "load_named_llm", lambda *_: tiny_llm())
    (tmp_path / "tiny.toml").write_text(RECIPE)
    write_set(tmp_path / "train")
    write_set(tmp_path / "held-out", ("cem", "dee"), 2)
    return tmp_path


def run(folder: Path, command: str, **options: str | Path) -> int:
    words = [command, "--device", "cpu"]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return main(words)


def test_from_training_to_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {"recipe": folder / "tiny.toml", "data": folder / "train"}
    train = {**made, "held_out": folder / "held-out", "out": folder / "run"}
    assert run(folder, "train", **train, until="4") == 0
    assert run(folder, "train", **train) == 0
    assert "going on from step 4" in capsys.readouterr().err
    assert [row["step"] for row in read_rows(folder / "run")] == ["1", "2", "3", "4", "5", "6"]
    assert (folder / "run" / "curves.png").stat().st_size > 1000
    assert run(folder, "export", **made, run=folder / "run", out=folder / "model") == 0
    assert (folder / "model" / "config.json").is_file()
    table = folder / "table.md"
    assert run(folder, "evaluate", checkpoint=folder / "model", data=folder / "held-out", out=table, show="1") == 0
    assert table.read_text().count("\n") == 7
    assert "said   'yes 0'" in capsys.readouterr().err
    again = {**made, "start_from": folder / "model", "out": folder / "more"}
    assert run(folder, "train", **again, until="1") == 0


def test_shared_speakers_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(folder / "same", ("ann", "eve"))
    options = {"recipe": folder / "tiny.toml", "data": folder / "train", "held_out": folder / "same"}
    assert run(folder, "train", **options, out=folder / "run") == 1
    assert "speakers_shared" in capsys.readouterr().err


def test_an_unknown_key_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.toml").write_text('name = "x"\n[train]\nstepz = 3\n')
    assert run(folder, "train", recipe=folder / "bad.toml", data=folder / "train", out=folder / "run") == 1
    assert "error [recipe_invalid]: train: unknown key(s) stepz" in capsys.readouterr().err


def test_a_run_without_a_state_cannot_be_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"recipe": folder / "tiny.toml", "data": folder / "train", "run": folder / "none"}
    assert run(folder, "export", **options, out=folder / "model") == 1
    assert "training_run_invalid" in capsys.readouterr().err


def test_a_manifest_needs_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "prepare", recipe=folder / "tiny.toml", manifest="clips.jsonl", out=folder / "p") == 1
    assert "NAME=PATH" in capsys.readouterr().err
