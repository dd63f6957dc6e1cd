"""Decoding apart: the same sound as here, nothing but decoding, and whatever the process does is the media's fault."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import numpy as np
import pytest

from app.audio import AudioLimits, AudioWarning, aopen_recording, open_recording
from app.audio.jail import parent, wire
from app.audio.jail.confine import filters_calls
from app.audio.jail.parent import DecoderProcess
from app.audio.jail.wire import Kind, Malformed, Task
from app.audio.limits import ProcessLimits
from app.audio.stream import ContainerStream
from app.core.types import Frames
from app.errors import AudioEmpty, AudioTooLong, AudioUnreadable, OptionInvalid, Overloaded
from app.settings import LimitsGroup, Settings
from app.wiring import audio_limits

APART = AudioLimits(process=ProcessLimits())


@pytest.fixture
def instead(monkeypatch):
    """Code that runs in place of the decoder."""

    def use(code: str) -> None:
        body = "; ".join(["import os, sys, time", f"sys.path.insert(0, {str(parent._ROOT)!r})", code])
        monkeypatch.setattr(parent, "_BOOT", body)

    return use


READY = "os.write(1, b'\\x01\\0\\0\\0\\0')"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.m4a", "aac"),
        ("a.mp3", "libmp3lame"),
        ("a.opus", "libopus"),
        ("a.webm", "libopus"),
        ("a.mka", "ac3"),
    ],
)
def test_every_kind_sounds_as_it_does_here(media, pulses, read, name, codec):
    path = media.encode(name, codec, np.repeat(pulses([0.5, 1.7], 2.5), 2, 0))
    here, known = read(path)
    apart, told = read(path, APART)
    np.testing.assert_array_equal(apart, here)
    assert (told.info, told.warnings) == (known.info, known.warnings)
    np.testing.assert_array_equal(read(path, APART, channel=1)[0], read(path, channel=1)[0])


def test_video_and_what_was_noticed(media, pulses, read):
    data = media.video("a.mp4", pulses([0.5], 4.0)).read_bytes()
    path = media.raw("b.mp4", data[: len(data) * 3 // 4])
    here, known = read(path)
    apart, told = read(path, APART)
    np.testing.assert_array_equal(apart, here)
    assert AudioWarning.TRUNCATED in told.warnings
    assert told.warnings == known.warnings


def test_errors_are_those_of_the_media(media, pulses):
    for name, data, error in (("a", b"no sound at all" * 99, AudioUnreadable), ("b", b"", AudioEmpty)):
        with pytest.raises(error):
            open_recording(media.raw(name, data), APART)
    path = media.encode("c.wav", "pcm_s16le", pulses([0.5], 2.0))
    with pytest.raises(OptionInvalid, match="no channel 3"):
        open_recording(path, APART, channel=3)
    with pytest.raises(AudioTooLong):
        open_recording(path, AudioLimits(max_duration_s=1.0, process=ProcessLimits()))


def test_the_server_asks_for_it_and_says_how_much(tmp_path):
    chosen = Settings(data_dir=tmp_path, limits=LimitsGroup(decode_memory_bytes=1 << 29, decode_cpu_s=7))
    assert audio_limits(chosen).process == ProcessLimits(memory_bytes=1 << 29, cpu_s=7)


@pytest.mark.skipif(not filters_calls(), reason="only Linux on x86-64 lists system calls")
@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "__import__('socket').socket()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.open('/tmp', os.O_RDONLY)",
        "os.mkdir('/tmp/made-by-a-decoder')",
    ],
)
def test_it_can_do_nothing_else(instead, attempt):
    instead(
        "import socket, _socket; from app.audio.jail.confine import confine; "
        f"from app.audio.limits import ProcessLimits; confine(ProcessLimits()); {READY}\n"
        f"try:\n    {attempt}\n    said = b'it could'\n"
        "except PermissionError:\n    said = b'forbidden'\n"
        "os.write(1, b'\\x09' + len(said).to_bytes(4, 'little') + said)"
    )
    child = DecoderProcess(Task(APART, ProcessLimits()))
    with pytest.raises(AudioUnreadable):
        child.receive()


def test_memory_that_it_may_not_have(media, pulses, instead):
    path = media.encode("a.wav", "pcm_s16le", pulses([0.5], 2.0))
    instead(
        "from app.audio.jail import child; from app.audio.limits import AudioLimits\n"
        "child.decode_here = lambda *_: bytearray(3 << 30)\nchild.main()"
    )
    with pytest.raises(AudioUnreadable, match="more memory"):
        open_recording(path, APART)


def test_time_that_it_may_not_have(media, pulses, instead):
    path = media.encode("a.wav", "pcm_s16le", pulses([0.5], 2.0))
    instead(
        "from app.audio.jail import child\ndef spin(*_):\n    while True: pass\nchild.decode_here = spin\nchild.main()"
    )
    with pytest.raises(AudioUnreadable, match="more processor time"):
        open_recording(path, AudioLimits(process=ProcessLimits(cpu_s=2)))


def test_silence_that_lasts_too_long(media, pulses, instead):
    path = media.encode("a.wav", "pcm_s16le", pulses([0.5], 2.0))
    instead(f"{READY}; time.sleep(600)")
    with pytest.raises(AudioUnreadable, match="takes too long"):
        open_recording(path, AudioLimits(process=ProcessLimits(stall_s=0.3)))


@pytest.mark.parametrize(
    "code",
    [
        f"{READY}; os.kill(os.getpid(), 11)",
        f"{READY}; os.write(1, bytes([2, 255, 255, 255, 255]))",
        f"{READY}; os.write(1, bytes([99, 0, 0, 0, 0]))",
        f"{READY}; os.write(1, bytes([2, 2, 0, 0, 0]) + b'{{}}')",
        f"{READY}; os.write(1, bytes([4, 2, 0, 0, 0]) + b'ab')",
        f"{READY}; os.write(1, bytes([8, 2, 0, 0, 0]) + b'[]')",
        f"{READY}; os.write(1, bytes([9, 2, 0, 0, 0]) + b'no')",
    ],
    ids=["crash", "too large", "unknown", "not info", "sound first", "no error", "broken"],
)
def test_a_process_that_was_taken_over_is_bad_media(media, pulses, instead, code):
    instead(code)
    with pytest.raises(AudioUnreadable):
        open_recording(media.encode("a.wav", "pcm_s16le", pulses([0.5], 2.0)), APART)


def test_one_that_never_starts_is_no_fault_of_the_media(media, pulses, instead):
    instead("sys.exit(3)")
    with pytest.raises(Overloaded):
        open_recording(media.encode("a.wav", "pcm_s16le", pulses([0.5], 2.0)), APART)


def test_sound_is_read_as_a_strangers():
    good = wire.dump_sound(Frames(5, np.zeros(3, np.float32)))
    assert wire.load_sound(good, 5).end == 8
    nan = wire.dump_sound(Frames(5, np.full(3, np.nan, np.float32)))
    loud = wire.dump_sound(Frames(5, np.full(3, 2.0, np.float32)))
    for data, start in ((good, 6), (good[:-1], 5), (good[:8], 5), (b"", 0), (nan, 5), (loud, 5)):
        with pytest.raises(Malformed):
            wire.load_sound(data, start)
    for data in (
        b"[1, 2]",
        b"[5, 2, 'damaged']",
        b'[5, 2, "damaged"]',
        b'[0, 1, "x"]',
        b'[0, 1e9, "damaged"]',
        b"[" * 99999,
    ):
        with pytest.raises(Malformed):
            wire.load_gap(data)


def test_a_tiny_file_that_states_hours(media, pulses, read):
    """FLAC whose header promises a day is refused at once; one that lies about nothing is read."""
    path = media.encode("a.flac", "flac", pulses([0.5], 2.0))
    data = bytearray(path.read_bytes())
    at = 8 + 13  # STREAMINFO: the low 32 bits of the number of samples end there
    data[at + 1 : at + 5] = (24 * 3600 * 48_000 & 0xFFFFFFFF).to_bytes(4, "big")
    with pytest.raises(AudioTooLong):
        open_recording(media.raw("b.flac", bytes(data)), APART)


def test_a_bomb_is_read_as_far_as_it_may(media, read):
    """Half an hour of silence in a small file: sound comes a second at a time, and stops at the limit."""
    path = media.encode("a.flac", "flac", np.zeros((1, 1800 * 8_000), np.float32), 8_000)
    assert path.stat().st_size < 400_000
    data = bytearray(path.read_bytes())
    data[8 + 13 + 1 : 8 + 13 + 5] = bytes(4)  # it does not say how long it is
    seconds: list[Frames] = []
    limits = AudioLimits(max_duration_s=60.0, process=ProcessLimits())
    with open_recording(media.raw("b.flac", bytes(data)), limits) as recording, pytest.raises(AudioTooLong):
        seconds.extend(recording.frames())
    assert 55 <= len(seconds) <= 60


def test_closing_while_somebody_waits(media, pulses, instead):
    stopped = threading.Event()
    stream = ContainerStream(APART)
    instead(f"{READY}; os.write(1, bytes([6, 0, 0, 0, 0])); time.sleep(600)")

    def push() -> None:
        with pytest.raises(AudioUnreadable):
            stream.push(b"\x1a\x45\xdf\xa3" + bytes(100))
        stopped.set()

    thread = threading.Thread(target=push)
    thread.start()
    while stream._child is None:
        time.sleep(0.01)
    stream.close()
    assert stopped.wait(30)
    thread.join()


def test_one_that_is_opened_for_nobody_is_closed(media, pulses, monkeypatch):
    path, made = media.encode("a.wav", "pcm_s16le", pulses([0.5], 2.0)), []
    begin = DecoderProcess.__init__
    monkeypatch.setattr(DecoderProcess, "__init__", lambda self, task: (made.append(self), begin(self, task))[1])

    async def give_up() -> None:
        opening = asyncio.ensure_future(aopen_recording(path, APART))
        while not made:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(give_up())  # it waits for the thread
    assert made[0]._process.returncode is not None
    assert made[0]._process.stdout.closed


def test_it_ends_with_the_server(media, pulses):
    with open_recording(media.encode("a.wav", "pcm_s16le", pulses([0.5], 3.0)), APART) as recording:
        process = recording._decoding._child._process
    assert process.returncode in (0, -signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_what_it_was_given_is_not_what_others_have():
    """No descriptor beyond its own, no environment, no folder of the server's."""
    task = Task(APART, ProcessLimits())
    child = DecoderProcess(task)
    try:
        pid = child._process.pid
        assert {os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")} <= {
            "pipe",
            "/dev/null",
        }
        with open(f"/proc/{pid}/environ", "rb") as file:
            names = {it.split(b"=")[0] for it in file.read().split(b"\0") if it}
        assert names <= {b"LC_ALL", b"OPENBLAS_NUM_THREADS", b"MALLOC_ARENA_MAX", b"LD_LIBRARY_PATH"}
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getpgid(pid) == pid
    finally:
        child.close()


def test_kinds_have_the_numbers_that_the_tests_use():
    assert [Kind.READY, Kind.OPENED, Kind.SOUND, Kind.HUNGRY, Kind.FAILED, Kind.BROKEN] == [1, 2, 4, 6, 8, 9]
