"""`crosstalk transcribe`: results, files, failures and exit statuses."""

from __future__ import annotations

import json
import wave

import numpy as np
import pytest

from app.errors import EngineFailed, ModelUnavailable
from app.formats import FORMATS
from tests.engine.fake_worker import Line, meeting
from tests.transport.server import SCRIPT, wav


def _lines(out):
    return [line.split("] ", 1)[1] for line in out.splitlines()]


def test_text_goes_to_stdout_and_a_summary_to_stderr(crosstalk, meeting_wav):
    result = crosstalk("transcribe", meeting_wav)
    assert result.status == 0
    names = ("Speaker 1", "Speaker 2", "Speaker 1")
    assert _lines(result.out) == [f"{name}: {line.text}" for name, line in zip(names, SCRIPT, strict=True)]
    assert "meeting.wav: 0:10 of sound, 2 speakers, 3 segments in " in result.err
    assert "x real time" in result.err


def test_quiet_says_nothing(crosstalk, meeting_wav):
    assert crosstalk("transcribe", "-q", meeting_wav).err == ""


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_on_stdout(crosstalk, meeting_wav, name):
    result = crosstalk("transcribe", "--format", name, meeting_wav)
    assert result.status == 0
    assert "alpha" in result.out or name == "rttm"
    if "json" in name or name == "seglst":
        json.loads(result.out)


def test_formats_that_name_their_recording_name_the_file(crosstalk, meeting_wav):
    assert crosstalk("transcribe", "-f", "rttm", meeting_wav).out.startswith("SPEAKER meeting 1 ")
    assert json.loads(crosstalk("transcribe", "-f", "seglst", meeting_wav).out)[0]["session_id"] == "meeting"


def test_several_formats_go_into_a_folder(crosstalk, meeting_wav, tmp_path):
    folder = tmp_path / "new" / "out"
    result = crosstalk("transcribe", meeting_wav, "-f", "srt", "-f", "json", "-f", "verbose_json", "-o", folder)
    assert (result.status, result.out) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["meeting.json", "meeting.srt", "meeting.verbose.json"]


def test_the_engine_is_built_once_and_gets_the_options(crosstalk, meeting_wav, tmp_path, built, worker):
    other = tmp_path / "other.wav"
    other.write_bytes(wav())
    result = crosstalk("transcribe", "--device", "cpu", "--threads", 2, "--decoder", "cascade", meeting_wav, other)
    assert result.status == 0
    assert result.out.count("==> ") == 2
    assert len(built) == 1
    engine = built[0].engine
    assert (engine.device, engine.num_threads, engine.decoder) == ("cpu", 2, "cascade")
    assert worker.closed


def test_a_file_that_fails_does_not_stop_the_others(crosstalk, meeting_wav, tmp_path):
    broken, empty = tmp_path / "broken.wav", tmp_path / "empty.wav"
    broken.write_bytes(b"no sound" * 100)
    empty.write_bytes(b"")
    folder = tmp_path / "out"
    result = crosstalk("transcribe", broken, meeting_wav, empty, tmp_path / "missing.wav", "-o", folder)
    assert result.status == 1
    assert [path.name for path in folder.iterdir()] == ["meeting.txt"]
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert [line.split("[")[-1] for line in errors] == ["audio_unreadable]", "audio_empty]", "file_unreadable]"]
    assert all(name in line for name, line in zip(("broken.wav", "empty.wav", "missing.wav"), errors, strict=True))


@pytest.mark.parametrize(
    ("content", "code"), [(b"no sound" * 100, "audio_unreadable"), (b"", "audio_empty"), (None, "file_unreadable")]
)
def test_one_unusable_file_is_status_3_without_loading_models(crosstalk, tmp_path, built, content, code):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    result = crosstalk("transcribe", path)
    assert (result.status, result.out, built) == (3, "", [])
    assert result.err.count("\n") == 1
    assert result.err.startswith("error: ")
    assert result.err.endswith(f"[{code}]\n")


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--format", "docx"], 2, "docx"),
        (["-f", "srt", "-f", "txt"], 2, "--output"),
        (["--num-speakers", "0"], 2, "num-speakers"),
        (["--nonsense"], 2, "nonsense"),
        (["--language", "klingon"], 3, "known are af, am"),
        (["--min-speakers", "3", "--max-speakers", "2"], 3, "min_speakers"),
        (["--num-speakers", "2", "--max-speakers", "2"], 3, "num_speakers"),
    ],
)
def test_options_that_cannot_be_meant(crosstalk, meeting_wav, built, options, status, said):
    result = crosstalk("transcribe", meeting_wav, *options)
    assert (result.status, result.out, built) == (status, "", [])
    assert said in result.err
    assert "Traceback" not in result.err


