"""The server as a whole: limits over a real socket, many at once, clients that hang up, engines that fail."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest

from app.engine.probe import PROBE_SAMPLES
from app.errors import EngineFailed
from tests.engine.fake_worker import FakeWorker, Line, fake_engine, meeting
from tests.transport.server import TEXT, client, serving, settings, wait_until, wav

FILE = ("meeting.wav", wav(), "audio/wav")


class GatedWorker(FakeWorker):
    """Decodes the windows of a recording only once the gate is open; a probe always passes.

    `decoding`: requests of recordings that have come in.
    """

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.decoding = 0

    def decode_batch(self, requests):
        asked = [request for request in requests if len(request.samples) != PROBE_SAMPLES]
        self.decoding += len(asked)
        assert not asked or self.gate.wait(60)
        return super().decode_batch(requests)


class GatedEngine:
    """An engine that answers the first two windows of a recording at once, and the others once the gate is open.

    Around the engine, not in its worker: windows may reach the worker's one thread in any order.
    """

    def __init__(self, inner):
        self.inner = inner
        self.gate = threading.Event()
        self.spec = inner.spec

    async def diarize(self, window):
        return await self.inner.diarize(window)

    async def decode(self, request):
        while request.index >= 2 and not self.gate.is_set():  # noqa: ASYNC110 - opened by another thread
            await asyncio.sleep(0.01)
        return await self.inner.decode(request)

    async def aclose(self):
        await self.inner.aclose()


class BrokenWorker(FakeWorker):
    """Diarizes, but cannot decode."""

    def decode_batch(self, requests):
        raise EngineFailed("the decoder is broken")


@pytest.fixture
def gated(tmp_path):
    """(url, worker, client) of a server that runs one transcription and lets one wait."""
    worker = GatedWorker()
    engine = fake_engine(worker)
    chosen = settings(
        tmp_path, {"max_transcriptions": 1, "max_waiting_transcriptions": 1, "retry_after_s": 3, "heartbeat_s": 0.1}
    )
    with serving(engine, chosen) as url, client(url) as it:
        wait_until(lambda: httpx2.get(f"{url}/readyz").status_code == 200)
        yield url, worker, it
        worker.gate.set()
    assert list((tmp_path / "data" / "work").iterdir()) == [], "nothing may be left on disk"
    asyncio.run(engine.aclose())


def _create(client, **fields):
    return client.audio.transcriptions.create(**({"model": "whisper-1", "file": FILE} | fields))


def _inside(url) -> int:
    return httpx2.get(f"{url}/readyz").json()["transcriptions"]


def test_too_large_an_upload_is_told_so(tmp_path):
    engine = fake_engine()
    chosen = settings(tmp_path, limits={"max_upload_bytes": 100_000, "max_field_bytes": 10_000})
    with serving(engine, chosen) as url, client(url) as it:
        for size in (100_001, 30_000_000):
            with pytest.raises(openai.APIStatusError) as caught:
                _create(it, file=("big.wav", b"x" * size, "audio/wav"))
            assert (caught.value.status_code, caught.value.code) == (413, "upload_too_large")
        assert _create(it, file=("small.wav", wav()[:90_000], "audio/wav")).text
    asyncio.run(engine.aclose())


def test_too_long_a_recording_is_told_so(tmp_path):
    engine = fake_engine()
    with serving(engine, settings(tmp_path, limits={"max_duration_s": 2.0})) as url, client(url) as it:
        with pytest.raises(openai.APIStatusError) as caught:
            _create(it)
        assert (caught.value.status_code, caught.value.code) == (413, "audio_too_long")
    asyncio.run(engine.aclose())


def test_many_at_once_are_all_right(tmp_path):
    engine = fake_engine()
    chosen = settings(tmp_path, {"max_transcriptions": 4})
    with serving(engine, chosen) as url, client(url) as it, ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: _create(it).text, range(8)))
    assert texts == [TEXT] * 8
    asyncio.run(engine.aclose())


def test_beyond_the_cap_is_refused_with_retry_after(gated):
    url, worker, it = gated
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(_create, it) for _ in range(2)]
        wait_until(lambda: _inside(url) == 2)
        with pytest.raises(openai.InternalServerError) as caught:
            _create(it)
        assert (caught.value.status_code, caught.value.code) == (503, "overloaded")
        assert caught.value.response.headers["retry-after"] == "3"
        full = httpx2.get(f"{url}/readyz")
        assert full.status_code == 503
        worker.gate.set()
        assert [future.result().text for future in running] == [TEXT] * 2
    wait_until(lambda: _inside(url) == 0)
    assert _create(it).text == TEXT


@pytest.mark.parametrize("fields", [[], [("stream", "true")]])
def test_a_client_that_hangs_up_ends_its_work(gated, fields):
    url, worker, it = gated
    address = url.removeprefix("http://").split(":")
    body, kind = _encoded(url, fields)
    with socket.create_connection((address[0], int(address[1]))) as connection:
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: worker.decoding > 0, 20)
        assert _inside(url) == 1
    wait_until(lambda: _inside(url) == 0)
    worker.gate.set()
    assert _create(it).text == TEXT


def test_a_client_that_hangs_up_while_uploading(gated):
    url, _, _ = gated
    address = url.removeprefix("http://").split(":")
    body, kind = _encoded(url, [])
    with socket.create_connection((address[0], int(address[1]))) as connection:
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:50_000])
        wait_until(lambda: _inside(url) == 1)
    wait_until(lambda: _inside(url) == 0)


def test_a_silent_stream_is_kept_open_by_comments(gated):
    url, worker, _ = gated
    with httpx2.stream(
        "POST", f"{url}/v1/audio/transcriptions", files=[("file", FILE), ("stream", (None, "true"))], timeout=20
    ) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        worker.gate.set()
        events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data:")]
    assert events[-1]["text"] == TEXT


def test_an_engine_that_fails_is_a_500_with_its_code(tmp_path):
    engine = fake_engine(BrokenWorker())
    with serving(engine, settings(tmp_path)) as url, client(url) as it:
        with pytest.raises(openai.InternalServerError) as caught:
            _create(it)
        assert (caught.value.status_code, caught.value.code) == (500, "engine_failed")
        with pytest.raises(openai.APIError, match="decoder"):
            list(_create(it, stream=True))
        wait_until(lambda: httpx2.get(f"{url}/readyz").json()["status"] == "failing")
    asyncio.run(engine.aclose())


def test_a_transcription_that_takes_too_long(tmp_path):
    worker = GatedWorker()
    engine = fake_engine(worker)
    with serving(engine, settings(tmp_path, {"request_timeout_s": 0.5})) as url, client(url) as it:
        wait_until(lambda: httpx2.get(f"{url}/readyz").status_code == 200)
        with pytest.raises(openai.InternalServerError) as caught:
            _create(it)
        assert (caught.value.status_code, caught.value.code) == (504, "timeout")
        worker.gate.set()
    asyncio.run(engine.aclose())


def test_a_stalled_upload_frees_its_place(tmp_path):
    engine = fake_engine()
    chosen = settings(tmp_path, {"upload_stall_timeout_s": 0.2})
    with serving(engine, chosen) as url:
        address = url.removeprefix("http://").split(":")
        body, kind = _encoded(url, [])
        with socket.create_connection((address[0], int(address[1]))) as connection:
            head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:1000])
            connection.settimeout(10)
            began = time.monotonic()
            assert b" 408 " in connection.recv(1000)
            assert time.monotonic() - began < 5
        assert _inside(url) == 0
    asyncio.run(engine.aclose())


def _encoded(url, fields) -> tuple[bytes, str]:
    parts = [("file", FILE), *((name, (None, value)) for name, value in fields)]
    built = httpx2.Request("POST", url, files=parts)
    return built.read(), built.headers["content-type"]


def test_segments_are_streamed_before_the_end_is_decoded(tmp_path):
    engine = GatedEngine(fake_engine())
    words = "alpha bravo charlie delta echo foxtrot golf hotel"
    lines = [Line(1.0 + 6 * number, number % 2 * 3, words) for number in range(20)]
    long = ("long.wav", wav(meeting(lines, 122.0)), "audio/wav")
    with serving(engine, settings(tmp_path)) as url, client(url) as it:
        wait_until(lambda: httpx2.get(f"{url}/readyz").status_code == 200)
        events = iter(_create(it, file=long, stream=True, response_format="diarized_json"))
        first = next(events)
        assert (first.type, first.delta) == ("transcript.text.delta", words)
        assert not engine.gate.is_set()
        engine.gate.set()
        assert [event.type for event in events].count("transcript.text.segment") == 20
    asyncio.run(engine.aclose())
