"""Load and latency over a scripted server (no models)."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from websockets.asyncio.server import serve

from app.audio import AudioLimits
from app.bench.latency import LatencyOptions, replay
from app.bench.live_report import latency_rows, render_json, render_markdown, run_facts
from app.bench.load import LoadOptions, Usage, run_load
from app.client import Final
from tests.client.fake_server import Faults, Server, Store, running, words_of
from tests.transport.server import DURATION_S, wav


def drive(main):
    async def bounded():
        async with asyncio.timeout(60):
            return await main()

    return asyncio.run(bounded())


def test_streams_are_added_and_measured():
    async def main():
        async with running(Store()) as (url, _):
            used = iter(range(100))
            options = LoadOptions((url,), max_streams=5, batch=3, hold_s=1.5, lag_limit_s=30.0)
            return await run_load(bytes(32000), options, lambda: Usage(1000, float(next(used))))

    steps = drive(main)
    assert [step.streams for step in steps] == [1, 4, 5]
    assert all(step.finals > 0 and step.echo_p50_s is not None and step.lost == 0 for step in steps)
    assert steps[0].lag_s == 0.0
    assert all(step.rss_bytes == 1000 and step.cores > 0 for step in steps)


def test_it_ends_when_captions_are_late():
    async def main():
        async with running(Store()) as (url, server):
            options = LoadOptions((url,), max_streams=9, batch=2, hold_s=3.0, lag_limit_s=0.2)
            return await run_load(bytes(32000), options, on_step=lambda _step: server.gate.clear() or reopen(server))

    def reopen(server):
        # From now on nothing is taken for two seconds: every mark of that time is late.
        asyncio.get_running_loop().call_later(2.0, server.gate.set)

    steps = drive(main)
    assert [step.streams for step in steps] == [1, 3]
    assert steps[1].lag_s > 0.2


def test_who_is_refused_is_told_apart_and_does_not_count_as_lag():
    full = {"type": "error", "revision": 0, "code": "overloaded", "message": "full", "param": None, "fatal": True}

    async def main():
        server, came = Server(Store(), Faults()), itertools.count()

        async def one_only(socket):
            if next(came) == 0:
                await server.handle(socket)
            else:
                await socket.recv()
                await socket.send(json.dumps(full | {"retry_after_s": 10.0}))
                await socket.close(4005, "overloaded")

        async with serve(one_only, "127.0.0.1", 0, close_timeout=0.5) as listening:
            url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/live"
            options = LoadOptions((url,), max_streams=3, batch=1, hold_s=2.0, lag_limit_s=30.0)
            return await run_load(bytes(32000), options)

    steps = drive(main)
    assert [(step.streams, step.refused, step.lost) for step in steps] == [(1, 0, 0), (1, 1, 0)]
    assert steps[1].lag_s < 5.0


def test_work_beside_the_streams_is_a_step_of_its_own():
    async def work():
        await asyncio.sleep(1.5)

    async def main():
        async with running(Store()) as (url, _):
            options = LoadOptions((url,), max_streams=1, hold_s=1.0, lag_limit_s=30.0)
            return await run_load(bytes(32000), options, beside=work)

    alone, beside = drive(main)
    assert (alone.streams, alone.beside_s) == (1, None)
    assert beside.streams == 1
    assert beside.beside_s == pytest.approx(1.5, abs=0.5)
    assert beside.finals > 0


def test_a_recording_is_replayed_whole(tmp_path):
    path = tmp_path / "meeting.wav"
    path.write_bytes(wav())

    async def main():
        async with running(Store()) as (url, _):
            return await replay(path, LatencyOptions((url,), speed=0.0), AudioLimits())

    trace = drive(main)
    finals = [seen.event.segment.text for seen in trace.events if isinstance(seen.event, Final)]
    assert finals == words_of(wav()[44:])
    assert trace.duration_s == pytest.approx(DURATION_S)
    assert trace.wall_s >= trace.events[0].at_s


def test_reports_name_the_machine_and_pool():
    facts = run_facts("Latency", {"speed": "1"})
    rows = latency_rows([])
    assert json.loads(render_json(facts, rows))["rows"][0]["meeting"] == "all"
    text = render_markdown(facts, rows)
    assert "# Latency" in text
    assert "| all | 0 | - |" in text
