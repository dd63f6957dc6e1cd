"""Recordings over HTTP against a real server with the fake engine."""

from __future__ import annotations

import io
import json

import pytest
from docx import Document

from tests.transport.recordings.calls import code, finished, submit
from tests.transport.server import TEXT, wav


def test_from_upload_to_every_format_and_gone(http):
    path = finished(http)
    assert json.loads(http.get(f"{path}/transcript").text)["schema_version"] == 1
    for name in ("txt", "srt", "vtt", "rttm", "ctm", "seglst", "verbose_json", "diarized_json"):
        assert http.get(f"{path}/transcript", params={"format": name}).status_code == 200
    document = Document(io.BytesIO(http.get(f"{path}/transcript?format=docx").content))
    assert TEXT.split()[0] in " ".join(it.text for it in document.paragraphs)
    assert code(http.get(f"{path}/transcript?format=pdf")) == (400, "option_invalid")
    assert http.delete(path).status_code == 204
    for gone in (path, f"{path}/transcript", f"{path}/audio", f"{path}/events", f"{path}/revisions"):
        assert code(http.get(gone)) == (404, "job_not_found")


def test_the_sound_is_given_whole_and_in_ranges(http):
    path, data = finished(http), wav()
    assert http.get(f"{path}/audio").content == data
    part = http.get(f"{path}/audio", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    assert http.get(f"{path}/audio", headers={"Range": "bytes=-5"}).content == data[-5:]
    assert http.get(f"{path}/audio", headers={"Range": "bytes=999999999-"}).status_code == 416


def test_events_go_on_where_a_client_left(http):
    path = finished(http)
    blocks = http.get(f"{path}/events").text.split("\n\n")
    ids = [int(it.split("\n")[0].removeprefix("id: ")) for it in blocks if it.startswith("id:")]
    assert ids == sorted(set(ids))
    assert any('"succeeded"' in it for it in blocks)
    rest = http.get(f"{path}/events", headers={"Last-Event-ID": str(ids[0])}).text
    assert f"id: {ids[0]}\n" not in rest
    assert f"id: {ids[-1]}\n" in rest
    assert code(http.get(f"{path}/events", headers={"Last-Event-ID": "x"})) == (400, "option_invalid")


def test_an_edit_keeps_the_revision_before_and_the_slower_of_two_is_told(http):
    path = finished(http)
    seen = http.get(path).headers["etag"]
    edit = {"speakers": {"0": "Maya"}}
    assert code(http.patch(f"{path}/transcript", json=edit)) == (428, "if_match_required")
    done = http.patch(f"{path}/transcript", json=edit, headers={"If-Match": seen})
    assert done.status_code == 200, done.text
    assert "Maya" in http.get(f"{path}/transcript?format=txt").text
    assert "Maya" not in http.get(f"{path}/transcript?format=txt&revision=1").text
    assert code(http.patch(f"{path}/transcript", json=edit, headers={"If-Match": seen})) == (412, "revision_conflict")
    old, new = (http.get(f"{path}/transcript{which}").headers["etag"] for which in ("?revision=1", ""))
    assert (old, new) == (seen, done.headers["etag"]), "an edit of an old text must not pass for one of the newest"
    assert [it["revision"] for it in http.get(f"{path}/revisions").json()["data"]] == [1, 2]


def test_one_key_gives_one_recording(http):
    key = {"Idempotency-Key": "k1"}
    first, again = submit(http, headers=key), submit(http, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert code(submit(http, headers=key, language="de")) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    "fields", [{"webhok": "x"}, {"priority": "10"}, {"priority": "x"}, {"num_speakers": "0"}, {"language": "zz"}]
)
def test_options_that_make_no_sense_are_refused(http, fields):
    assert code(submit(http, **fields)) == (400, "option_invalid")


def test_file_names_are_only_names(http):
    made = submit(http, name="../../etc/pass\\wd.wav")
    assert made.json()["file_name"] == "wd.wav"
    assert code(submit(http, name="a" * 1_000)) == (400, "option_invalid")
    assert code(submit(http, name="a" * 10_000)) == (400, "body_malformed")  # longer than a part's header may be


def test_what_is_no_sound_or_no_form_is_refused(http):
    assert code(submit(http, data=b"no sound")) == (400, "audio_unreadable")
    assert code(http.post("/v1/recordings", json={})) == (415, "unsupported_media_type")


def test_a_recording_that_is_over_cannot_be_cancelled_or_retried(http):
    path = finished(http)
    assert code(http.post(f"{path}/cancel")) == (409, "job_state_conflict")
    assert code(http.post(f"{path}/retry")) == (409, "job_state_conflict")


def test_the_list_goes_on_by_its_cursor(http):
    made = [submit(http, name=f"page{i}.wav").json()["id"] for i in range(3)]
    first = http.get("/v1/recordings", params={"limit": 2, "name": "page"}).json()
    rest = http.get("/v1/recordings", params={"limit": 2, "name": "page", "cursor": first["next_cursor"]}).json()
    assert [it["id"] for it in first["data"] + rest["data"]] == made[::-1]
    assert code(http.get("/v1/recordings?cursor=x")) == (400, "option_invalid")


def test_a_voice_is_learnt_used_and_forgotten(http):
    path = finished(http)
    body = {"name": "Maya", "recording": path.rsplit("/", 1)[1], "speaker": 0}
    made = http.post("/v1/speakers", json=body)
    assert made.status_code == 201, made.text
    assert set(made.json()) == {"id", "name", "created_at", "recording"}
    other = finished(http, known_speakers=made.json()["id"])
    assert "Maya" in http.get(f"{other}/transcript?format=txt").text
    assert http.delete(f"/v1/speakers/{made.json()['id']}").status_code == 204
    assert code(submit(http, known_speakers=made.json()["id"])) == (404, "speaker_not_found")
