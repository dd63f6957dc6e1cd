"""Uploads that are wrong, broken or hostile: each is refused by name, and nothing of it stays."""

from __future__ import annotations

import re
import socket
import threading
from urllib.parse import urlsplit

import pytest

from tests.transport.recordings.calls import code, finished, submit
from tests.transport.recordings.conftest import MAX_UPLOAD_BYTES
from tests.transport.server import wait_until, wav

HEAD = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
END = b"\r\n--XX--\r\n"


def raw(running, headers: str, body: bytes, *, cut: bool = False) -> bytes:
    """What the server answers to bytes on a socket; cut: the connection is closed behind the body."""
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), 20) as wire:
        wire.sendall(f"POST /v1/recordings HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body)
        if cut:
            return b""
        return _answer(wire)


def _answer(wire: socket.socket) -> bytes:
    """All of one answer with a Content-Length."""
    said = b""
    while True:
        head, found, body = said.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head.lower())
        if found and length is not None and len(body) >= int(length[1]):
            return said
        more = wire.recv(65536)
        if not more:
            return said
        said += more


def kept(running) -> int:
    """How many recordings there are."""
    return len(running.http.get("/v1/recordings?limit=200").json()["data"])


FORM = "Content-Type: multipart/form-data; boundary=XX\r\n"


def test_a_body_that_is_too_large(running):
    before = kept(running)
    assert code(submit(running.http, data=b"\0" * (MAX_UPLOAD_BYTES + 1))) == (413, "upload_too_large")
    said = raw(running, f"{FORM}Content-Length: {10**12}\r\n", HEAD)
    assert said.startswith(b"HTTP/1.1 413")
    assert b'"upload_too_large"' in said
    assert code(submit(running.http, language="e" * 30_000)) == (413, "upload_too_large")
    assert kept(running) == before


def test_a_length_that_lies(running):
    before, body = kept(running), HEAD + wav() + END
    longer = raw(running, f"{FORM}Content-Length: {len(body) + 1000}\r\n", body)
    assert longer.startswith(b"HTTP/1.1 408")
    assert b'"upload_stalled"' in longer
    shorter = f"{FORM}Content-Length: {len(body) // 2}\r\nConnection: close\r\n"
    # What comes behind the declared end is the beginning of another request, and none that HTTP knows.
    assert raw(running, shorter, body).startswith(b"HTTP/1.1 400")
    cut = raw(running, shorter, body[: len(body) // 2])
    assert cut.startswith(b"HTTP/1.1 400")
    assert b'"body_malformed"' in cut
    assert kept(running) == before


def test_an_upload_that_is_cut_off_leaves_nothing(running):
    before, body = kept(running), HEAD + wav()
    raw(running, f"{FORM}Content-Length: {len(body) + 1000}\r\n", body, cut=True)
    wait_until(lambda: not list(running.folder.glob("data/work/upload-*.part")))
    assert kept(running) == before


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "audio/wav", "multipart/mixed; boundary=XX", ""])
def test_a_wrong_content_type(http, kind):
    answer = http.post("/v1/recordings", content=HEAD + wav() + END, headers={"Content-Type": kind} if kind else {})
    assert code(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"webhok": "x"}, "webhok"),
        ({"priority": "10"}, "priority"),
        ({"priority": "1e1"}, "priority"),
        ({"num_speakers": "0"}, "num_speakers"),
        ({"min_speakers": "3", "max_speakers": "2"}, "min_speakers"),
        ({"language": "zz"}, "language"),
        ({"decoder": "best"}, "decoder"),
        ({"channels_as_speakers": "yes"}, "channels_as_speakers"),
        ({"language": ["en", "de"]}, "language"),
        ({"hotwords": "\0"}, "hotwords"),
        ({"x" * 1_000: "1"}, "x" * 60),
    ],
)
def test_options_that_make_no_sense(http, fields, param):
    answer = submit(http, **fields)
    assert (*code(answer), answer.json()["error"]["param"]) == (400, "option_invalid", param)


def test_names_of_ten_thousand_characters(http):
    assert code(submit(http, name="a" * 1_000)) == (400, "option_invalid")
    assert code(submit(http, name="a" * 10_000)) == (400, "body_malformed")  # longer than a part's header may be
    assert code(submit(http, **{"x" * 10_000: "1"})) == (400, "body_malformed")
    path = finished(http)
    edit = {"speakers": {"0": "a" * 10_000}}
    assert code(http.patch(f"{path}/transcript", json=edit, headers={"If-Match": "*"})) == (422, "option_invalid")
    voice = {"name": "a" * 10_000, "recording": path.rsplit("/", 1)[1], "speaker": 0}
    assert code(http.post("/v1/speakers", json=voice)) == (422, "option_invalid")
    assert code(http.get("/v1/recordings", params={"name": "a" * 10_000})) == (422, "option_invalid")
    assert code(http.get(f"/v1/recordings/{'a' * 10_000}")) == (404, "job_not_found")
    assert code(http.get(f"{path}/transcript", params={"format": "a" * 10_000})) == (400, "option_invalid")


@pytest.mark.parametrize(
    ("given", "kept_as"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\maya\\talk.wav", "talk.wav"),
        ("..", ""),
        ("/", ""),
        ("a\x01b\x7f.wav", "ab.wav"),
        ("Grüße 会議.wav", "Grüße 会議.wav"),
        ("<script>.wav", "<script>.wav"),
    ],
)
def test_file_names_are_only_names(http, given, kept_as):
    # By hand: clients write some characters in their own way.
    head = HEAD.replace(b"a.wav", given.replace("\\", "\\\\").encode())
    made = http.post(
        "/v1/recordings", content=head + wav() + END, headers={"Content-Type": FORM.split(": ")[1].strip()}
    )
    assert (made.status_code, made.json()["file_name"]) == (202, kept_as)


@pytest.mark.parametrize("path", ["%2e%2e", "rec_%00", "..%2f..%2fetc", "rec_" + "0" * 32, "rec_'; drop table job"])
def test_ids_that_are_none(http, path):
    assert code(http.get(f"/v1/recordings/{path}")) in ((404, "job_not_found"), (404, "not_found"))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://localhost:8080/x", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/",
     "file:///etc/passwd", "http://user:pw@1.1.1.1/", "x" * 10_000],
)  # fmt: skip
def test_a_webhook_to_an_address_that_is_not_public(http, url):
    answer = submit(http, webhook=url)
    assert (*code(answer), answer.json()["error"]["param"]) == (400, "webhook_refused", "webhook")


def test_two_uploads_with_one_key_at_the_same_moment(running):
    before, answers = kept(running), []
    ready = threading.Barrier(4)

    def upload():
        ready.wait(20)
        answers.append(submit(running.http, headers={"Idempotency-Key": "at-once"}))

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for it in threads:
        it.start()
    for it in threads:
        it.join(60)
    assert sorted(it.status_code for it in answers) == [200, 200, 200, 202]
    assert len({it.json()["id"] for it in answers}) == 1
    assert kept(running) == before + 1


@pytest.mark.parametrize("key", ["", "a" * 256, "two words", "\u00e9"])
def test_a_key_that_is_none(http, key):
    answer = submit(http, headers={"Idempotency-Key": key.encode()})
    assert (*code(answer), answer.json()["error"]["param"]) == (400, "option_invalid", "Idempotency-Key")
