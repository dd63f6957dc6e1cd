"""A key's minutes are those of the sound, whatever a file says about its length; they end a session in its middle."""

from __future__ import annotations

import asyncio
import json

import httpx2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.access import Access, AccessRules, KeyLimits, NewKey, Scope
from app.jobs.types import NewJob
from app.store import open_database
from app.wiring import store_from, store_url
from tests.engine.fake_worker import fake_engine
from tests.transport.access.test_routes import bearer, keyed
from tests.transport.live.talk import START
from tests.transport.server import serving, wait_until, wav

SECOND = bytes(32_000)


@pytest.fixture
def server(tmp_path):
    """(url, access, headers of a key with one minute a day)."""
    chosen, engine = keyed(tmp_path), fake_engine()
    with serving(engine, chosen) as url:
        database = open_database(store_url(chosen))
        access = Access(database, AccessRules())
        text, key = access.keys.create(NewKey("brief", "", frozenset(Scope), KeyLimits(audio_minutes_per_day=1)))
        yield url, access, bearer(text), key.id
        database.close()
    asyncio.run(engine.aclose())


def silence(seconds: int, *, stated_s: float | None) -> bytes:
    """A WAV file that says nothing about its length, or something else."""
    data = bytearray(wav(np.zeros(seconds * 16_000)))
    size = 0xFFFF_FFFF if stated_s is None else round(stated_s * 32_000)
    data[4:8], data[40:44] = min(size + 36, 0xFFFF_FFFF).to_bytes(4, "little"), size.to_bytes(4, "little")
    return bytes(data)


def test_a_recording_that_says_nothing_is_measured(server):
    url, access, headers, key_id = server
    with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
        late = http.post("/v1/recordings", files={"file": ("m.wav", silence(70, stated_s=None))})
        assert (late.status_code, late.json()["error"]["code"]) == (429, "limit_reached")
        assert int(late.headers["retry-after"]) >= 1
        assert access.usage.today_s(key_id) == 0
        assert http.get("/v1/recordings").json()["data"] == []
        made = http.post("/v1/recordings", files={"file": ("m.wav", silence(40, stated_s=None))})
        assert made.status_code == 202
        assert access.usage.today_s(key_id) == pytest.approx(40, abs=0.1)
        assert http.post("/v1/recordings", files={"file": ("m.wav", silence(30, stated_s=None))}).status_code == 429


def test_a_key_without_a_limit_is_counted_as_it_is_transcribed(server):
    url, access, _, _ = server
    text, key = access.keys.create(NewKey("any", "", frozenset(Scope)))
    with httpx2.Client(base_url=url, headers=bearer(text), timeout=60) as http:
        made = http.post("/v1/recordings", files={"file": ("m.wav", silence(40, stated_s=None))}).json()
        wait_until(lambda: http.get(f"/v1/recordings/{made['id']}").json()["state"] == "succeeded", 60)
    assert access.usage.today_s(key.id) == pytest.approx(40, abs=0.1)


def test_a_recording_that_turns_out_longer_than_was_counted_stops(server, tmp_path):
    url, access, headers, key_id = server
    store = store_from(keyed(tmp_path))
    blob = store.blobs.put_stream([silence(300, stated_s=None)], 1 << 30)
    job, _ = store.jobs.create(NewJob(blob, "m.wav", key_id=key_id, counted=10 * 16_000))
    with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
        wait_until(lambda: http.get(f"/v1/recordings/{job.id}").json()["state"] == "failed", 60)
        failed = http.get(f"/v1/recordings/{job.id}").json()
    store.database.close()
    assert failed["failure"]["code"] == "limit_reached"
    assert "minutes of sound a day" in failed["failure"]["message"]
    assert 60 < access.usage.today_s(key_id) <= 120


def test_a_transcription_stops_where_the_minutes_do(server):
    url, access, headers, key_id = server
    late = httpx2.post(
        f"{url}/v1/audio/transcriptions",
        headers=headers,
        files={"file": ("m.wav", silence(300, stated_s=None))},
        timeout=60,
    )
    assert (late.status_code, late.json()["error"]["code"]) == (429, "limit_reached")
    assert 60 <= access.usage.today_s(key_id) <= 120


def test_a_live_session_ends_in_its_middle(server):
    url, access, headers, key_id = server
    said = []
    with connect(f"{url.replace('http', 'ws')}/v1/live", additional_headers=headers) as socket:
        socket.send(json.dumps(START))
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - the close may come while sending or reading
            for _ in range(120):
                socket.send(SECOND)
            while True:
                said.append(json.loads(socket.recv(60)))
    assert caught.value.rcvd.code == 1008
    assert caught.value.rcvd.reason == "limit_reached"
    assert 60 <= access.usage.today_s(key_id) <= 121
