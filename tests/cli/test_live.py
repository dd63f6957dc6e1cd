"""`crosstalk live` over a scripted server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import threading
from contextlib import contextmanager

import pytest
from rich.console import Console

from app.cli.captions import Captions
from app.client import Final, Lag, Partial, Ready, Segment, Speakers
from tests.client.fake_server import WORD_BYTES, Faults, Store, running, words_of
from tests.transport.server import wav


@contextmanager
def served(faults=None):
    """(url, store) of a scripted server in a thread of its own."""
    store, ready, box = Store(), threading.Event(), {}

    async def main():
        end = asyncio.Event()
        async with running(store, faults) as (url, _):
            box.update(url=url, end=end, loop=asyncio.get_running_loop())
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield box["url"], store
    finally:
        box["loop"].call_soon_threadsafe(box["end"].set)
        thread.join(10)


def expected():
    import wave

    with wave.open(io.BytesIO(wav())) as file:
        return words_of(file.readframes(file.getnframes()))


def test_a_file_as_json_lines(crosstalk, meeting_wav):
    with served() as (url, store):
        result = crosstalk("live", meeting_wav, "--url", url, "--speed", "0", "--json", "-l", "en", "--known", "ada")
    assert (result.status, result.err) == (0, "")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [it["segment"]["text"] for it in events if it["type"] == "final"] == expected()
    assert (events[0]["type"], events[-1]["type"]) == ("ready", "done")
    assert events[0]["later"]  # what the client does not know is there too
    (start,) = store.sessions["session-0"].starts
    assert (start["language"], start["known_speakers"]) == ("en", ["ada"])


def test_a_file_as_plain_lines_over_a_lost_connection(crosstalk, meeting_wav):
    with served(Faults(drop_after=[20], forget_words=5)) as (url, _):
        result = crosstalk("live", meeting_wav, "--url", url, "--speed", "0")
    assert result.status == 0
    lines = result.out.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == expected()
    assert lines[21].startswith("[0:01] Speaker 2: ")
    assert "connection lost" in result.err


def test_no_server_is_one_line(crosstalk, meeting_wav, monkeypatch):
    from app.client import options

    monkeypatch.setattr(options.RetryRules.__init__, "__defaults__", (300.0, 0.1, 0.05, 0.1, 15.0, 45.0))
    with served() as (url, _):
        pass
    result = crosstalk("live", meeting_wav, "--url", url, "--speed", "0", "--json")
    assert result.status == 1
    assert "[server_unreachable]" in result.err.splitlines()[-1]


def test_a_file_that_is_none(crosstalk, tmp_path):
    result = crosstalk("live", tmp_path / "none.wav", "--url", "ws://127.0.0.1:1/")
    assert result.status == 3


def test_without_the_library_the_microphone_is_a_set_up_error(crosstalk, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = crosstalk("live", "--url", "ws://127.0.0.1:1/")
    assert result.status == 4
    assert "crosstalk[mic]" in result.err


def test_without_a_device_the_microphone_is_a_set_up_error(crosstalk, monkeypatch):
    class Sounddevice:
        class PortAudioError(Exception):
            pass

        def RawInputStream(self, **options):
            raise self.PortAudioError("Error querying device -1")

    monkeypatch.setitem(sys.modules, "sounddevice", Sounddevice())
    result = crosstalk("live", "--url", "ws://127.0.0.1:1/")
    assert result.status == 4
    assert "no microphone" in result.err


def test_ctrl_c_ends_the_sound_and_waits_for_the_tail(crosstalk, monkeypatch):
    sound = bytes(range(256)) * 20

    class Stream:
        def __init__(self, callback):
            self.callback = callback

        def start(self):
            self.callback(sound, 0, None, None)
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

        def close(self):
            pass

    class Sounddevice:
        PortAudioError = OSError

        def RawInputStream(self, callback, **options):
            return Stream(callback)

    monkeypatch.setitem(sys.modules, "sounddevice", Sounddevice())
    with served() as (url, _):
        result = crosstalk("live", "--url", url, "--json")
    assert result.status == 0
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [it["segment"]["text"] for it in events if it["type"] == "final"] == words_of(sound)
    assert len(sound) % WORD_BYTES
    assert events[-1]["type"] == "done"


def line(number, speaker, text):
    return Segment(f"s{number}", speaker, float(number), number + 0.5, text, (), (), False)


def test_a_terminal_shows_finals_the_tail_and_corrections():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60, color_system="standard", legacy_windows=False)
    with Captions(console) as captions:
        captions.show(Ready(0, "s", "t", "v", False, 0, 1))
        captions.show(Partial(0, (line(1, 0, "tentative words"),)))
        assert "tentative words" in stream.getvalue()
        captions.show(Final(1, line(1, 0, "certain words")))
        captions.show(Lag(1, 3.5, "behind"))
        assert "3.5 s behind" in stream.getvalue()
        captions.show(Speakers(2, {"s1": 1}, {1: "Grace"}))
    shown = stream.getvalue()
    assert "certain words" in shown
    assert "it was Grace, not Speaker 1" in shown


@pytest.mark.parametrize("arguments", [("--speed", "-1"), ("--language", "klingon"), ("--num-speakers", "0")])
def test_wrong_wishes_are_refused(crosstalk, meeting_wav, arguments):
    result = crosstalk("live", meeting_wav, "--url", "ws://127.0.0.1:1/", *arguments)
    assert result.status in {2, 3}
