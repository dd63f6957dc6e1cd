"""app/transport/observed.py: ids of requests and their log lines; and that no log holds sound, words or vectors."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import httpx2
import pytest
from websockets.asyncio.client import connect

from app.observe import set_up_logging
from app.settings import Settings
from tests.engine.fake_worker import VOCABULARY, fake_engine
from tests.transport.live.talk import SOUND, START, send, until
from tests.transport.server import serving, wait_until, wav


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(url, log): every line down to debug, as JSON."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    log, engine = io.StringIO(), fake_engine()
    set_up_logging("debug", "json", log)
    try:
        with serving(engine, Settings(data_dir=tmp_path_factory.mktemp("observed"))) as url:
            yield url, log
        asyncio.run(engine.aclose())
    finally:
        root.handlers = handlers
        root.setLevel(level)


def lines(log: io.StringIO, **wanted: str) -> list[dict]:
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if all(line[name] == value for name, value in wanted.items())]


def test_a_sane_id_is_kept_and_another_is_replaced(server):
    url, log = server
    kept = httpx2.get(f"{url}/v1/models", headers={"X-Request-ID": "from-proxy.1_a"})
    assert kept.headers["x-request-id"] == "from-proxy.1_a"
    wanted = {"request_id": "from-proxy.1_a", "logger": "app.transport.observed"}
    wait_until(lambda: lines(log, **wanted))
    (line,) = lines(log, **wanted)
    assert (line["route"], line["status"], line["session_id"], line["job_id"]) == ("/v1/models", 200, None, None)
    for insane in ("a" * 129, "a b", 'x"y', ""):
        made = httpx2.get(f"{url}/v1/models", headers={"X-Request-ID": insane}).headers["x-request-id"]
        assert made != insane
        assert len(made) == 32
    assert httpx2.get(f"{url}/nothing").headers["x-request-id"]


def test_a_session_and_a_job_are_in_their_lines_and_nothing_of_what_was_said(server):
    url, log = server

    async def talk():
        async with connect(url.replace("http", "ws") + "/v1/live?token=s3cr3t&share=s3cr3t") as socket:
            assert socket.response.headers["x-request-id"]
            await socket.send(json.dumps(START))
            ready = await until(socket, "ready")
            await send(socket, SOUND)
            await socket.send('{"type": "stop"}')
            await until(socket, "done")
            return ready, socket.response.headers["x-request-id"]

    async def failing():
        async with connect(url.replace("http", "ws") + "/v1/live") as socket:
            await socket.send(json.dumps(START | {"language": "xx"}))
            await socket.wait_closed()

    ready, request = asyncio.run(talk())
    asyncio.run(failing())
    job = httpx2.post(f"{url}/v1/recordings", files={"file": ("m.wav", wav())}).json()["id"]
    broken = httpx2.post(f"{url}/v1/recordings", files={"file": ("b.wav", b"RIFF nothing")}).json()
    wait_until(lambda: lines(log, job_id=job, message=f"recording {job} is transcribed"), 60)
    wait_until(lambda: lines(log, request_id=request))
    assert "id" in broken or "error" in broken
    everything = log.getvalue()
    assert "s3cr3t" not in everything
    assert ready["token"] not in everything
    assert ready["share"] not in everything
    for word in VOCABULARY:
        assert f" {word} " not in everything
        assert f'"{word}"' not in everything
    assert "0.875" not in everything, "the fake decoder's confidence"
    assert "array(" not in everything
    assert "float32" not in everything
    assert max(map(len, everything.splitlines())) < 20_000, "no sound in a line"
    assert all(
        {"time", "level", "logger", "message", "request_id", "session_id", "job_id"} <= set(it) for it in lines(log)
    )
