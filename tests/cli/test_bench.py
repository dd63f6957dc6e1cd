"""`crosstalk bench accuracy` over the fake engine: the perfect answer scores perfectly, and reports are written."""

from __future__ import annotations

import json

import pytest

from tests.bench.test_scale import CONSTANTS
from tests.transport.server import SCRIPT, wav


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "meeting.wav").write_bytes(wav())
    words = [
        {
            "session_id": "meeting",
            "speaker": f"voice{line.voice}",
            "start_time": line.start_s,
            "end_time": line.end_s,
            "words": line.text,
        }
        for line in SCRIPT
    ]
    (folder / "meeting.seglst.json").write_text(json.dumps(words))
    return folder


def test_report_goes_to_stdout_and_files(crosstalk, corpus, tmp_path):
    result = crosstalk(
        "bench", "accuracy", "--data", corpus, "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md"
    )
    assert result.status == 0, result.err
    assert result.out.startswith("# Accuracy")
    assert (tmp_path / "r.md").read_text() == result.out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["overall"]["rates"]["cp_wer"] == 0
    assert report["settings"]["decoder"] == "fake"
    assert report["baselines"] == []


def test_a_folder_without_meetings_is_status_3_before_models_load(crosstalk, tmp_path, built):
    result = crosstalk("bench", "accuracy", "--data", tmp_path / "nowhere")
    assert (result.status, built) == (3, [])
    assert "[corpus_invalid]" in result.err


def test_scale_tells_what_meetings_need(crosstalk, tmp_path):
    path = tmp_path / "constants.toml"
    path.write_text(CONSTANTS)
    call = ["bench", "scale", "--constants", path, "--meetings", 7]
    told = crosstalk(*call)
    assert told.status == 0, told.err
    assert "| store | 200 | another |" in told.out
    assert "\n| 7 | 1 |" in told.out
    assert crosstalk(*call, "--device-seconds", "decode=0.001").out != told.out
    for wrong in ("decode", "decode=0", "decode=nan", "sing=1"):
        refused = crosstalk(*call, "--device-seconds", wrong)
        assert (refused.status, refused.out) == (3, ""), refused.err
    assert crosstalk("bench", "scale", "--constants", tmp_path / "no.toml").status == 3
