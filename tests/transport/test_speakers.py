"""Known speakers from samples over HTTP, against a real server with the fake engine."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.engine.fake_worker import Line, meeting
from tests.transport.recordings.calls import code, finished
from tests.transport.server import wav

SPEECH = wav(meeting([Line(0.3, 3, "alpha bravo charlie delta echo foxtrot golf hotel alpha bravo")], 6.0))


@pytest.fixture
def http(url):
    with httpx2.Client(base_url=url, timeout=60) as it:
        yield it


def add(http, data=SPEECH, **fields):
    return http.post("/v1/speakers", data=fields or {"name": "Maya"}, files={"file": ("maya.wav", data)})


def test_a_sample_names_its_person_in_a_recording(http):
    made = add(http, name="  Maya   L. ")
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["name"], body["recording"], set(body)) == ("Maya L.", None, {"id", "name", "created_at", "recording"})
    assert made.headers["location"] == f"/v1/speakers/{body['id']}"
    path = finished(http, known_speakers=body["id"])
    names = [it["name"] for it in json.loads(http.get(f"{path}/transcript").text)["speakers"]]
    assert names[1] == "Maya L."
    assert "Maya L." not in names[:1]
    assert http.delete(made.headers["location"]).status_code == 204


@pytest.mark.parametrize(
    ("data", "fields", "status", "found", "param"),
    [
        (wav(meeting([], 3.0)), {"name": "A"}, 400, "sample_no_speech", "file"),
        (wav(meeting([Line(0.3, 3, "alpha bravo")], 3.0)), {"name": "A"}, 400, "sample_too_short", "file"),
        (wav(), {"name": "A"}, 400, "sample_several_voices", "file"),
        (b"no sound", {"name": "A"}, 400, "audio_unreadable", "file"),
        (SPEECH, {"name": " "}, 400, "option_invalid", "name"),
        (SPEECH, {"name": "a\x00"}, 422, "option_invalid", "name"),
        (SPEECH, {"name": "a" * 201}, 422, "option_invalid", "name"),
        (SPEECH, {"nam": "A"}, 422, "option_invalid", "name"),
        (SPEECH, {"name": "A", "speaker": "1"}, 422, "option_invalid", "speaker"),
        (SPEECH, {"name": ["A", "B"]}, 400, "option_invalid", "name"),
    ],
)
def test_samples_that_are_refused(http, data, fields, status, found, param):
    refused = add(http, data, **fields)
    assert (*code(refused), refused.json()["error"]["param"]) == (status, found, param)
    assert http.get("/v1/speakers").json()["data"] == []


def test_bodies_that_are_neither(http):
    assert code(http.post("/v1/speakers", files={"name": (None, "A")})) == (400, "option_invalid")
    assert code(http.post("/v1/speakers", content=b"x", headers={"Content-Type": "audio/wav"})) == (
        415,
        "unsupported_media_type",
    )
    assert http.post("/v1/speakers").status_code == 415
    plain = {"Content-Type": "application/json"}
    assert code(http.post("/v1/speakers", content=b"{", headers=plain)) == (422, "option_invalid")
    assert code(http.post("/v1/speakers", json={"name": "A"})) == (422, "option_invalid")
    assert code(http.post("/v1/speakers", content=b" " * (4 * 1024**2 + 1), headers=plain)) == (413, "upload_too_large")
