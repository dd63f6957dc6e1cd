import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from models.training.simulate.__main__ import main
from models.training.simulate.clips import SAMPLE_RATE, decode_audio, load_manifest
from models.training.simulate.errors import OutputFailed, SettingsInvalid
from models.training.simulate.make import Job, make_set, simulate
from models.training.simulate.settings import Settings
from models.training.simulate.speech import frame_levels_db
from models.training.simulate.timing import load_table
from models.training.simulate.turns import overlap_amount, read_turns

from .conftest import padded, voice, write_manifest, write_wav

DRY = Settings(
    seed=1, num_meetings=2, duration_s=20.0, num_speakers="2,3", overlap="0.3", rt60_s="none", noise_snr_db="40"
)


@pytest.fixture(scope="module")
def made(manifest_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    make_set(Job(load_manifest(manifest_path), load_table(), DRY, folder))
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_audio_rttm_seglst_and_manifest_tell_the_same(made: Path) -> None:
    record = json.loads((made / "set.json").read_text())
    assert record["overlap_share"] == pytest.approx(0.3, abs=0.04)
    for meeting in record["meetings"]:
        session = meeting["session_id"]
        samples = decode_audio(made / f"{session}.flac")
        assert len(samples) == 20 * SAMPLE_RATE
        turns = read_turns(made / f"{session}.rttm")[session]
        segments = read_turns(made / f"{session}.seglst.json")[session]
        assert sorted({turn.speaker for turn in turns}) == meeting["speakers"]
        assert len(segments) == meeting["utterances"]
        amount = overlap_amount([(turn.start_s, turn.end_s) for turn in turns])
        assert amount.share == pytest.approx(meeting["overlap_share"], abs=0.002)
        for name, digest in meeting["sha256"].items():
            assert hashlib.sha256((made / name).read_bytes()).hexdigest() == digest


def test_energy_is_where_the_rttm_says_speech(made: Path) -> None:
    for path in sorted(made.glob("*.rttm")):
        levels = frame_levels_db(decode_audio(path.with_suffix(".flac")))
        speech = np.zeros(len(levels), dtype=bool)
        (turns,) = read_turns(path).values()
        for turn in turns:
            speech[round(turn.start_s * 100) : round(turn.end_s * 100)] = True
        loud = levels > -45.0
        assert np.mean(loud[speech]) > 0.95
        assert np.mean(loud[~speech]) < 0.05


def test_every_clip_is_whole(made: Path, manifest_path: Path) -> None:
    clips = {clip.file: clip for clip in load_manifest(manifest_path).clips}
    for path in made.glob("*.seglst.json"):
        for row in json.loads(path.read_text()):
            clip = clips[row["clip"]]
            assert (clip.speaker, clip.text) == (row["speaker"], row["words"])
            assert row["end_time"] - row["start_time"] == pytest.approx(clip.duration_s - 0.7, abs=0.15)


def test_more_processes_and_another_folder_give_the_same_bytes(made: Path, manifest_path: Path, tmp_path: Path) -> None:
    make_set(Job(load_manifest(manifest_path), load_table(), DRY, tmp_path / "again"), jobs=2)
    assert digests(tmp_path / "again") == digests(made)


def test_a_meeting_does_not_depend_on_the_others(manifest_path: Path, made: Path) -> None:
    job = Job(load_manifest(manifest_path), load_table(), dataclasses.replace(DRY, num_meetings=9), made)
    alone = simulate(job, 1)
    written = decode_audio(made / "sim-0001.flac")
    assert np.max(np.abs(alone.samples - written)) < 1e-4


def test_another_seed_gives_another_meeting(manifest_path: Path, made: Path) -> None:
    job = Job(load_manifest(manifest_path), load_table(), DRY, made)
    other = dataclasses.replace(job, settings=dataclasses.replace(DRY, seed=2))
    assert not np.array_equal(simulate(job, 0).samples, simulate(other, 0).samples)


def test_levels_of_overlap_share_speakers_room_and_noise(manifest_path: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(DRY, rt60_s="0.15-0.2", noise_snr_db="10-30")
    jobs = [
        Job(load_manifest(manifest_path), load_table(), dataclasses.replace(settings, overlap=share), tmp_path)
        for share in ("0", "0.45")
    ]
    first, second = (simulate(job, 0).record for job in jobs)
    assert [first[key] for key in ("speakers", "room", "noise", "gains_db")] == [
        second[key] for key in ("speakers", "room", "noise", "gains_db")
    ]
    assert first["overlap_share"] == 0 < second["overlap_share"]


def test_stems_and_channels(manifest_path: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(
        DRY, num_meetings=1, num_speakers="2", stems=True, telephone=1.0, opus=1.0, audio_format="wav", duration_s=10.0
    )
    record = make_set(Job(load_manifest(manifest_path), load_table(), settings, tmp_path))["meetings"][0]
    assert record["telephone"] is True
    assert 12 <= record["opus_kbps"] <= 32
    stems = sorted(path.name for path in tmp_path.glob("sim-0000.s*.wav"))
    assert stems == [f"sim-0000.{name}.wav" for name in record["speakers"]]
    (turns,) = read_turns(tmp_path / "sim-0000.rttm").values()
    for name in record["speakers"]:
        levels = frame_levels_db(decode_audio(tmp_path / f"sim-0000.{name}.wav"))
        own = np.zeros(len(levels), dtype=bool)
        for turn in turns:
            if turn.speaker == name:
                own[round(turn.start_s * 100) : round(turn.end_s * 100)] = True
        assert np.mean(levels[own] > -45) > 0.95
        assert np.mean(levels[~own] > -45) < 0.05


def test_one_speaker_has_no_overlap_whatever_the_dial(manifest_path: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(DRY, num_speakers="1")
    meeting = simulate(Job(load_manifest(manifest_path), load_table(), settings, tmp_path), 0)
    assert meeting.record["overlap_share"] == 0
    assert len(meeting.record["speakers"]) == 1


def test_more_speakers_than_there_are_is_an_error(manifest_path: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(DRY, num_speakers="7")
    with pytest.raises(SettingsInvalid, match="7 speakers"):
        simulate(Job(load_manifest(manifest_path), load_table(), settings, tmp_path), 0)


def test_a_meeting_too_short_for_any_clip_is_an_error(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", padded(voice(7.0, 120.0, 0)))
    row = {"file": "long.wav", "speaker": "slow", "text": "so long", "duration": 7.7}
    manifest = load_manifest(write_manifest(tmp_path, [row]))
    settings = dataclasses.replace(DRY, num_speakers="1", duration_s=5.0)
    with pytest.raises(SettingsInvalid, match="slow"):
        simulate(Job(manifest, load_table(), settings, tmp_path), 0)


def test_a_set_is_never_overwritten(made: Path, manifest_path: Path) -> None:
    with pytest.raises(OutputFailed, match=r"set\.json"):
        make_set(Job(load_manifest(manifest_path), load_table(), DRY, made))


def test_the_command_makes_fits_plots_and_checks(
    manifest_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    (tmp_path / "settings.toml").write_text('num_speakers = 3\nrt60_s = "none"\nseed = 4\nnum_meetings = 2\n')
    options = ["--overlap", "0.4", "--duration-s", "90", "--settings", str(tmp_path / "settings.toml")]
    assert main(["make", "--manifest", str(manifest_path), "--out", str(out), *options]) == 0
    assert "sim-0001: 3 speakers" in capsys.readouterr().err
    files = [str(path) for path in sorted(out.glob("*.rttm"))]
    table = str(tmp_path / "table.toml")
    assert main(["fit", "--rttm", *files, "--out", table]) == 0
    picture = tmp_path / "picture.png"
    assert main(["plot", "--rttm", *files, "--timing-table", table, "--out", str(picture)]) == 0
    assert picture.stat().st_size > 10_000
    assert main(["check-disjoint", "--train", str(manifest_path), "--dev", str(out / "set.json")]) == 1
    assert "error [speakers_shared]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["make", "--manifest", "none.jsonl", "--out", "x"], "manifest_invalid"),
        (["make", "--manifest", "{manifest}", "--out", "x", "--overlap", "2"], "settings_invalid"),
        (["make", "--manifest", "{manifest}", "--out", "x", "--timing-table", "none.toml"], "timing_invalid"),
        (["check-disjoint", "--train", "{manifest}", "--dev", "none.json"], "manifest_invalid"),
        (["fit", "--rttm", "none.rttm", "--out", "x.toml"], "timing_invalid"),
    ],
)
def test_errors_are_told_with_their_code(
    manifest_path: Path, options: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([option.replace("{manifest}", str(manifest_path)) for option in options]) == 1
    assert f"error [{code}]" in capsys.readouterr().err
