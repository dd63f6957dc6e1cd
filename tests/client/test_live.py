"""The client over a scripted server: lost connections, other servers, repeated finals, back-pressure, refusals."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from websockets.asyncio.server import serve

from app.client import (
    Done,
    Final,
    Flushed,
    GoAway,
    LiveClient,
    LiveFailed,
    LiveOptions,
    Lost,
    Mark,
    Ready,
    RetryRules,
    SpeakerBounds,
    Speakers,
)
from tests.client.fake_server import WORD_BYTES, Faults, Store, running, words_of

FAST = RetryRules(first_wait_s=0.01, longest_wait_s=0.05, give_up_s=20)
SOUND = random.Random(5).randbytes(20 * WORD_BYTES + 700)


def drive(main):
    async def bounded():
        async with asyncio.timeout(30):
            return await main()

    return asyncio.run(bounded())


async def collect(client, sound=SOUND, piece=731):
    """Send all, stop; all events."""

    async def feed():
        for at in range(0, len(sound), piece):
            await client.send(sound[at : at + piece])
        await client.stop()

    feeding = asyncio.create_task(feed())
    events = [event async for event in client]
    await feeding
    return events


def texts(events):
    return [event.segment.text for event in events if isinstance(event, Final)]


def run_with(faults, rules=FAST, servers=1):
    async def main():
        store = Store()
        async with (
            running(store, faults) as (one, _),
            running(store, faults) as (two, _),
            LiveClient([one, two][:servers], LiveOptions(), rules) as client,
        ):
            return await collect(client), store

    return drive(main)


def test_undisturbed():
    events, store = run_with(Faults())
    assert texts(events) == words_of(SOUND)
    assert isinstance(events[0], Ready)
    assert isinstance(events[-1], Done)
    assert bytes(store.sessions["session-0"].received) == SOUND


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("forget", [0, 3])
@pytest.mark.parametrize("repeat", [False, True])
def test_killed_three_times_gives_every_final_once(servers, forget, repeat):
    events, store = run_with(Faults(drop_after=[4, 9, 15], forget_words=forget, repeat=repeat), servers=servers)
    assert texts(events) == words_of(SOUND)
    assert sum(isinstance(event, Lost) for event in events) == 3
    (session,) = store.sessions.values()
    assert session.connections == 4
    assert [start.get("resume", {}).get("token") for start in session.starts] == [None, *["session-0"] * 3]
    revisions = [event.revision for event in events if isinstance(event, Final)]
    assert revisions == sorted(set(revisions))


def test_goaway_moves_on_to_the_next_server():
    events, store = run_with(Faults(goaway_after=[5]), servers=2)
    assert texts(events) == words_of(SOUND)
    assert any(isinstance(event, GoAway) for event in events)
    assert store.sessions["session-0"].connections == 2


@pytest.mark.parametrize("servers", [1, 2])
def test_a_server_that_cannot_read_the_session_s_state_is_passed_over(servers):
    events, store = run_with(Faults(drop_after=[4], unreadable=2), servers=servers)
    assert texts(events) == words_of(SOUND)
    lost = [event.reason for event in events if isinstance(event, Lost)]
    assert [("snapshot_invalid" in reason) for reason in lost] == [False, True, True]
    assert store.sessions["session-0"].connections == 2


def test_without_acknowledgements_a_full_buffer_makes_send_wait():
    async def main():
        async with (
            running(Store(), Faults(ack=False)) as (url, _),
            LiveClient([url], LiveOptions(), RetryRules(keep_s=0.1)) as client,
        ):
            await client.send(bytes(3200))
            more = asyncio.create_task(client.send(bytes(2)))
            async for event in client:
                if isinstance(event, Final) and event.segment.id == "s1":
                    break
            assert not more.done()
            more.cancel()

    drive(main)


def test_a_sleeping_server_delays_but_loses_nothing():
    async def main():
        store = Store()
        async with running(store) as (url, server), LiveClient([url], LiveOptions(), RetryRules(keep_s=0.2)) as client:
            server.gate.clear()
            collecting = asyncio.create_task(collect(client))
            await server.connected.wait()
            assert not collecting.done()
            server.gate.set()
            assert texts(await collecting) == words_of(SOUND)

    drive(main)


def test_controls_come_back_when_they_are_answered():
    async def main():
        store = Store()
        faults = Faults()
        async with running(store, faults) as (url, server), LiveClient([url], LiveOptions(), FAST) as client:
            await client.send(SOUND[:2000])
            await client.flush()
            assert len(store.sessions["session-0"].finals) == 2
            await client.mark("here")
            await client.rename(1, "Grace")
            server.gate.clear()
            waiting = asyncio.create_task(client.mark("again"))
            await client.send(SOUND[2000:2002])
            faults.drop_after.append(0)  # the connection is cut when that sound comes, before or after the mark
            server.gate.set()
            await waiting
            await client.stop()
            events = [event async for event in client]
        kinds = [type(event) for event in events]
        assert kinds.index(Flushed) < kinds.index(Mark) < kinds.index(Speakers)
        assert [event.names for event in events if isinstance(event, Speakers)] == [{1: "Grace"}]
        assert "again" in [event.id for event in events if isinstance(event, Mark)]

    drive(main)


def test_the_wishes_stand_in_the_start_message():
    async def main():
        store = Store()
        options = LiveOptions(
            language="de", hotwords=("Ada",), speakers=SpeakerBounds(max=3), known_speakers=("k",), partials=False
        )
        async with running(store) as (url, _), LiveClient([url], options) as client:
            await collect(client, b"")
        (start,) = store.sessions["session-0"].starts
        assert start == {
            "type": "start",
            "version": 1,
            "language": "de",
            "hotwords": ["Ada"],
            "speakers": {"max": 3},
            "known_speakers": ["k"],
            "partials": False,
            "audio": {"encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1},
        }

    drive(main)


def test_no_server_at_all_is_an_error_after_a_while():
    async def main():
        async with running(Store()) as (url, _):
            pass
        async with LiveClient([url], rules=RetryRules(give_up_s=0.2, first_wait_s=0.01)) as client:
            with pytest.raises(LiveFailed, match="no server answers") as caught:
                await collect(client)
            assert caught.value.code == "server_unreachable"
            with pytest.raises(LiveFailed, match="no server answers"):
                await client.send(b"xx")

    drive(main)


@pytest.mark.parametrize("refusal", ["by the handshake", "after start"])
def test_a_full_server_is_asked_again_when_it_says(refusal):
    """Not sooner, and by a client without a session only."""
    overloaded = {"type": "error", "revision": 0, "code": "overloaded", "message": "full", "fatal": True}
    tries = []

    async def refuse(connection, request):
        tries.append(asyncio.get_running_loop().time())
        if len(tries) == 1 and refusal == "by the handshake":
            response = connection.respond(503, "full")
            response.headers["Retry-After"] = "1"
            return response
        return None

    async def handle(socket):
        await socket.recv()
        if len(tries) == 1:
            await socket.send(json.dumps(overloaded | {"retry_after_s": 1.0}))
            await socket.close(4005, "overloaded")
        await socket.send(json.dumps({"type": "done", "revision": 1, "duration_s": 0, "segments": 0, "warnings": []}))

    async def run():
        async with serve(handle, "127.0.0.1", 0, process_request=refuse) as server:
            port = server.sockets[0].getsockname()[1]
            async with LiveClient([f"ws://127.0.0.1:{port}"], rules=FAST) as client:
                return [type(event).__name__ async for event in client]

    assert asyncio.run(run())[-1] == "Done"
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 1.0


def test_who_would_wait_too_long_gives_up_at_once():
    async def refuse(connection, _request):
        response = connection.respond(503, "full")
        response.headers["Retry-After"] = "3600"
        return response

    async def run():
        async with serve(lambda _socket: None, "127.0.0.1", 0, process_request=refuse) as server:
            port = server.sockets[0].getsockname()[1]
            async with LiveClient([f"ws://127.0.0.1:{port}"], rules=FAST) as client:
                return [event async for event in client]

    with pytest.raises(LiveFailed, match="503"):
        asyncio.run(run())


def test_a_session_that_the_servers_have_forgotten_is_an_error():
    async def main():
        store = Store()
        async with running(store, Faults(drop_after=[3])) as (url, _), LiveClient([url], rules=FAST) as client:
            await client.send(SOUND[: 6 * WORD_BYTES])
            with pytest.raises(LiveFailed) as caught:
                await forget_when_lost(client, store)
            assert caught.value.code == "session_unknown"

    async def forget_when_lost(client, store):
        async for event in client:
            if isinstance(event, Lost):
                store.sessions.clear()

    drive(main)


def test_a_server_that_speaks_nonsense_is_an_error():
    from websockets.asyncio.server import serve

    async def nonsense(socket):
        await socket.recv()
        await socket.send("what?")
        await socket.wait_closed()

    async def main():
        async with serve(nonsense, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with LiveClient([f"ws://127.0.0.1:{port}"]) as client:
                with pytest.raises(LiveFailed, match="what") as caught:
                    await collect(client)
                assert caught.value.code == "protocol_error"

    drive(main)


def test_after_stop_nothing_more_may_be_given():
    async def main():
        async with running(Store()) as (url, _), LiveClient([url]) as client:
            await client.stop()
            for act in (client.send(b"xx"), client.stop(), client.flush()):
                with pytest.raises(LiveFailed) as caught:
                    await act
                assert caught.value.code == "closed"

    drive(main)
