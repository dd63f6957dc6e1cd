import json
from pathlib import Path

import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE, check_disjoint, decode_audio, load_manifest
from models.training.simulate.errors import ClipUnreadable, ManifestInvalid, SpeakersShared

from .conftest import voice, write_manifest, write_wav


def row(**changes: object) -> dict[str, object]:
    return {"file": "a.wav", "speaker": "anna", "text": "hello", "duration": 1.0, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav"):
        write_wav(tmp_path / name, voice(1.0, 120.0, 0))
    return tmp_path


def test_a_manifest_is_read_with_its_optional_keys(folder: Path) -> None:
    rows = [row(), row(file="b.wav", speaker="bob", meeting="m", turn=3, gender="m")]
    manifest = load_manifest(write_manifest(folder, rows))
    assert [clip.speaker for clip in manifest.clips] == ["anna", "bob"]
    assert (manifest.clips[0].meeting, manifest.clips[1].meeting, manifest.clips[1].turn) == (None, "m", 3)
    assert list(manifest.by_speaker()) == ["anna", "bob"]


def test_an_exact_repeat_is_dropped_and_a_contradiction_refused(folder: Path) -> None:
    assert len(load_manifest(write_manifest(folder, [row(), row()])).clips) == 1
    with pytest.raises(ManifestInvalid, match=r"a\.wav.*twice"):
        load_manifest(write_manifest(folder, [row(), row(text="other")]))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (row(file="missing.wav"), "missing.wav"),
        (row(speaker=7), "speaker"),
        (row(file=""), "file"),
        (row(duration=0), "duration"),
        (row(duration=True), "duration"),
        ({"file": "a.wav", "speaker": "anna", "duration": 1.0}, "text"),
    ],
)
def test_a_bad_line_is_named(folder: Path, bad: dict[str, object], named: str) -> None:
    with pytest.raises(ManifestInvalid, match=named):
        load_manifest(write_manifest(folder, [row(file="b.wav"), bad]))


def test_broken_and_missing_manifests_are_refused(folder: Path) -> None:
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        load_manifest(folder / "none.jsonl")
    (folder / "broken.jsonl").write_text(json.dumps(row()) + "\n{oops\n")
    with pytest.raises(ManifestInvalid, match="line 2"):
        load_manifest(folder / "broken.jsonl")
    (folder / "empty.jsonl").write_text("\n")
    with pytest.raises(ManifestInvalid, match="no clips"):
        load_manifest(folder / "empty.jsonl")


def test_shared_speakers_are_named() -> None:
    check_disjoint(["a", "b"], ["c"])
    with pytest.raises(SpeakersShared, match="b, c"):
        check_disjoint(["a", "b", "c"], ["c", "b", "d"])


def test_other_rates_are_decoded_to_16_khz(tmp_path: Path) -> None:
    at = np.arange(8000) / 8000
    write_wav(tmp_path / "low.wav", np.asarray(0.5 * np.sin(2 * np.pi * 440 * at), dtype=np.float32), rate=8000)
    samples = decode_audio(tmp_path / "low.wav")
    assert samples.dtype == np.float32
    assert abs(len(samples) - SAMPLE_RATE) < 100
    assert np.argmax(np.abs(np.fft.rfft(samples[:8000]))) == pytest.approx(220, abs=1)


def test_what_is_not_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound here")
    with pytest.raises(ClipUnreadable, match=r"text\.wav"):
        decode_audio(tmp_path / "text.wav")
    with pytest.raises(ClipUnreadable, match=r"none\.wav"):
        decode_audio(tmp_path / "none.wav")