def test_no_file_is_wrong_usage(crosstalk):
    assert crosstalk("transcribe").status == 2


def test_several_files_in_a_machine_format_need_a_folder(crosstalk, meeting_wav):
    result = crosstalk("transcribe", meeting_wav, meeting_wav, "-f", "json")
    assert result.status == 2
    assert "--output" in result.err


def test_two_files_that_would_overwrite_each_other_are_refused(crosstalk, meeting_wav, tmp_path, built):
    (tmp_path / "b").mkdir()
    twin = tmp_path / "b" / "meeting.mp3"
    twin.write_bytes(wav())
    result = crosstalk("transcribe", meeting_wav, twin, "-o", tmp_path / "out")
    assert (result.status, built) == (3, [])
    assert "same file" in result.err


def test_an_output_that_cannot_be_written_is_status_5(crosstalk, meeting_wav, tmp_path, built):
    (tmp_path / "taken").write_text("a file")
    result = crosstalk("transcribe", meeting_wav, "-o", tmp_path / "taken")
    assert (result.status, built) == (5, [])
    assert "[output_failed]" in result.err


def test_missing_weights_are_status_4_and_say_what_to_do(crosstalk, meeting_wav, monkeypatch, capsys):
    from app.cli.main import main

    async def build(settings):
        raise ModelUnavailable("weights 'voice' are missing; get them with `crosstalk models fetch`")

    assert main(["transcribe", str(meeting_wav)], build) == 4
    assert capsys.readouterr().err == (
        "error: weights 'voice' are missing; get them with `crosstalk models fetch` [model_unavailable]\n"
    )


def test_wrong_settings_are_status_4(crosstalk, meeting_wav, monkeypatch):
    monkeypatch.setenv("CROSSTALK_ENGINE__DEVISE", "cpu")
    result = crosstalk("transcribe", meeting_wav)
    assert result.status == 4
    assert "did you mean CROSSTALK_ENGINE__DEVICE" in result.err


def test_an_engine_that_fails_is_status_1(crosstalk, meeting_wav, worker):
    def fail(requests):
        raise EngineFailed("the decoder is broken")

    worker.decode_batch = fail
    result = crosstalk("transcribe", meeting_wav)
    assert (result.status, result.out) == (1, "")
    assert result.err.endswith("[engine_failed]\n")


def test_a_mistake_of_ours_is_one_line_unless_debugging(crosstalk, meeting_wav, monkeypatch, capsys):
    from app.cli.main import main

    async def build(settings):
        raise KeyError("surprise")

    assert main(["transcribe", str(meeting_wav)], build) == 1
    assert capsys.readouterr().err == "error: KeyError: 'surprise' (CROSSTALK_DEBUG=1 shows where) [internal_error]\n"
    monkeypatch.setenv("CROSSTALK_DEBUG", "1")
    assert main(["transcribe", str(meeting_wav)], build) == 1
    assert "Traceback" in capsys.readouterr().err


def test_channels_as_speakers(crosstalk, tmp_path):
    left = meeting([Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel")], 8.0)
    right = meeting([Line(2.0, 0, "hotel golf foxtrot echo delta charlie bravo alpha")], 8.0)
    path = tmp_path / "call.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.stack([left, right], axis=1) * 32767).astype("<i2").tobytes())
    result = crosstalk("transcribe", "--channels-as-speakers", path)
    assert result.status == 0
    assert _lines(result.out) == [
        "Channel 1: alpha bravo charlie delta echo foxtrot golf hotel",
        "Channel 2: hotel golf foxtrot echo delta charlie bravo alpha",
    ]


def test_language_and_hotwords_reach_the_decoder(crosstalk, meeting_wav, worker):
    seen = []
    decode = worker.decode_batch
    worker.decode_batch = lambda requests: (seen.extend(requests), decode(requests))[1]
    result = crosstalk("transcribe", meeting_wav, "-l", "German", "--hotword", "Ada", "--hotword", "Babbage")
    assert result.status == 0
    assert {(it.language, it.hotwords) for it in seen} == {("de", ("Ada", "Babbage"))}
