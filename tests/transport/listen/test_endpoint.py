"""/v1/listen on a real socket: Deepgram's own client, and what a client may do wrong."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
import threading
import time
import wave
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app.access import Access, AccessRules
from app.audio.limits import AudioLimits
from app.errors import EngineFailed
from app.live.session import LiveSession
from app.store import open_database
from app.transport.access.guard import Guard
from app.transport.access.rules import GuardRules
from app.transport.listen import endpoint
from app.transport.live.hub import LiveHub
from app.transport.live.limits import LiveLimits
from app.transport.live.store import MemoryLiveStore
from tests.engine.fake_worker import fake_engine
from tests.transport.listen.whole_session import WholeSession
from tests.transport.server import DURATION_S, SCRIPT, wav

deepgram_sdk = pytest.mark.filterwarnings(
    # The SDK still reaches for the names that websockets had before version 14.
    "ignore:websockets:DeprecationWarning",
    "ignore:.*deepgram.*:DeprecationWarning",
)

VOICES = {line.voice for line in SCRIPT}
WORDS_OF_LINES = [line.text.split() for line in SCRIPT]


def pcm():
    with wave.open(io.BytesIO(wav())) as file:
        return file.readframes(file.getnframes())


@contextmanager
def listening(real=False, live=None, **options):
    """(host:port, service) of a server with only this endpoint. real: the driver itself; live: the hub's limits."""
    engine = fake_engine()
    hub = LiveHub(lambda wanted, _: LiveSession(engine, wanted), MemoryLiveStore(), LiveLimits(**(live or {})))
    service = endpoint.ListenService(
        open_session=lambda wanted: (LiveSession if real else WholeSession)(engine, wanted),
        hub=hub,
        limits=AudioLimits(),
        model="fake",
        version="1",
        **options,
    )
    app = FastAPI()
    app.add_middleware(Guard, rules=GuardRules())
    app.state.access = Access(open_database("sqlite:///never-opened.sqlite"), AccessRules())
    app.include_router(endpoint.router)
    app.state.listen = service
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    loop = asyncio.new_event_loop()
    hub.loop = loop

    def serve() -> None:
        # The runner ends the loop's last work before it closes the loop: connections that are being closed.
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve([listener]))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"127.0.0.1:{listener.getsockname()[1]}", service
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        asyncio.run(engine.aclose())


@pytest.fixture(scope="module")
def address():
    with listening() as (found, _):
        yield found


RAW = "encoding=linear16&sample_rate=16000"


@contextmanager
def raw(address, query=RAW, **options):
    with connect(f"ws://{address}/v1/listen?{query}", proxy=None, open_timeout=20, **options) as client:
        yield client


def rest(client):
    """All messages until the close."""
    messages = []
    try:
        while True:
            messages.append(json.loads(client.recv(timeout=30)))
    except ConnectionClosed as error:
        return messages, error


def environment(address):
    return DeepgramClientEnvironment(
        base=f"http://{address}", production=f"ws://{address}", agent=f"ws://{address}", agent_rest=f"http://{address}"
    )


def spoken(messages):
    found = {}
    for message in messages:
        if message.type == "Results" and message.is_final:
            for word in message.channel.alternatives[0].words:
                found.setdefault(word.speaker, []).append(word.word)
    return found


@deepgram_sdk
def test_deepgrams_own_client(address):
    client = DeepgramClient(api_key="any", environment=environment(address))
    messages, ended = [], threading.Event()
    with client.listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16000, diarize=True, interim_results=True, punctuate=True,
        vad_events=True, utterance_end_ms="1000", keyterm="Ada",
    ) as connection:  # fmt: skip
        connection.on(EventType.MESSAGE, messages.append)
        connection.on(EventType.CLOSE, lambda _: ended.set())
        thread = threading.Thread(target=connection.start_listening)
        thread.start()
        sound = pcm()
        connection.send_keep_alive()
        for at in range(0, len(sound), 7777):
            connection.send_media(sound[at : at + 7777])
        connection.send_close_stream()
        assert ended.wait(30)
        thread.join(10)
    assert sorted(map(sorted, spoken(messages).values())) == sorted(
        [sorted(w for line in SCRIPT if line.voice == voice for w in line.text.split()) for voice in VOICES]
    )
    kinds = [message.type for message in messages]
    assert {"Results", "SpeechStarted", "UtteranceEnd"} <= set(kinds)
    assert kinds[-1] == "Metadata"
    assert messages[-1].duration == pytest.approx(DURATION_S)
    assert messages[-1].sha256 == hashlib.sha256(pcm()).hexdigest()
    assert any(message.type == "Results" and not message.is_final for message in messages)


@deepgram_sdk
def test_deepgrams_own_async_client_finalizes(address):
    async def main():
        client = AsyncDeepgramClient(api_key="any", environment=environment(address))
        async with client.listen.v1.connect(
            model="m", encoding="linear16", sample_rate=16000, diarize_model="v1"
        ) as it:
            await it.send_media(pcm())
            await it.send_finalize()
            words = []
            while not (message := await it.recv()).from_finalize:
                words += [word.word for word in message.channel.alternatives[0].words]
            assert len(words) == sum(map(len, WORDS_OF_LINES))
            await it.send_close_stream()
            while (message := await it.recv()).type != "Metadata":
                pass

    asyncio.run(asyncio.wait_for(main(), 60))


