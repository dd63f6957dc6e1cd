"""The client of recordings against a real server with the fake engine, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.client.recording_errors import AnswerInvalid, ServerError, ServerUnreachable, WaitTimeout, error_of
from app.client.recording_types import RetryRules, UploadOptions
from app.client.recording_wire import parse_events
from app.client.recordings import RecordingsClient
from app.errors import (
    AudioUnreadable,
    FileUnreadable,
    IdempotencyConflict,
    JobNotFound,
    JobStateInvalid,
    OptionInvalid,
    QueueFull,
    QueueShareFull,
    RevisionConflict,
    SpeakerNotFound,
)
from tests.engine.fake_worker import fake_engine
from tests.transport.server import SCRIPT, serving, settings, wav

QUICK = RetryRules(attempts=4, first_s=0.01, most_s=0.02)
RECORDING = {
    "id": "rec_1",
    "state": "succeeded",
    "file_name": "a.wav",
    "media_type": "audio/wav",
    "size_bytes": 3,
    "has_audio": True,
    "created_at": 1.0,
    "updated_at": 1.0,
    "started_at": None,
    "finished_at": None,
    "priority": 5,
    "position": None,
    "cancel_requested": False,
    "language": None,
    "warnings": [],
    "failure": None,
    "revision": 1,
    "progress": {"stage": "done", "diarized_s": 1, "decoded_s": 1, "total_s": 1, "speed": None, "left_s": None},
    "not_known_yet": 1,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    engine = fake_engine()
    with serving(engine, settings(tmp_path_factory.mktemp("server"), {"heartbeat_s": 0.2})) as base:
        yield base
    asyncio.run(engine.aclose())


@pytest.fixture
def client(url):
    with RecordingsClient(url, QUICK) as it:
        yield it


@pytest.fixture
def meeting_wav(tmp_path):
    path = tmp_path / "meeting.wav"
    path.write_bytes(wav())
    return path


@contextmanager
def scripted(*answers):
    """A server that gives one answer after the other, (status, body, media type, *headers) or None to hang up.

    Yields a client and what came. The last answer is given again and again.
    """
    seen, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.path, dict(self.headers), body))
            it = left.pop(0) if len(left) > 1 else left[0]
            if it is None:
                return
            status, text, kind, *more = it
            self.send_response(status)
            self.send_header("Content-Type", kind)
            for name, value in more:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *arguments):
            """Not to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with RecordingsClient(f"http://127.0.0.1:{server.server_port}", QUICK) as it:
            yield it, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(data, status=200):
    return status, json.dumps(data), "application/json"


def problem(status, code):
    return answer({"error": {"message": "it is so", "type": "x", "param": None, "code": code}}, status)


def stream(*events):
    return 200, "".join(f"id: {number}\nevent: {kind}\ndata: {{}}\n\n" for number, kind in events), "text/event-stream"


def test_from_upload_to_deletion(client, meeting_wav):
    sent, seen = [], []
    options = UploadOptions(language="en", hotwords=("alpha", "bravo"), priority=7, channels_as_speakers=False)
    made = client.submit(meeting_wav, options, on_sent=lambda done, total: sent.append((done, total)))
    size = meeting_wav.stat().st_size
    assert (made.file_name, made.size_bytes, made.priority, made.over) == ("meeting.wav", size, 7, False)
    assert sent[-1] == (size, size)
    assert [it for it, _ in sent] == sorted(it for it, _ in sent)
    assert len(sent) > 2, "it is sent in pieces"
    done = client.wait(made.id, seen.append, timeout_s=120)
    assert (done.state, done.revision, done.failure) == ("succeeded", 1, None)
    assert [it.id for it in seen] == sorted({it.id for it in seen})
    assert {it.kind for it in seen} >= {"state", "segment"}
    text = client.transcript(made.id, "txt").content.decode()
    assert all(line.text in text for line in SCRIPT)
    assert json.loads(client.transcript(made.id).content)["schema_version"] == 1
    assert b"".join(client.audio(made.id)) == meeting_wav.read_bytes()
    assert made.id in {it.id for it in client.list(states=["succeeded"], name="meeting")}
    assert client.deliveries(made.id) == ()
    client.delete(made.id)
    for gone in (client.get, client.wait, client.transcript, client.revisions, lambda it: list(client.audio(it))):
        with pytest.raises(JobNotFound):
            gone(made.id)


def test_edits_and_voices(client, meeting_wav):
    done = client.wait(client.submit(meeting_wav).id, timeout_s=120)
    edited = json.loads(client.edit(done, speakers={0: "Maya"}, note="a name").content)
    assert edited["speakers"][0]["name"] == "Maya"
    with pytest.raises(RevisionConflict):
        client.edit(done, speakers={0: "Ann"})
    assert [(it.revision, it.note) for it in client.revisions(done.id)][-1] == (2, "a name")
    assert b"Maya" not in client.transcript(done.id, "txt", revision=1).content
    known = client.learn_speaker("Maya", done.id, 0)
    assert known in list(client.known_speakers())
    client.forget_speaker(known.id)
    with pytest.raises(SpeakerNotFound):
        client.forget_speaker(known.id)
    with pytest.raises(JobStateInvalid):
        client.cancel(done.id)
    with pytest.raises(JobStateInvalid):
        client.retry(done.id)


def test_what_is_refused_has_the_servers_code(client, meeting_wav, tmp_path):
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound")
    with pytest.raises(AudioUnreadable):
        client.submit(noise)
    with pytest.raises(OptionInvalid) as refused:
        client.submit(meeting_wav, UploadOptions(language="zz"))
    assert refused.value.param == "language"
    with pytest.raises(FileUnreadable):
        client.submit(tmp_path / "missing.wav")
    with pytest.raises(FileUnreadable):
        client.submit(tmp_path)
    for odd in ("", "..", "../speakers", "rec_x/events", "?", "%00"):
        with pytest.raises(JobNotFound):
            client.get(odd)


