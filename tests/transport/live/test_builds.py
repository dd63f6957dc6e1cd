"""A session whose state this server cannot go on from: the client is told, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing, contextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import SOUND, START, opened, send, until
from tests.transport.server import serving, settings


@contextmanager
def server(folder):
    engine = fake_engine()
    try:
        with serving(engine, settings(folder)) as base:
            yield base.replace("http", "ws") + "/v1/live"
    finally:
        asyncio.run(engine.aclose())


def stored(folder, change=None) -> bytes:
    """The one session's snapshot; `change` takes its place."""
    (path,) = (folder / "data").rglob("*.sqlite")
    with closing(sqlite3.connect(path)) as database:
        ((found,),) = database.execute("SELECT snapshot FROM live_session").fetchall()
        if change is not None:
            database.execute("UPDATE live_session SET snapshot = ?", (change,))
            database.commit()
    return found


async def begun(url):
    seen = []
    async with connect(url) as socket:
        ready = await opened(socket)
        await send(socket, SOUND[:240_000])
        await until(socket, "ack", seen)
        await until(socket, "final", seen)
    return ready["token"], seen


async def again(url, token, have, to_the_end):
    """(events, how the server closed)"""
    seen = []
    async with connect(url) as socket:
        await socket.send(json.dumps(START | {"resume": {"token": token, "have_revision": have}}))
        if to_the_end:
            ready = await until(socket, "ready", seen)
            await send(socket, SOUND[ready["from_samples"] * 2 :])
            await socket.send('{"type": "stop"}')
        try:
            async with asyncio.timeout(60):
                while True:
                    seen.append(json.loads(await socket.recv()))
        except ConnectionClosed as closed:
            return seen, closed.rcvd.code


def finals(events):
    return [event["segment"] for event in events if event["type"] == "final"]


@pytest.mark.parametrize("wrong", ["version", "models"])
def test_it_is_refused_in_words_and_goes_on_where_it_can(tmp_path, wrong):
    with server(tmp_path) as url:
        token, first = asyncio.run(begun(url))
    kept = stored(tmp_path)
    state = json.loads(kept)
    if wrong == "version":
        state["crosstalk_live"] += 1
    else:
        state["state"]["spec"] = "another model"
    stored(tmp_path, json.dumps(state).encode())
    have = max(event["revision"] for event in first)
    with server(tmp_path) as url:
        seen, code = asyncio.run(again(url, token, have, to_the_end=False))
        assert [(event["code"], event["fatal"]) for event in seen] == [("snapshot_invalid", True)]
        assert code == 1012
        stored(tmp_path, kept)  # as a server that can read it would find it: nothing was changed
        rest, code = asyncio.run(again(url, token, have, to_the_end=True))
        assert code == 1000
    with server(tmp_path / "undisturbed") as url:
        token, head = asyncio.run(begun(url))
        have = max(event["revision"] for event in head)
        tail, _ = asyncio.run(again(url, token, have, to_the_end=True))
    assert finals([*first, *rest]) == finals([*head, *tail])
