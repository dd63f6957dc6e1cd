"""app/transport/openai_api.py against OpenAI's own client, over a real socket and the fake engine."""

from __future__ import annotations

import json

import httpx2
import numpy as np
import openai
import pysubs2
import pytest
import webvtt

from app.transport.openai_api import IGNORED_HEADER
from tests.engine.fake_worker import Line, meeting
from tests.transport.server import DURATION_S, SCRIPT, TEXT, wav

LINES = [line.text for line in SCRIPT]
MODEL = "gpt-4o-transcribe-diarize"
FILE = ("meeting.wav", wav(), "audio/wav")
SILENCE = ("silence.wav", wav(np.zeros(32_000, dtype=np.float32)), "audio/wav")


def _create(client, **fields):
    return client.audio.transcriptions.create(**({"model": MODEL, "file": FILE} | fields))


def _post(url, fields=(), file=FILE, **options):
    files = [("file", file)] if file else []
    parts = [*files, *((name, (None, value)) for name, value in fields)]
    return httpx2.post(f"{url}/v1/audio/transcriptions", files=parts, timeout=30, **options)


def test_json_is_the_default(openai_client):
    answer = _create(openai_client)
    assert answer.text == TEXT
    assert answer.usage.seconds == DURATION_S


@pytest.mark.parametrize("model", ["whisper-1", "crosstalk", "crosstalk-fake", "gpt-4o-transcribe"])
def test_accepted_model_names(openai_client, model):
    assert _create(openai_client, model=model).text == TEXT


def test_text(openai_client):
    assert _create(openai_client, response_format="text") == TEXT + "\n"


def test_srt_can_be_read(openai_client):
    cues = pysubs2.SSAFile.from_string(_create(openai_client, response_format="srt"))
    assert {cue.plaintext.split(":")[0] for cue in cues} == {"Speaker 1", "Speaker 2"}
    assert cues[0].start == pytest.approx(500, abs=60)


def test_vtt_can_be_read(openai_client):
    captions = webvtt.from_string(_create(openai_client, response_format="vtt"))
    assert [caption.voice for caption in captions] == ["Speaker 1", "Speaker 2", "Speaker 1"]


def test_verbose_json_has_segments_unless_words_are_asked_for(openai_client):
    answer = _create(openai_client, response_format="verbose_json", language="en")
    assert (answer.text, answer.language, answer.duration) == (TEXT, "english", DURATION_S)
    assert answer.words is None
    assert answer.segments[0].start == pytest.approx(0.5, abs=0.06)
    words = _create(openai_client, response_format="verbose_json", timestamp_granularities=["word"])
    assert words.segments is None
    assert " ".join(word.word for word in words.words) == TEXT
    both = _create(openai_client, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words
    assert both.segments


def test_diarized_json(openai_client):
    answer = _create(openai_client, response_format="diarized_json", chunking_strategy="auto")
    assert [(it.speaker, it.text) for it in answer.segments] == list(zip("ABA", LINES, strict=True))
    assert answer.segments[0].end > answer.segments[1].start, "people talked over each other"
    assert answer.text.startswith(f"A: {LINES[0]}\nB: {LINES[1]}\n")


def test_our_own_json_and_scoring_formats(url):
    rich = _post(url, [("response_format", "crosstalk_json")]).json()
    assert [speaker["name"] for speaker in rich["speakers"]] == ["Speaker 1", "Speaker 2"]
    rttm = _post(url, [("response_format", "rttm")])
    assert rttm.headers["content-type"] == "text/plain; charset=utf-8"
    assert rttm.text.startswith("SPEAKER ")


def test_every_field_of_the_official_client_is_accepted(openai_client):
    raw = openai_client.audio.transcriptions.with_raw_response.create(
        model="whisper-1",
        file=FILE,
        chunking_strategy={"type": "server_vad", "prefix_padding_ms": 100, "threshold": 0.4},
        include=["logprobs"],
        keywords=["Ada"],
        language="en",
        languages=["en", "de"],
        prompt="Ada Lovelace, Charles Babbage",
        temperature=0.2,
        timestamp_granularities=["segment"],
        extra_body={"num_speakers": 2, "hotwords": ["engine"], "vad_filter": "true"},
    )
    assert raw.parse().text == TEXT
    assert raw.headers[IGNORED_HEADER].split(", ") == ["vad_filter", "temperature", "include[]", "languages[]"]


def test_number_of_speakers_is_obeyed(openai_client):
    words = "alpha bravo charlie delta echo foxtrot golf hotel"
    apart = ("apart.wav", wav(meeting([Line(0.5, 0, words), Line(12.0, 3, words)], 16.0)), "audio/wav")
    free = _create(openai_client, file=apart, response_format="diarized_json")
    assert {it.speaker for it in free.segments} == {"A", "B"}
    one = _create(openai_client, file=apart, response_format="diarized_json", extra_body={"num_speakers": 1})
    assert {it.speaker for it in one.segments} == {"A"}


def test_stream_of_deltas(openai_client):
    events = list(_create(openai_client, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * 3 + ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == TEXT


def test_stream_with_speakers(openai_client):
    events = list(_create(openai_client, stream=True, response_format="diarized_json"))
    segments = [event for event in events if event.type == "transcript.text.segment"]
    deltas = [event for event in events if event.type == "transcript.text.delta"]
    whole = _create(openai_client, response_format="diarized_json")
    assert [(it.id, it.start, it.end, it.text, it.speaker) for it in segments] == [
        (it.id, it.start, it.end, it.text, it.speaker) for it in whole.segments
    ]
    assert [delta.segment_id for delta in deltas] == [segment.id for segment in segments]
    assert events[-1].type == "transcript.text.done"


def test_stream_has_only_data_lines_and_is_not_to_be_buffered(url):
    answer = _post(url, [("stream", "true")])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    lines = [line for line in answer.text.splitlines() if line and not line.startswith(":")]
    assert all(json.loads(line.removeprefix("data: ")) for line in lines)


def test_silence_is_an_empty_transcript(openai_client):
    assert _create(openai_client, file=SILENCE).text == ""
    assert [event.type for event in _create(openai_client, file=SILENCE, stream=True)] == ["transcript.text.done"]
    assert _create(openai_client, file=SILENCE, response_format="diarized_json").segments == []


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "gpt-5"}, 404, "model_not_found", "model"),
        ({"response_format": "docx"}, 400, "option_invalid", "response_format"),
        ({"language": "klingon"}, 400, "option_invalid", "language"),
        ({"temperature": 7}, 400, "option_invalid", "temperature"),
        ({"timestamp_granularities": ["syllable"]}, 400, "option_invalid", "timestamp_granularities"),
        ({"chunking_strategy": {"type": "telepathy"}}, 400, "option_invalid", "chunking_strategy"),
        ({"stream": True, "response_format": "srt"}, 400, "option_invalid", "stream"),
        ({"extra_body": {"num_speakers": 0}}, 400, "option_invalid", "num_speakers"),
        ({"extra_body": {"num_speakers": "two"}}, 400, "option_invalid", "num_speakers"),
        ({"extra_body": {"min_speakers": 3, "max_speakers": 2}}, 400, "option_invalid", "min_speakers"),
        ({"known_speaker_names": ["Ada"]}, 400, "option_invalid", "known_speaker_names"),
        ({"file": ("a.wav", b"", "audio/wav")}, 400, "audio_empty", "file"),
        ({"file": ("a.wav", b"this is no sound" * 99, "audio/wav")}, 400, "audio_unreadable", "file"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_a_status_a_code_and_name_the_field(openai_client, fields, status, code, param, stream):
    fields = {"stream": stream} | fields
    with pytest.raises(openai.APIStatusError) as caught:
        _create(openai_client, **fields)
    error = caught.value
    assert (error.status_code, error.code, error.param) == (status, code, param)
    assert error.body["message"]
    assert error.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("stream", "perhaps")], "stream"),
        ([("language", "en"), ("language", "de")], "given twice"),
        ([("chunking_strategy", "{broken")], "JSON"),
        ([("chunking_strategy", "auto"), ("chunking_strategy[type]", "server_vad")], "two forms"),
    ],
)
def test_odd_fields_are_refused(url, fields, message):
    answer = _post(url, fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        [("language", ""), ("prompt", "")],
        [("timestamp_granularities", "word"), ("response_format", "json")],
        [("chunking_strategy", '{"type": "server_vad"}')],
        [("language", "en"), ("language", "en")],
        [("stream", "False")],
    ],
)
def test_ways_in_which_clients_differ(url, fields):
    answer = _post(url, fields)
    assert answer.json()["text"] == TEXT


