"""Large files through the client of recordings, over a line that breaks, to a real server with the fake engine."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from app.client import uploads
from app.client.recording_errors import ServerUnreachable
from app.client.recording_types import RetryRules, UploadOptions
from app.client.recordings import RecordingsClient
from app.errors import AudioUnreadable, FileUnreadable, OptionInvalid
from tests.client.test_recordings import RECORDING, answer, problem, scripted
from tests.engine.fake_worker import fake_engine
from tests.transport.server import serving, settings, wav

QUICK = RetryRules(attempts=4, first_s=0.01, most_s=0.02)


class Line:
    """A TCP proxy. Each connection of `cuts` ends after so many bytes from the client; those after it do not."""

    def __init__(self, target: str, cuts: list[int]) -> None:
        self.cuts = cuts
        self._target = urlsplit(target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with self._server, suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection((self._target.hostname, self._target.port))
                budget = self.cuts.pop(0) if self.cuts else None
                self._threads.append(threading.Thread(target=self._join, args=(near, far, budget)))
                self._threads[-1].start()

    def _join(self, near, far, budget) -> None:
        with near, far:
            back = threading.Thread(target=self._pass, args=(far, near, None))
            back.start()
            self._pass(near, far, budget)
            back.join(30)

    def _pass(self, source, sink, budget) -> None:
        """Pass bytes on until one side ends, or `budget` is spent; then both are ended."""
        passed = 0
        with suppress(OSError):
            while data := source.recv(16_384 if budget is None else min(16_384, budget - passed)):
                sink.sendall(data)
                passed += len(data)
        for it in (source, sink):
            with suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for it in self._threads:
            it.join(30)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    engine = fake_engine()
    with serving(engine, settings(tmp_path_factory.mktemp("server"))) as base:
        yield base
    asyncio.run(engine.aclose())


@pytest.fixture
def meeting_wav(tmp_path):
    path = tmp_path / "Sitzung ü.wav"
    path.write_bytes(wav())
    return path


@contextmanager
def client_of(url):
    with RecordingsClient(url, QUICK, in_parts_from_bytes=1000) as it:
        yield it


def test_a_large_file_goes_in_parts(url, meeting_wav, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 100_000)
    sent, size = [], meeting_wav.stat().st_size
    with client_of(url) as client:
        made = client.submit(
            meeting_wav, UploadOptions(hotwords=("alpha", "bravo")), on_sent=lambda *it: sent.append(it)
        )
        assert (made.file_name, made.size_bytes) == ("Sitzung ü.wav", size)
        assert b"".join(client.audio(made.id)) == meeting_wav.read_bytes()
        with pytest.raises(OptionInvalid):
            client.submit(meeting_wav, UploadOptions(language="zz"))
    assert sent == sorted(sent)
    assert sent[-1][0] == size


def test_a_line_that_breaks_again_and_again(url, meeting_wav, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 200_000)
    line = Line(url, [120_000, 90_000, 400, 60_000])
    patient = RetryRules(attempts=50, first_s=0.05, most_s=0.2)
    try:
        with RecordingsClient(line.url, patient, in_parts_from_bytes=1000) as client:
            made = client.submit(meeting_wav)
            assert b"".join(client.audio(made.id)) == meeting_wav.read_bytes()
    finally:
        line.close()
    assert line.cuts == []


def test_what_is_refused_is_dropped(url, tmp_path, monkeypatch):
    asked = []
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound " * 500)
    with client_of(url) as client:
        request = client._http.request
        monkeypatch.setattr(client._http, "request", lambda *it, **more: asked.append(it[:2]) or request(*it, **more))
        with pytest.raises(AudioUnreadable):
            client.submit(noise)
    assert [method for method, _ in asked] == ["POST", "PATCH", "POST", "DELETE"]


def begun(received=0):
    return *answer({}), ("Location", "/v1/uploads/upl_1"), ("Upload-Offset", str(received))


def test_after_a_break_the_rest_is_sent(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(bytes(range(250)) * 8)
    with scripted(begun(), None, begun(700), (204, "", "text/plain"), answer(RECORDING, 202)) as (client, seen):
        client._in_parts_from_bytes = 1
        assert client.submit(file, UploadOptions(priority=7)).id == "rec_1"
    parts = [(headers["Upload-Offset"], body) for method, _, headers, body in seen if method == "PATCH"]
    assert parts == [("0", file.read_bytes()), ("700", file.read_bytes()[700:])]
    assert seen[-1][3] == b"priority=7&upload=upl_1"


def test_a_server_that_is_away_for_long_is_waited_for(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"x" * 2000)
    away = [None] * (1 + QUICK.attempts + 1)  # a part, the questions after it, the part again
    with scripted(begun(), *away, begun(700), (204, "", "text/plain"), answer(RECORDING, 202)) as (client, seen):
        client._in_parts_from_bytes = 1
        assert client.submit(file).id == "rec_1"
    assert [headers["Upload-Offset"] for method, _, headers, _ in seen if method == "PATCH"] == ["0", "0", "700"]


def test_trying_has_an_end(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"x" * 2000)
    for wrong in (None, problem(503, "overloaded"), problem(409, "upload_offset_mismatch")):
        with scripted(begun(), wrong, begun(), wrong, begun(), wrong, begun(), wrong, begun()) as (client, seen):
            client._in_parts_from_bytes = 1
            with pytest.raises(ServerUnreachable):
                client.submit(file)
            assert sum(method == "PATCH" for method, *_ in seen) == QUICK.attempts


def test_a_file_that_gets_shorter_is_told(tmp_path, monkeypatch):
    file = tmp_path / "a.wav"
    file.write_bytes(b"x" * 2000)
    monkeypatch.setattr("app.client.uploads.os.fstat", lambda _: type("Stat", (), {"st_size": 3000})())
    with scripted(begun(), answer(RECORDING)) as (client, _):
        client._in_parts_from_bytes = 1
        with pytest.raises(FileUnreadable):
            client.submit(file)
