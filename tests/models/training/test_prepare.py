"""Preparation with a tiny Whisper: shards, the same again, what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from models.decoders import build
from models.decoders.base import DecoderInput, DecoderOutput, DecoderTurnOutput, DecoderWord
from models.training import prepare as module
from models.training.errors import DataInvalid
from models.training.first_pass import rewrite
from models.training.prepare import PrepareJob, plan, prepare
from models.training.recipe import Group, PrepareSettings
from models.training.shards import read_sound, read_states, read_windows, shard_path
from models.training.simulate.clips import SAMPLE_RATE, Clip
from models.training.simulate.conversation import Placed
from models.training.simulate.errors import SpeakersShared
from models.training.simulate.speech import Utterance
from models.training.windows import NOBODY, turns_of
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_asr
from tests.models.training.simulate.conftest import padded, voice, write_manifest, write_wav

SETTINGS = PrepareSettings(
    groups=(
        Group("talk", "clips", 2, simulate={"duration_s": 6, "num_speakers": "2", "overlap": "0.2", "rt60_s": "none"}),
        Group("nobody", "clips", 1, silent=True, simulate={"duration_s": 5}),
    ),
    shard_windows=2,
)


def make_clips(folder: Path, prefix: str) -> Path:
    rows: list[dict[str, object]] = []
    for speaker in range(2):
        for clip in range(4):
            file = f"{prefix}{speaker}-{clip}.wav"
            write_wav(folder / file, padded(voice(0.8 + 0.2 * clip, 120.0 + 40 * speaker, clip)))
            rows.append({"file": file, "speaker": f"{prefix}{speaker}", "text": f"{prefix} {clip}", "duration": 1.5})
    return write_manifest(folder, rows)


@pytest.fixture
def make_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PrepareJob]:
    (tmp_path / "clips").mkdir()
    clips = make_clips(tmp_path / "clips", "s")
    monkeypatch.setattr(module, "load_asr", lambda *_: tiny_asr(tmp_path))
    monkeypatch.setattr(build, "load_asr", lambda *_: tiny_asr(tmp_path))

    def make(out: str = "set", held_out: tuple[Path, ...] = (), **settings: object) -> PrepareJob:
        changed = dataclasses.replace(SETTINGS, **settings)  # type: ignore[arg-type]
        return PrepareJob(changed, "tiny", {"clips": clips}, held_out, tmp_path / out, tmp_path, "cpu")

    return make


def test_windows_have_states_turns_and_first_pass(make_job: Callable[..., PrepareJob]) -> None:
    job, seen = make_job(), []
    prepare(job, progress=lambda done, count: seen.append((done, count)))
    assert seen == [(1, 2), (2, 2)]
    windows = read_windows(job.folder)
    assert sorted(window.name for window in windows) == ["nobody-00000", "talk-00000", "talk-00001"]
    for window in windows:
        assert read_states(window).shape == (window.samples // 320, ENCODER_WIDTH)
        assert window.turns
        assert all(0 <= turn.start < turn.end <= window.samples for turn in window.turns)
        assert next(turn.speaker for turn in window.turns) == 0
        if window.group == "nobody":
            assert {turn.text for turn in window.turns} == {""}
            assert all(name.startswith(NOBODY) for name in window.speakers)
        else:
            assert all(turn.text for turn in window.turns)


def test_a_stopped_preparation_goes_on_to_the_same(make_job: Callable[..., PrepareJob]) -> None:
    job, other = make_job("one"), make_job("two")
    prepare(job)
    prepare(other)
    shard_path(other.folder, 1).with_suffix(".jsonl").unlink()
    kept = shard_path(other.folder, 0).stat().st_mtime_ns
    prepare(other)
    assert shard_path(other.folder, 0).stat().st_mtime_ns == kept
    for left, right in zip(read_windows(job.folder), read_windows(other.folder), strict=True):
        assert dataclasses.replace(left, shard=right.shard) == right
        assert torch.equal(read_states(left), read_states(right))


def test_the_same_windows_are_heard_by_another_first_pass(make_job: Callable[..., PrepareJob], tmp_path: Path) -> None:
    class Parrot:
        name, max_samples = "parrot", 480_000

        def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
            word = DecoderWord("hello", 0, 1, 1.0)
            return [DecoderOutput(tuple(DecoderTurnOutput((word,)) for _ in item.turns)) for item in inputs]

    job, seen, again = make_job(), [], tmp_path / "again"
    prepare(job)
    rewrite(job.folder, again, "parrot", Parrot(), lambda done, count: seen.append((done, count)))
    assert seen == [(1, 2), (2, 2)]
    for old, new in zip(read_windows(job.folder), read_windows(again), strict=True):
        assert {turn.first_pass for turn in new.turns} == {"hello"}
        assert [turn.text for turn in new.turns] == [turn.text for turn in old.turns]
        assert torch.equal(read_states(new), read_states(old))
        assert np.array_equal(read_sound(new), read_sound(old))
    rewrite(job.folder, again, "parrot", Parrot(), lambda *_: None)
    with pytest.raises(DataInvalid, match="another recipe"):
        rewrite(job.folder, again, "target", Parrot(), lambda *_: None)


@pytest.mark.parametrize(("prefix", "heard"), [("s", {"talk"}), ("S", set())])
def test_for_the_target_model_only_what_it_needs_is_made(
    prefix: str, heard: set[str], make_job: Callable[..., PrepareJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    clips = make_clips(tmp_path / "own", prefix)
    monkeypatch.setattr(module, "first_pass", lambda _, sounds, turns: [["heard"] * len(own) for own in turns])
    job = dataclasses.replace(make_job(), manifests={"clips": clips}, for_target=True)
    prepare(job)
    windows = read_windows(job.folder)
    assert all(len(read_sound(window)) == window.samples for window in windows)
    assert all(read_states(window).shape == (0, ENCODER_WIDTH) for window in windows)
    turns = [(window.group, turn.first_pass) for window in windows for turn in window.turns]
    assert {group for group, text in turns if text == "heard"} == heard
    with pytest.raises(DataInvalid, match="another recipe"):
        prepare(dataclasses.replace(job, for_target=False))


def test_the_sound_is_kept(make_job: Callable[..., PrepareJob]) -> None:
    job = make_job()
    prepare(job)
    for window in read_windows(job.folder):
        sound = read_sound(window)
        assert sound.shape == (window.samples,)
        assert 0.001 < np.abs(sound).max() <= 1.0


def test_another_recipe_in_the_folder_is_refused(make_job: Callable[..., PrepareJob]) -> None:
    prepare(make_job())
    with pytest.raises(DataInvalid, match="another recipe"):
        prepare(make_job(seed=5))


def test_a_manifest_that_was_not_given_is_named(make_job: Callable[..., PrepareJob]) -> None:
    with pytest.raises(DataInvalid, match="songs"):
        prepare(make_job(groups=(Group("a", "songs", 1),)))


def test_shared_speakers_are_refused(make_job: Callable[..., PrepareJob], tmp_path: Path) -> None:
    with pytest.raises(SpeakersShared, match="s0, s1"):
        prepare(make_job(held_out=(tmp_path / "clips" / "manifest.jsonl",)))


def test_the_plan_holds_every_window_once() -> None:
    planned = [place for shard in plan(SETTINGS) for place in shard]
    assert sorted(planned) == [(0, 0), (0, 1), (1, 0)]


def placed(speaker: int, start: int, length: int, text: str) -> Placed:
    clip = Clip(text, Path(text), f"s{speaker}", text, 1.0)
    return Placed(speaker, Utterance(clip, np.zeros(length, np.float32), 0, ((0, length),)), start)


def test_close_utterances_of_one_speaker_are_one_turn() -> None:
    rate = SAMPLE_RATE
    items = [placed(7, 0, rate, "a"), placed(7, rate + 1600, rate, "b"), placed(2, rate // 2, rate // 2, "c")]
    items.append(placed(7, 3 * rate, rate, "d"))
    turns = turns_of(items, [7, 2])
    assert [(turn.speaker, turn.text) for turn in turns] == [(0, "a\nb"), (1, "c"), (0, "d")]
    assert [turn.overlap for turn in turns] == [pytest.approx(0.5 / 2.1, abs=0.01), 1.0, 0.0]