def test_an_empty_frame_ends_the_stream_and_a_wav_file_is_a_container_that_is_refused(address):
    with raw(address) as client:
        client.send(pcm())
        client.send(b"")
        messages, error = rest(client)
    assert messages[-1]["type"] == "Metadata"
    assert error.rcvd.code == 1000
    with raw(address) as client:
        client.send(wav())
        _, error = rest(client)
    assert error.rcvd.code == 1008
    assert error.rcvd.reason.startswith("DATA-0000")


def test_garbage_in_a_container_is_data_0000(address):
    with raw(address, "model=x") as client:
        client.send(b"garbage" * 1000)
        with suppress(ConnectionClosed):  # the server may have closed by now
            client.send('{"type": "CloseStream"}')
        _, error = rest(client)
    assert (error.rcvd.code, error.rcvd.reason[:9]) == (1008, "DATA-0000")


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"type": "Dance"}', "{}", '{"type": 1}', "[" * 5000])
def test_nonsense_is_answered_and_the_stream_goes_on(address, text):
    with raw(address) as client:
        client.send(text)
        answer = json.loads(client.recv(timeout=20))
        assert (answer["type"], answer["variant"]) == ("Error", "SchemaError")
        client.send('{"type": "CloseStream"}')
        messages, error = rest(client)
    assert [message["type"] for message in messages] == ["Metadata"]
    assert error.rcvd.code == 1000


def test_silence_ends_it_but_keep_alive_does_not():
    with listening(silence_s=1.0) as (address, _), raw(address) as client:
        begun = time.monotonic()
        for _ in range(4):
            time.sleep(0.4)
            client.send('{"type": "KeepAlive"}')
        _, error = rest(client)
        assert time.monotonic() - begun > 2.4
    assert error.rcvd.code == 1011
    assert error.rcvd.reason.startswith("NET-0001")


@pytest.mark.parametrize(
    "query", ["encoding=flac", "multichannel=true", "dance=1", f"{RAW}&redact=pci", "encoding=mulaw"]
)
def test_what_cannot_be_done_is_refused_in_their_shape(address, query):
    with pytest.raises(InvalidStatus) as caught, raw(address, query):
        pass
    response = caught.value.response
    body = json.loads(response.body)
    assert response.status_code == 400
    assert body["request_id"] == response.headers["dg-request-id"]
    assert body["err_msg"] == response.headers["dg-error"]
    assert set(body) == {"err_code", "err_msg", "request_id"}


def test_the_subprotocol_is_confirmed():
    with listening() as (address, _), raw(address, subprotocols=["token", "any"]) as client:
        assert client.subprotocol == "token"


def test_room_is_limited_and_given_back():
    with listening(live={"max_sessions": 1}) as (address, service):
        with raw(address):
            with pytest.raises(InvalidStatus) as caught, raw(address):
                pass
            assert caught.value.response.status_code == 503
        end = time.monotonic() + 20
        while service.hub.sessions:
            assert time.monotonic() < end
            time.sleep(0.01)
        with raw(address):
            pass


def test_a_session_that_is_sent_away_writes_the_rest_and_says_so():
    with listening(real=True) as (address, service), raw(address, RAW + "&interim_results=true") as client:
        sound = pcm()
        client.send(sound[:160_000])
        before = [json.loads(client.recv(timeout=60))]
        while before[-1]["type"] != "Results":
            before.append(json.loads(client.recv(timeout=60)))
        asyncio.run_coroutine_threadsafe(service.hub.drain(), service.hub.loop).result(60)
        messages, error = rest(client)
        with pytest.raises(InvalidStatus) as caught, raw(address):
            pass
    assert caught.value.response.status_code == 503
    finals = [it for it in [*before, *messages] if it["type"] == "Results" and it["is_final"]]
    words = [word["word"] for it in finals for word in it["channel"]["alternatives"][0]["words"]]
    assert words[:3] == WORDS_OF_LINES[0][:3]
    assert messages[-1]["type"] == "Metadata"
    assert "this server is going away" in messages[-1]["warnings"]
    assert error.rcvd.code == 1001


def test_a_session_ends_at_its_longest_time():
    with listening(real=True, live={"max_duration_s": 4.0}) as (address, _), raw(address) as client:
        client.send(pcm())
        messages, error = rest(client)
    assert messages[-1]["type"] == "Metadata"
    assert messages[-1]["duration"] == pytest.approx(4.0)
    assert any("longest session is 4 s" in warning for warning in messages[-1]["warnings"])
    assert error.rcvd.code == 1000


def test_an_idle_limit_of_the_server_counts_here_too():
    with listening(live={"idle_timeout_s": 0.5}) as (address, _), raw(address) as client:
        _, error = rest(client)
    assert error.rcvd.reason.startswith("NET-0001")


def test_a_failing_engine_is_told_with_its_code():
    with listening() as (address, service):
        open_ = service.open_session

        def failing(wanted):
            session = open_(wanted)
            session._updates.put_nowait(EngineFailed("it broke"))
            return session

        service.open_session = failing
        with raw(address) as client:
            _, error = rest(client)
    assert (error.rcvd.code, error.rcvd.reason) == (1011, "engine_failed: it broke")
