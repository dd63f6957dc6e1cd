"""Uploads in parts over HTTP against a real server with the fake engine."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx2
import pytest
from tusclient.client import TusClient

from app.errors import StoreUnavailable
from app.jobs.blobs import Blobs
from app.jobs.uploads import Uploads
from tests.engine.fake_worker import fake_engine
from tests.transport.server import serving, settings, wait_until, wav

TUS = {"Tus-Resumable": "1.0.0"}
PART = {"Content-Type": "application/offset+octet-stream"}
UNKNOWN = "/v1/uploads/upl_" + "0" * 32
NAME = "filename " + base64.b64encode("Sitzung ü.wav".encode()).decode()


@pytest.fixture
def http(url):
    with httpx2.Client(base_url=url, timeout=30, headers=TUS) as it:
        yield it


def begin(http, length, metadata=NAME):
    made = http.post("/v1/uploads", headers={"Upload-Length": str(length), "Upload-Metadata": metadata})
    assert made.status_code == 201, made.text
    return made.headers["location"]


def part(http, path, offset, data, **headers):
    return http.patch(path, content=data, headers={**PART, "Upload-Offset": str(offset), **headers})


def come(http, path):
    asked = http.head(path)
    assert asked.status_code == 200
    return int(asked.headers["upload-offset"])


def whole(http, data=None):
    data = wav() if data is None else data
    path = begin(http, len(data))
    assert part(http, path, 0, data).status_code == 204
    return path.rsplit("/", 1)[1]


def code(response):
    return response.status_code, response.json()["error"]["code"]


def test_in_parts_then_a_recording(http):
    data = wav()
    path = begin(http, len(data))
    first = part(http, path, 0, data[:1000])
    assert (first.status_code, first.headers["upload-offset"], first.headers["tus-resumable"]) == (204, "1000", "1.0.0")
    asked = http.head(path)
    assert (asked.headers["upload-offset"], asked.headers["upload-length"]) == ("1000", str(len(data)))
    assert (asked.headers["upload-metadata"], asked.headers["cache-control"]) == (NAME, "no-store")
    upload = path.rsplit("/", 1)[1]
    early = http.post("/v1/recordings", data={"upload": upload})
    assert code(early) == (409, "upload_incomplete")
    assert part(http, path, 1000, data[1000:]).status_code == 204
    made = http.post("/v1/recordings", data={"upload": upload, "language": "en"})
    assert made.status_code == 202, made.text
    recording = made.json()
    assert (recording["file_name"], recording["size_bytes"]) == ("Sitzung ü.wav", len(data))
    assert http.get(path).json()["recording"] == recording["id"]
    assert http.get(f"/v1/recordings/{recording['id']}/audio").content == data
    wait_until(lambda: http.get(made.headers["location"]).json()["state"] == "succeeded", 60)
    again = http.post("/v1/recordings", files={"upload": (None, upload), "language": (None, "en")})
    assert (again.status_code, again.json()["id"]) == (200, recording["id"])
    assert code(http.post("/v1/recordings", data={"upload": upload, "language": "de"})) == (409, "upload_used")
    assert code(part(http, path, len(data), b"")) == (409, "upload_used")
    assert http.delete(made.headers["location"]).status_code == 204
    assert code(http.get(path)) == (404, "upload_not_found")


def test_a_key_holds_for_an_upload_too(http):
    key = {"Idempotency-Key": "parts-1"}
    first = http.post("/v1/recordings", data={"upload": whole(http)}, headers=key)
    again = http.post("/v1/recordings", data={"upload": whole(http)}, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]


def test_a_server_that_ends_before_it_notes_the_use_makes_no_second_recording(http, monkeypatch):
    def lost(*_):
        raise StoreUnavailable("the database is away")

    upload = whole(http)
    with monkeypatch.context() as patched:
        patched.setattr(Uploads, "used", lost)
        assert code(http.post("/v1/recordings", data={"upload": upload})) == (503, "store_unavailable")
    again = http.post("/v1/recordings", data={"upload": upload})
    assert again.status_code == 200
    assert http.get(f"/v1/uploads/{upload}").json()["recording"] == again.json()["id"]
    other = http.post("/v1/recordings", data={"upload": whole(http)})
    assert (other.status_code, other.json()["id"] != again.json()["id"]) == (202, True)


def test_asked_for_at_once_it_is_one_recording(http, url, monkeypatch):
    """The slower of two finds the parts gone, while it reads them."""
    upload, joined = whole(http), Blobs.joined
    answers = []

    def slowly(self, parts):
        patched.undo()
        answers.append(httpx2.post(f"{url}/v1/recordings", data={"upload": upload}, timeout=30))
        return joined(self, parts)

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, "joined", slowly)
        answers.append(http.post("/v1/recordings", data={"upload": upload}))
    assert sorted(it.status_code for it in answers) == [200, 202]
    assert len({it.json()["id"] for it in answers}) == 1


def test_what_came_before_the_connection_broke_is_kept(http, url):
    data, host = wav(), urlsplit(url)
    path = begin(http, len(data))
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: {host.netloc}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection((host.hostname, host.port)) as wire:
        wire.sendall(head.encode() + data[:100_000])
    wait_until(lambda: come(http, path) == 100_000, 30)
    assert part(http, path, 100_000, data[100_000:]).status_code == 204
    made = http.post("/v1/recordings", data={"upload": path.rsplit("/", 1)[1]})
    assert http.get(f"{made.headers['location']}/audio").content == data


def test_a_part_that_stops_is_given_up_and_kept(tmp_path):
    engine = fake_engine()
    chosen = settings(tmp_path, {"upload_stall_timeout_s": 0.2})
    with serving(engine, chosen) as base, httpx2.Client(base_url=base, timeout=30, headers=TUS) as http:
        path = urlsplit(begin(http, 1000)).path
        with closing(HTTPConnection(urlsplit(base).netloc, timeout=60)) as connection:
            connection.putrequest("PATCH", path)
            for name, value in (TUS | PART | {"Upload-Offset": "0", "Content-Length": "1000"}).items():
                connection.putheader(name, value)
            connection.endheaders(b"x" * 700)
            with connection.getresponse() as answer:
                assert (answer.status, json.load(answer)["error"]["code"]) == (408, "upload_stalled")
        assert come(http, path) == 700
    asyncio.run(engine.aclose())


def test_what_the_server_can_is_told_without_a_version(url):
    told = httpx2.options(f"{url}/v1/uploads")
    assert (told.status_code, told.headers["tus-version"]) == (204, "1.0.0")
    assert set(told.headers["tus-extension"].split(",")) == {"creation", "expiration", "termination"}
    assert told.headers["tus-max-size"] == str(1024**3)


def test_another_version_is_refused_and_ours_is_named(url):
    for headers in ({}, {"Tus-Resumable": "0.2.2"}, {"Tus-Resumable": ""}):
        refused = httpx2.post(f"{url}/v1/uploads", headers={"Upload-Length": "1", **headers})
        assert code(refused) == (412, "tus_version_unsupported")
        assert (refused.headers["tus-version"], refused.headers["tus-resumable"]) == ("1.0.0", "1.0.0")


def test_to_look_at_an_upload_no_version_is_needed_but_a_wrong_one_is_refused(http, url):
    place = f"{url}{urlsplit(begin(http, 3)).path}"
    assert httpx2.get(place).status_code == 200
    for wrong in ("", "0.2.2"):
        assert code(httpx2.get(place, headers={"Tus-Resumable": wrong})) == (412, "tus_version_unsupported")


@pytest.mark.parametrize(
    ("headers", "status", "found"),
    [
        ({}, 400, "option_invalid"),
        ({"Upload-Length": "-1"}, 422, "option_invalid"),
        ({"Upload-Length": "x"}, 422, "option_invalid"),
        ({"Upload-Length": str(1024**3 + 1)}, 413, "upload_too_large"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename ***"}, 400, "option_invalid"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename YQ==,filename YQ=="}, 400, "option_invalid"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename " + base64.b64encode(b"a" * 300).decode()}, 400, None),
        ({"Upload-Length": "1", "Upload-Metadata": "x" * 5_000}, 422, "option_invalid"),
        ({"Upload-Length": "1", "Upload-Concat": "partial"}, 400, "option_invalid"),
        ({"Upload-Defer-Length": "1"}, 400, "option_invalid"),
    ],
)
def test_uploads_that_cannot_begin(http, headers, status, found):
    refused = http.post("/v1/uploads", headers=headers)
    assert code(refused) == (status, found or "option_invalid")
    assert refused.headers["tus-resumable"] == "1.0.0"


def test_parts_that_do_not_fit_change_nothing(http):
    path = begin(http, 1000)
    assert part(http, path, 0, b"x" * 400).status_code == 204
    assert code(part(http, path, 0, b"x")) == (409, "upload_offset_mismatch")
    assert code(part(http, path, 401, b"x")) == (409, "upload_offset_mismatch")
    assert code(part(http, path, 400, b"x" * 601)) == (413, "upload_too_large")
    assert code(part(http, path, 400, iter([b"x" * 300, b"x" * 301]))) == (413, "upload_too_large")
    kind = {"Content-Type": "application/octet-stream"}
    assert code(part(http, path, 400, b"x", **kind)) == (415, "unsupported_media_type")
    assert (
        http.patch(path, content=b"x", headers={"Content-Type": "application/offset+octet-stream"}).status_code == 422
    )
    assert part(http, path, 400, b"").status_code == 204
    assert come(http, path) == 400


def test_what_is_not_there(http):
    assert http.head(UNKNOWN).status_code == 404
    assert code(part(http, UNKNOWN, 0, b"x")) == (404, "upload_not_found")
    assert code(http.delete(UNKNOWN)) == (404, "upload_not_found")
    assert code(http.get("/v1/uploads/rec_1")) == (404, "upload_not_found")
    for odd in (UNKNOWN.rsplit("/", 1)[1], "../x", ""):
        assert code(http.post("/v1/recordings", data={"upload": odd})) == (404, "upload_not_found")


def test_an_upload_that_is_dropped_is_gone(http):
    path = begin(http, 10)
    part(http, path, 0, b"x" * 5)
    assert http.delete(path).status_code == 204
    assert http.head(path).status_code == 404


def test_what_is_no_sound_is_refused_and_the_upload_stays(http):
    upload = whole(http, b"no sound")
    assert code(http.post("/v1/recordings", data={"upload": upload})) == (400, "audio_unreadable")
    assert http.get(f"/v1/uploads/{upload}").json()["recording"] is None
    empty = begin(http, 0).rsplit("/", 1)[1]
    assert code(http.post("/v1/recordings", data={"upload": empty})) == (400, "audio_empty")


def test_a_form_names_one_source_of_sound(http):
    both = http.post("/v1/recordings", data={"upload": whole(http)}, files={"file": ("a.wav", wav())})
    assert code(both) == (400, "option_invalid")
    assert code(http.post("/v1/recordings", data={"language": "en"})) == (400, "option_invalid")
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    for wrong in (b"\xff", b"upload", b"&".join([b"hotwords=a"] * 1001)):
        assert code(http.post("/v1/recordings", content=wrong, headers=plain)) == (400, "body_malformed")
    too_much = b"hotwords=" + b"a" * (16 * 1024**2)
    assert code(http.post("/v1/recordings", content=too_much, headers=plain)) == (413, "upload_too_large")


def test_a_tenant_has_so_many_open_uploads(tmp_path):
    engine = fake_engine()
    chosen = settings(tmp_path, limits={"max_open_uploads": 2})
    with serving(engine, chosen) as base, httpx2.Client(base_url=base, timeout=30, headers=TUS) as http:
        first = begin(http, 10)
        begin(http, 10)
        assert code(http.post("/v1/uploads", headers={"Upload-Length": "1"})) == (429, "limit_reached")
        http.delete(first)
        begin(http, 10)
    asyncio.run(engine.aclose())


def test_the_parts_may_go_to_different_servers_of_one_store(tmp_path):
    engine, data, chosen = fake_engine(), wav(), settings(tmp_path)
    with serving(engine, chosen) as one, serving(engine, chosen) as two, httpx2.Client(headers=TUS, timeout=30) as http:
        made = http.post(f"{one}/v1/uploads", headers={"Upload-Length": str(len(data))})
        path, bases, at = made.headers["location"], (one, two), 0
        for number, piece in enumerate((data[:70_000], data[70_000:200_000], data[200_000:])):
            assert part(http, bases[number % 2] + path, at, piece).status_code == 204
            at += len(piece)
        made = http.post(f"{two}/v1/recordings", data={"upload": path.rsplit("/", 1)[1]})
        assert made.status_code == 202, made.text
        assert http.get(f"{one}{made.headers['location']}/audio").content == data
    asyncio.run(engine.aclose())


def test_a_client_of_the_standard_works(url, http, tmp_path):
    file = tmp_path / "meeting.wav"
    file.write_bytes(wav())
    tus = TusClient(f"{url}/v1/uploads")
    known = {"filename": "meeting.wav", "filetype": "audio/wav"}
    with file.open("rb") as stream:  # of a path it leaves the file open
        begun = tus.uploader(file_stream=stream, chunk_size=50_000, metadata=known)
        begun.upload(stop_at=100_000)
        taken_up = tus.uploader(file_stream=stream, chunk_size=150_000, url=begun.url)
        assert taken_up.get_offset() == 100_000
        taken_up.upload()
    made = http.post("/v1/recordings", data={"upload": taken_up.url.rsplit("/", 1)[1]})
    assert (made.status_code, made.json()["file_name"]) == (202, "meeting.wav")
    assert http.get(f"{made.headers['location']}/audio").content == file.read_bytes()
