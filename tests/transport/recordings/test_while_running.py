"""What a recording answers before it is done: waiting, half-way, stopped, followed."""

from __future__ import annotations

import json

import pytest

from tests.engine.fake_worker import Line, meeting
from tests.transport.recordings.calls import code, submit, wait_for
from tests.transport.server import wait_until, wav

LINES = [Line(3.0 + 10 * i, 3 * (i % 2), "alpha bravo charlie delta echo foxtrot") for i in range(12)]


@pytest.fixture(scope="module")
def long():
    """Two minutes: several windows for the decoder."""
    return wav(meeting(LINES, 124.0))


def stream_of(lines):
    """(id, event, data) of each event as it comes."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "data" in found:
            yield int(found["id"]), found["event"], json.loads(found["data"])
            found = {}


def occupy(held) -> str:
    """Take all of the worker's places; the path of the last recording that runs."""
    paths = [submit(held.http, name=f"busy{i}.wav").headers["location"] for i in range(2)]
    for path in paths:
        wait_for(held.http, path, "running")
    return paths[-1]


def test_a_queued_recording_has_no_transcript_and_is_cancelled_at_once(held):
    http = held.http
    occupy(held)
    made = submit(http)
    path = made.headers["location"]
    assert (made.json()["state"], made.json()["position"]) == ("queued", 1)
    assert code(http.get(f"{path}/transcript")) == (409, "job_state_conflict")
    assert code(http.post(f"{path}/retry")) == (409, "job_state_conflict")
    cancelled = http.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert http.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert code(http.get(f"{path}/transcript")) == (409, "job_state_conflict")
    assert [event for _, event, _ in stream_of(http.get(f"{path}/events").text.split("\n"))] == ["state", "state"]


def test_a_running_recording_is_cancelled_and_tried_again(held):
    http = held.http
    path = submit(http).headers["location"]
    wait_for(http, path, "running")
    assert code(http.post(f"{path}/retry")) == (409, "job_state_conflict")
    assert http.post(f"{path}/cancel").status_code == 202
    wait_for(http, path, "cancelled")
    assert code(http.get(f"{path}/transcript")) == (409, "job_state_conflict")
    again = http.post(f"{path}/retry")
    assert (again.status_code, again.json()["cancel_requested"]) == (202, False)
    held.engine.release()
    wait_for(http, path, "succeeded")


def test_a_running_recording_is_deleted_with_everything(held):
    http = held.http
    path = submit(http).headers["location"]
    wait_for(http, path, "running")
    assert http.delete(path).status_code == 204
    for way in (path, f"{path}/transcript", f"{path}/events", f"{path}/audio", f"{path}/deliveries"):
        assert code(http.get(way)) == (404, "job_not_found")
    for call in ("cancel", "retry"):
        assert code(http.post(f"{path}/{call}")) == (404, "job_not_found")


def test_the_transcript_so_far_and_events_that_go_on(held, long):
    http = held.http
    path = submit(http, data=long).headers["location"]
    wait_for(http, path, "running")

    def partial():
        return http.get(f"{path}/transcript").json()["segments"]

    held.engine.hold(but_for_s=60)
    wait_until(partial, 60)
    assert http.get(path).json()["state"] == "running"
    answer = http.get(f"{path}/transcript")
    assert answer.headers["x-crosstalk-partial"] == "true"
    first = answer.json()["segments"][0]
    assert set(first) == {"id", "speaker", "start_s", "end_s", "text"}
    text = http.get(f"{path}/transcript?format=txt")
    assert text.text.startswith(f"Speaker {first['speaker'] + 1}: {first['text']}\n")
    assert code(http.get(f"{path}/transcript?format=srt")) == (409, "job_state_conflict")
    assert 0 < http.get(path).json()["progress"]["decoded_s"] < 124

    seen = []
    with http.stream("GET", f"{path}/events") as live:
        assert live.headers["content-type"].startswith("text/event-stream")
        events = stream_of(live.iter_lines())
        while not seen or seen[-1][1] != "segment":
            seen.append(next(events))
    assert [data["state"] for _, event, data in seen if event == "state"] == ["queued", "running"]
    last = seen[-1][0]
    with http.stream("GET", f"{path}/events", headers={"Last-Event-ID": str(last)}) as live:
        held.engine.release()
        rest = list(stream_of(live.iter_lines()))
    assert [number for number, _, _ in rest] == sorted({number for number, _, _ in rest})
    assert rest[0][0] > last
    assert (rest[-1][1], rest[-1][2]["state"]) == ("state", "succeeded")
    wait_for(http, path, "succeeded")
    whole = [data["id"] for _, event, data in seen + rest if event == "segment"]
    ids = [it["id"] for it in http.get(f"{path}/transcript").json()["segments"]]
    assert whole == ids[: len(whole)]


def test_a_follower_of_a_recording_that_is_deleted_is_let_go(held):
    http = held.http
    path = submit(http).headers["location"]
    wait_for(http, path, "running")
    with http.stream("GET", f"{path}/events") as live:
        lines = live.iter_lines()
        next(lines)
        assert held.http.delete(path).status_code == 204
        assert all(line == "" or line.startswith((":", "id:", "event:", "data:")) for line in lines)


def test_a_failed_recording_tells_why_and_has_no_transcript(held):
    http = held.http
    voice = {"name": "Maya", "recording": finished_first(held), "speaker": 0}
    speaker = http.post("/v1/speakers", json=voice).json()["id"]
    held.engine.hold()
    occupy(held)
    path = submit(http, known_speakers=speaker).headers["location"]
    assert http.delete(f"/v1/speakers/{speaker}").status_code == 204
    held.engine.release()
    wait_for(http, path, "failed")
    failure = http.get(path).json()["failure"]
    assert failure["code"] == "speaker_not_found"
    assert code(http.get(f"{path}/transcript")) == (409, "job_state_conflict")
    assert code(http.post(f"{path}/cancel")) == (409, "job_state_conflict")
    assert code(http.patch(f"{path}/transcript", json={"speakers": {"0": "A"}}, headers={"If-Match": "*"}))[0] == 409


def finished_first(held) -> str:
    """The id of a recording that has succeeded."""
    held.engine.release()
    path = submit(held.http).headers["location"]
    wait_for(held.http, path, "succeeded")
    wait_until(lambda: held.http.get(path).json()["revision"] == 1)
    return path.rsplit("/", 1)[1]