def test_one_key_makes_one_recording(client, meeting_wav):
    first = client.submit(meeting_wav, key="the-key")
    assert client.submit(meeting_wav, key="the-key").id == first.id
    assert client.submit(meeting_wav).id != first.id
    with pytest.raises(IdempotencyConflict):
        client.submit(meeting_wav, UploadOptions(language="de"), key="the-key")


def test_the_list_is_asked_for_page_by_page():
    pages = [answer({"data": [RECORDING], "next_cursor": "c"}), answer({"data": [RECORDING], "next_cursor": None})]
    with scripted(*pages) as (client, seen):
        assert [it.id for it in client.list(created_after=1.5)] == ["rec_1", "rec_1"]
    assert "cursor" not in seen[0][1]
    assert "created_after=1.5" in seen[1][1]
    assert "cursor=c" in seen[1][1]


def test_an_upload_that_is_tried_again_is_whole_and_has_the_same_key(meeting_wav):
    with scripted(None, problem(503, "overloaded"), answer(RECORDING, 202)) as (client, seen):
        assert client.submit(meeting_wav, UploadOptions(language="en")).id == "rec_1"
    assert len(seen) == 3
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in seen}) == 1
    assert all(meeting_wav.read_bytes() in body for *_, body in seen)


def test_trying_has_an_end_and_edits_are_not_sent_twice():
    with scripted(None) as (client, seen):
        with pytest.raises(ServerUnreachable):
            client.get("rec_1")
        assert len(seen) == QUICK.attempts
        with pytest.raises(ServerUnreachable):
            client.retry("rec_1")
        assert len(seen) == QUICK.attempts + 1


def test_what_may_have_been_done_is_not_asked_for_twice():
    with scripted(problem(503, "overloaded"), problem(504, "timeout")) as (client, seen):
        with pytest.raises(ServerError):
            client.learn_speaker("Maya", "rec_1", 0)
        assert [method for method, *_ in seen] == ["POST", "POST"]


def test_a_full_queue_is_waited_for_as_it_asks_but_not_for_ever(meeting_wav):
    soon = (*problem(503, "queue_full"), ("Retry-After", "1"))
    with scripted(soon, answer(RECORDING, 202)) as (client, seen):
        began_s = time.monotonic()
        assert client.submit(meeting_wav).id == "rec_1"
        assert time.monotonic() - began_s >= 1.0
        assert len(seen) == 2
    late = (*problem(503, "queue_full"), ("Retry-After", "3600"))
    with scripted(late) as (client, seen):
        with pytest.raises(QueueFull):
            client.submit(meeting_wav)
        assert len(seen) == 1
    mine = (*problem(429, "queue_limit_reached"), ("Retry-After", "3600"))
    with scripted(mine) as (client, _), pytest.raises(QueueShareFull):
        client.retry("rec_1")


def test_following_goes_on_after_the_last_event():
    running = answer(RECORDING | {"state": "running"})
    answers = [stream((1, "state"), (2, "segment")), running, None, problem(503, "overloaded"), stream((3, "state"))]
    with scripted(*answers, answer(RECORDING)) as (client, seen):
        told = []
        assert client.wait("rec_1", told.append).state == "succeeded"
    assert [it.id for it in told] == [1, 2, 3]
    asked = [headers.get("Last-Event-ID") for _, path, headers, _ in seen if path.endswith("/events")]
    assert asked == [None, "2", "2", "2"]


def test_following_a_server_that_is_gone_ends():
    with scripted(None) as (client, seen):
        with pytest.raises(ServerUnreachable):
            client.wait("rec_1")
        assert len(seen) == QUICK.attempts


def test_waiting_has_an_end():
    with scripted(stream((1, "state"))) as (client, _), pytest.raises(WaitTimeout):
        client.wait("rec_1", timeout_s=0)


@pytest.mark.parametrize("body", ["[]", "{}", "<html>", '{"failure": null}'])
def test_another_programs_answer_is_told(body):
    with scripted((200, body, "text/html")) as (client, _), pytest.raises(AnswerInvalid):
        client.get("rec_1")


@pytest.mark.parametrize("body", ["", "[]", '{"error": "no"}', '{"detail": "no"}'])
def test_an_error_that_is_not_ours_has_its_status(body):
    with scripted((403, body, "text/plain")) as (client, _), pytest.raises(ServerError) as refused:
        client.get("rec_1")
    assert (refused.value.code, refused.value.status) == ("http_403", 403)


def test_codes_without_a_class_are_kept():
    error = error_of("brand_new", "why", status=418)
    assert isinstance(error, ServerError)
    assert (error.code, error.status, error.message) == ("brand_new", 418, "why")


@pytest.mark.parametrize("wrong", ["", "localhost:8000", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_none(wrong):
    with pytest.raises(OptionInvalid):
        RecordingsClient(wrong)


def test_events_are_read_as_the_standard_says():
    lines = [": alive", "", "id:7", "event:state", 'data: {"state": "queued"}', "", "retry: 5", "", "id: 8", "data: {}"]
    found = list(parse_events(lines))
    assert found[0] is None
    assert [(it.id, it.kind, it.data) for it in found[1:]] == [(7, "state", {"state": "queued"})]
    for wrong in (["data: {}", ""], ["id: 1", "data: x", ""], ["id: 1", "data: []", ""]):
        with pytest.raises(AnswerInvalid):
            list(parse_events(wrong))
