"""`crosstalk serve` as a process with the real models: OpenAI's client transcribes pyannote's sample conversation.

The sample is 30 s of a telephone call between two women; sample.stm beside it holds their words. The models hear it
once, for the first request.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pysubs2
import pytest
import webvtt

from tests.transport.server import client

pytestmark = pytest.mark.weights

ROOT = Path(__file__).parents[2]
SAMPLE = Path(importlib.util.find_spec("pyannote.audio").origin).parent / "sample" / "sample.wav"
SAID = ("hello", "new jersey", "texas", "chicago", "yankee")


@pytest.fixture(scope="module")
def real_client(tmp_path_factory):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTALK_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.transport.real_crosstalk", "serve", "--port", "0", "--device", "cpu"],
        cwd=ROOT,
        env=kept | {"CROSSTALK_DATA_DIR": str(tmp_path_factory.mktemp("data"))},
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = []
    try:
        for line in process.stderr:
            seen.append(line)
            if found := re.search(r"listening on (http://\S+?),", line):
                with client(found[1]) as it:
                    yield it.with_options(timeout=280)
                break
        else:
            pytest.fail("the server did not start: " + "".join(seen))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _transcribe(real_client, **fields):
    with SAMPLE.open("rb") as file:
        answer = real_client.audio.transcriptions.create(model="gpt-4o-transcribe-diarize", file=file, **fields)
        return list(answer) if fields.get("stream") else answer


def _assert_said(text):
    plain = " ".join(re.findall(r"[a-z]+", text.lower()))
    missing = [words for words in SAID if words not in plain]
    assert len(missing) <= 1, f"{missing} are not in {plain!r}"


@pytest.mark.parametrize("name", ["json", "text", "srt", "vtt", "verbose_json"])
def test_every_format_holds_what_was_said(real_client, name):
    answer = _transcribe(real_client, response_format=name)
    if name == "srt":
        answer = " ".join(cue.plaintext for cue in pysubs2.SSAFile.from_string(answer))
        assert "Speaker 2:" in answer
    elif name == "vtt":
        captions = webvtt.from_string(answer)
        assert {caption.voice for caption in captions} == {"Speaker 1", "Speaker 2"}
        answer = " ".join(caption.text for caption in captions)
    elif name == "verbose_json":
        assert answer.language == "english"
        assert answer.duration == pytest.approx(30, abs=0.1)
        assert all(0 <= it.start < it.end <= 30.1 for it in answer.segments)
    _assert_said(answer if isinstance(answer, str) else answer.text)


def test_diarized_json_tells_the_two_apart(real_client):
    segments = _transcribe(real_client, response_format="diarized_json").segments
    assert {it.speaker for it in segments} == {"A", "B"}
    by_speaker = {name: " ".join(it.text for it in segments if it.speaker == name) for name in "AB"}
    _assert_said(" ".join(by_speaker.values()))
    diane = next(name for name, text in by_speaker.items() if "Diane" in text or "Diana" in text)
    assert "Yankee" in by_speaker["B" if diane == "A" else "A"]


def test_a_stream_gives_the_segments_of_the_whole(real_client):
    events = _transcribe(real_client, response_format="diarized_json", stream=True)
    segments = [event for event in events if event.type == "transcript.text.segment"]
    whole = _transcribe(real_client, response_format="diarized_json")
    assert [(it.speaker, it.text) for it in segments] == [(it.speaker, it.text) for it in whole.segments]
    assert events[-1].type == "transcript.text.done"
    _assert_said(events[-1].text)
