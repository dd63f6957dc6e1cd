"""`crosstalk bench accuracy` over the fake engine: the perfect answer scores perfectly, and reports are written."""

from __future__ import annotations

import json

import pytest

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
