"""Training a tiny target-speaker model: its examples, a loss that falls, a run that goes on, its checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models.target.training import IGNORED
from models.training import target_setup
from models.training.augment import Masked
from models.training.commands import main
from models.training.errors import DataInvalid
from models.training.examples import UNDISTURBED
from models.training.recipe import PerturbSettings
from models.training.runs import read_rows
from models.training.shards import read_sound, read_windows
from models.training.target_examples import TargetExamples
from tests.models.sot.tiny import tiny_asr, write_set

RECIPE = """
name = "tiny"
kind = "target"
[lora]
rank = 4
alpha = 8
targets = ["q_proj", "v_proj", "fc1", "fc2"]
[perturb]
drop_other = 0.1
[train]
steps = 40
batch = 4
micro_batch = 2
lr = 1e-2
lora_lr = 1e-2
warmup = 1
validate_every = 20
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(target_setup, "load_asr", lambda *_: tiny_asr(tmp_path))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    write_set(tmp_path / "train")
    write_set(tmp_path / "held-out", ("cem", "dee"), 2)
    return tmp_path


@pytest.fixture
def examples(folder: Path) -> TargetExamples:
    return TargetExamples(read_windows(folder / "train"), tiny_asr(folder).tokens, 80, 3)


def test_there_is_one_example_per_speaker(examples: TargetExamples) -> None:
    assert [part.name for part in examples.windows[:3]] == ["ann-0/0", "ann-0/1", "ann-1/0"]
    assert sorted(examples.order(1)) == list(range(8))
    assert examples.order(1) != examples.order(2)


def test_undisturbed_it_is_the_speakers_turns_with_a_margin(examples: TargetExamples) -> None:
    item = examples.make(1, 0, UNDISTURBED)
    sound = read_sound(examples.windows[1].window)
    assert np.array_equal(item.sound, sound[8_000:])
    assert (item.target, item.others) == (((4_800, 24_000),), ((-8_000, 8_000),))
    written = item.labels[item.labels != IGNORED]
    assert examples._tokens.decode(written.tolist()) == " No."
    assert int(written[-1]) == examples._tokens.end
    assert torch.equal(item.ids[1:], torch.cat([item.ids[1 : len(item.ids) - len(written) + 1], written[:-1]]))


def test_disturbed_it_depends_on_the_epoch_alone(examples: TargetExamples) -> None:
    perturb = PerturbSettings(drop_other=0.5)
    one, same, other = (examples.make(0, epoch, perturb) for epoch in (1, 1, 2))
    assert (one.target, one.others, len(one.sound)) == (same.target, same.others, len(same.sound))
    assert one.target != other.target


def test_examples_together_are_padded(examples: TargetExamples) -> None:
    batch = examples.collate([examples.make(0, 0, UNDISTURBED), examples.make(1, 0, UNDISTURBED)], "cpu")
    assert batch.mel.shape == (2, 80, 600)
    assert batch.masks.shape == (2, 4, 300)
    assert batch.ids.shape == batch.labels.shape
    assert (batch.labels[1][-3:] == IGNORED).all()


def test_sound_that_is_missing_is_named(folder: Path, examples: TargetExamples) -> None:
    (folder / "train" / "00000.sound").unlink()
    with pytest.raises(DataInvalid, match=r"00000\.sound has no sound of window 'ann-0'"):
        examples.make(0, 0, UNDISTURBED)


def run(command: str, **options: str | Path) -> int:
    words = [command, "--device", "cpu"]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return main(words)


def test_from_training_to_a_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {"recipe": folder / "tiny.toml", "data": folder / "train"}
    train = {**made, "held_out": folder / "held-out", "out": folder / "run"}
    assert run("train", **train, until="4") == 0
    assert run("train", **train) == 0
    assert "going on from step 4" in capsys.readouterr().err
    rows = read_rows(folder / "run")
    losses = [float(row["loss"]) for row in rows]
    assert len(rows) == 40
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert run("export", **made, run=folder / "run", out=folder / "model") == 0
    again = {**made, "start_from": folder / "model", "out": folder / "more"}
    assert run("train", **again, until="1") == 0
    assert float(read_rows(folder / "more")[0]["loss"]) < losses[0]


def test_a_run_of_another_kind_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {"data": folder / "train", "out": folder / "run"}
    assert run("train", **made, recipe=folder / "tiny.toml", until="1") == 0
    text = RECIPE.replace("rank = 4", "rank = 2")
    (folder / "other.toml").write_text(text)
    assert run("train", **made, recipe=folder / "other.toml", until="1") == 1
    assert "[lora]" in capsys.readouterr().err


def test_an_unknown_kind_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "odd.toml").write_text('name = "x"\nkind = "both"\n')
    assert run("train", recipe=folder / "odd.toml", data=folder / "train", out=folder / "run") == 1
    assert "'kind' must be one of sot, target, found 'both'" in capsys.readouterr().err


def test_speed_and_blots_change_the_sound_and_repeat_with_the_seed(examples: TargetExamples) -> None:
    plain, disturbed = PerturbSettings(jitter_samples=0), PerturbSettings(jitter_samples=0, mask=1.0, speed=0.2)
    one, same, other = (examples.make(0, epoch, disturbed) for epoch in (0, 0, 1))
    assert np.array_equal(one.sound, same.sound)
    assert one.masked == same.masked
    assert (len(one.sound), one.masked) != (len(other.sound), other.masked)
    calm = examples.make(0, 0, plain)
    assert not calm.masked.bands
    share = (one.target[0][1] - one.target[0][0]) / (calm.target[0][1] - calm.target[0][0])
    assert 0.8 < share < 1.25
    assert share != 1.0
    blotted, whole = (examples.collate([dataclasses.replace(one, masked=m)], "cpu").mel for m in (one.masked, Masked()))
    assert blotted.shape == whole.shape
    assert not torch.equal(blotted, whole)
