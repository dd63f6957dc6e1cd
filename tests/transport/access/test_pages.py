"""Pages of other hosts: named ones may use the API and its sockets, all others may not, by whatever name they come."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.settings import AccessGroup
from tests.engine.fake_worker import fake_engine
from tests.transport.server import serving, settings

FRIEND, STRANGER = "https://meetings.example", "https://stranger.example"


@pytest.fixture
def base(tmp_path):
    engine = fake_engine()
    with serving(engine, settings(tmp_path, access=AccessGroup(origins=(FRIEND,)))) as base:
        yield base
    asyncio.run(engine.aclose())


def preflight(base, origin):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return httpx2.options(f"{base}/v1/recordings", headers=asked)


def test_a_browser_learns_which_pages_may(base):
    allowed, refused = preflight(base, FRIEND), preflight(base, STRANGER)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == FRIEND
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    got = httpx2.get(f"{base}/v1/recordings", headers={"Origin": FRIEND})
    assert got.headers["access-control-allow-origin"] == FRIEND


def test_what_a_strangers_page_would_change_is_refused(base):
    file = {"file": ("a.wav", b"RIFF")}
    told = httpx2.post(f"{base}/v1/recordings", files=file, headers={"Origin": STRANGER})
    assert (told.status_code, told.json()["error"]["code"]) == (403, "origin_refused")
    assert "access-control-allow-origin" not in told.headers
    mine = httpx2.post(f"{base}/v1/recordings", files=file, headers={"Origin": base})
    assert mine.status_code != 403


def test_a_name_that_a_stranger_made_point_here_is_refused(base):
    headers = {"Host": "stranger.example", "Origin": "http://stranger.example"}
    told = httpx2.get(f"{base}/v1/recordings", headers=headers)
    assert (told.status_code, told.json()["error"]["code"]) == (403, "host_refused")


@pytest.mark.parametrize("path", ["/v1/live", "/v1/listen"])
def test_a_strangers_page_opens_no_socket(base, path):
    url = base.replace("http", "ws") + path

    async def opens(origin):
        try:
            async with connect(url, origin=origin):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    assert asyncio.run(opens(STRANGER)) == 403
    assert asyncio.run(opens(FRIEND)) == 101
    assert asyncio.run(opens(base)) == 101
