"""A queue that is full: told before anything is sent, in words and with a time, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest
from websockets.asyncio.client import connect

from app.settings import JobsGroup
from tests.transport.live.talk import SOUND, opened, send, until, words
from tests.transport.recordings.calls import code, submit, unfinished
from tests.transport.recordings.conftest import HeldEngine
from tests.transport.server import SCRIPT, serving, settings, wait_until

TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A server whose one slot is taken and whose one waiting place too; (client, engine, key of the one that waits)."""
    engine = HeldEngine()
    engine.hold()
    jobs = JobsGroup(poll_s=0.05, slots=1, max_queued=1)
    chosen = settings(tmp_path_factory.mktemp("full"), {"probe_interval_s": 3600.0}, jobs=jobs)
    with serving(engine, chosen) as url, httpx2.Client(base_url=url, timeout=30) as http:
        engine.release()
        wait_until(lambda: http.get("/readyz").status_code == 200, 30)
        engine.hold()
        runs = submit(http).headers["location"]
        wait_until(lambda: http.get(runs).json()["state"] == "running", 30)
        assert submit(http, headers={"Idempotency-Key": "waits"}).status_code == 202
        yield http, engine
        engine.release()
        wait_until(lambda: not unfinished(http), 60)
    asyncio.run(engine.aclose())


def refused(answer) -> int:
    """The seconds that a refused client is told to wait."""
    assert code(answer) == (503, "queue_full"), answer.text
    assert "the queue is full: 1 recordings wait" in answer.json()["error"]["message"]
    return int(answer.headers["retry-after"])


def test_an_upload_is_refused_and_told_when_to_come(full):
    http, _ = full
    assert 1 <= refused(submit(http)) <= 3600
    # Who asks again for what waits already is answered, and so is a form that is wrong anyway.
    assert submit(http, headers={"Idempotency-Key": "waits"}).status_code == 200


def test_a_large_upload_gets_its_answer_and_not_a_broken_line(full):
    http, _ = full
    for _ in range(3):
        refused(submit(http, data=b"x" * (48 * 1024**2)))


def test_an_upload_in_parts_is_refused_before_its_first_byte(full):
    http, _ = full
    refused(http.post("/v1/uploads", headers=TUS | {"Upload-Length": "1000"}))


def test_what_was_cancelled_cannot_be_queued_again_while_it_is_full(full):
    http, _ = full
    waiting = http.get("/v1/recordings", params={"state": "queued"}).json()["data"]
    assert len(waiting) == 1
    path = f"/v1/recordings/{waiting[0]['id']}"
    assert http.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert submit(http, headers={"Idempotency-Key": "next"}).status_code == 202, "a place was free"
    refused(http.post(f"{path}/retry"))
    assert http.get(path).json()["state"] == "cancelled"


def test_it_is_counted_and_the_limit_is_told(full):
    http, _ = full
    refused(submit(http))
    figures = http.get("/metrics").text
    assert "crosstalk_job_queue_limit 1.0" in figures
    assert 'crosstalk_jobs{state="queued"} 1.0' in figures
    counted = re.search(r'crosstalk_errors_total\{code="queue_full",where="http"\} (\d+)', figures)
    assert counted is not None
    assert int(counted[1]) >= 1


def test_the_server_stays_ready_and_a_live_stream_goes_on(full):
    """The queue is one matter, live captions another: a balancer must not take the server away."""
    http, engine = full
    # The engine is held for the recording that runs; live streams are asked only when it is released.
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")

    async def talk() -> list[str]:
        seen: list[dict] = []
        async with connect(str(http.base_url).replace("http", "ws").rstrip("/") + "/v1/live") as socket:
            await opened(socket)
            refused(await asyncio.to_thread(submit, http))
            engine.release()
            await send(socket, SOUND)
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return words(seen)

    assert sorted(asyncio.run(talk())) == sorted(word for line in SCRIPT for word in line.text.split())
