"""app/transport/observed.py: ids of requests and their log lines; and that no log holds sound, words or vectors."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import httpx2
import pytest
import uvicorn
from websockets.asyncio.client import connect

from app.main import create_app
from app.observe import set_up_logging
from app.settings import Settings
from app.transport.server import DrainingServer
from tests.engine.fake_worker import VOCABULARY, fake_engine
from tests.running import running
from tests.transport.live.talk import SOUND, START, send, until
from tests.transport.server import serving, settings, wait_until, wav


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
    job = httpx2.post(
        f"{url}/v1/recordings", files={"file": ("zanzibar.wav", wav())}, data={"hotwords": "Zanzibar"}
    ).json()["id"]
    edited = {"speakers": {"0": "Zanzibar"}}
    broken = httpx2.post(f"{url}/v1/recordings", files={"file": ("b.wav", b"RIFF nothing")}).json()
    wait_until(lambda: lines(log, job_id=job, message=f"recording {job} is transcribed"), 60)
    transcript = f"{url}/v1/recordings/{job}/transcript"
    shown = {"If-Match": httpx2.get(transcript).headers["etag"]}
    assert httpx2.patch(transcript, json=edited, headers=shown).status_code == 200
    wait_until(lambda: lines(log, request_id=request))
    assert "id" in broken or "error" in broken
    everything = log.getvalue()
    assert "s3cr3t" not in everything
    assert ready["token"] not in everything
    assert ready["share"] not in everything
    for word in VOCABULARY:
        assert f" {word} " not in everything
        assert f'"{word}"' not in everything
    assert "zanzibar" not in everything.lower(), "names of files, people and things"
    assert "0.875" not in everything, "the fake decoder's confidence"
    assert "array(" not in everything
    assert "float32" not in everything
    assert max(map(len, everything.splitlines())) < 20_000, "no sound in a line"
    assert all(
        {"time", "level", "logger", "message", "request_id", "session_id", "job_id"} <= set(it) for it in lines(log)
    )


def test_what_nobody_expected_is_a_500_with_its_request_in_the_log_and_in_the_answer(tmp_path):
    async def broken() -> None:
        raise RuntimeError("nobody expected this")

    root = logging.getLogger()
    handlers, level, log, engine = root.handlers, root.level, io.StringIO(), fake_engine()
    app = create_app(settings(tmp_path), engine)
    app.add_api_route("/broken", broken)
    server = DrainingServer(uvicorn.Config(app, log_config=None, lifespan="on"), app)
    set_up_logging("info", "json", log)
    try:
        with running(server) as url:
            answer = httpx2.get(f"{url}/broken", headers={"X-Request-ID": "mine"})
            wait_until(lambda: lines(log, request_id="mine", logger="app.transport.observed"))
            wait_until(lambda: [it for it in lines(log, request_id="mine") if "traceback" in it])
            figures = httpx2.get(f"{url}/metrics").text
    finally:
        root.handlers = handlers
        root.setLevel(level)
    asyncio.run(engine.aclose())
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    assert answer.json()["error"]["code"] == "internal_error"
    assert "nobody expected" not in answer.text
    assert 'crosstalk_http_requests_total{method="GET",route="/broken",status="500"} 1.0' in figures
    assert 'crosstalk_errors_total{code="internal_error",where="http"} 1.0' in figures