def test_ignored_names_cannot_break_the_header(url):
    answer = _post(url, [("bad\r\nname: x é", "1"), *((f"field{n}", "1") for n in range(50))])
    assert answer.status_code == 200
    assert len(answer.headers[IGNORED_HEADER].split(", ")) == 20


def test_file_without_a_name_and_missing_file(url):
    assert _post(url, file=(None, wav())).json()["text"] == TEXT
    missing = _post(url, [("model", "whisper-1")], file=None)
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "file")


def test_errors_outside_the_endpoint_have_the_same_body(url):
    with httpx2.Client(base_url=url) as http:
        for answer, status, code in (
            (http.get("/nowhere"), 404, "not_found"),
            (http.get("/v1/audio/transcriptions"), 405, "method_not_allowed"),
            (http.post("/v1/audio/transcriptions", json={"file": "x"}), 415, "unsupported_media_type"),
            (http.post("/v1/audio/transcriptions"), 415, "unsupported_media_type"),
        ):
            assert answer.status_code == status
            assert answer.json()["error"]["code"] == code


def test_models(openai_client):
    names = [model.id for model in openai_client.models.list()]
    assert names[:2] == ["crosstalk-fake", "crosstalk"]
    assert "whisper-1" in names
    assert openai_client.models.retrieve("crosstalk").owned_by == "crosstalk"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("gpt-5")


def test_documentation_shows_fields_answers_and_errors(url):
    with httpx2.Client(base_url=url) as http:
        assert http.get("/docs").status_code == 200
        document = http.get("/openapi.json").json()
    operation = document["paths"]["/v1/audio/transcriptions"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"file", "hotwords[]", "num_speakers", "chunking_strategy"} <= set(form["properties"])
    assert {"200", "400", "404", "413", "503", "507"} <= set(operation["responses"])
    assert {"application/json", "text/event-stream", "text/vtt"} <= set(operation["responses"]["200"]["content"])
    for status, answer in operation["responses"].items():
        if status != "200":
            assert answer["content"]["application/json"]["example"]["error"]["code"]
    references = set()
    json.dumps(document, default=str)
    _collect(document, references)
    assert all(name.removeprefix("#/components/schemas/") in document["components"]["schemas"] for name in references)


def _collect(node, found):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            found.add(node["$ref"])
        for value in node.values():
            _collect(value, found)
    elif isinstance(node, list):
        for value in node:
            _collect(value, found)
