"""What cannot be used: each gives its own error at once, and nothing but the one file is ever touched."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app.audio import AudioLimits, open_recording
from app.errors import (
    AudioEmpty,
    AudioFormatUnsupported,
    AudioTooLong,
    AudioUnreadable,
    FileUnreadable,
)

LIMITS = AudioLimits()


def test_an_empty_file(media):
    with pytest.raises(AudioEmpty):
        open_recording(media.raw("a.wav", b""), LIMITS)


def test_a_header_without_sound(media):
    with pytest.raises(AudioEmpty):
        open_recording(media.write("a.wav", np.zeros((1, 0), np.float32)), LIMITS)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.sln", "a.g722", "a.txt"])
@pytest.mark.parametrize("data", [b"hello world\n" * 999, b"\0" * 9999, b"x", bytes(range(256)) * 40, b"OggS" * 99])
def test_what_is_not_media(media, name, data):
    with pytest.raises(AudioUnreadable):
        open_recording(media.raw(name, data), LIMITS)


def test_pictures_and_text_formats_are_not_opened(media):
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0) + bytes(64)
    subtitles = b"1\n00:00:00,000 --> 00:00:01,000\nhello\n\n" * 50
    for data in (png, subtitles):
        with pytest.raises(AudioUnreadable):
            open_recording(media.raw("a.wav", data), LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{url}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<Representation id="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "[playlist]\nFile1={url}\n",
    ],
)
@pytest.mark.parametrize("name", ["a.m3u8", "a.wav", "a.sdp"])
def test_playlists_lead_nowhere(media, text, name):
    media.write("secret.wav", np.zeros((1, 1000), np.float32))
    for url in ("http://127.0.0.1:9/a.ts", f"file://{media.folder}/secret.wav", "secret.wav"):
        path = media.raw(name, text.format(url=url, port=9).encode())
        with pytest.raises(AudioUnreadable):
            open_recording(path, LIMITS)


@pytest.mark.parametrize(
    "path", ["http://127.0.0.1:9/a.wav", "concat:a.wav|b.wav", "file:a.wav", "pipe:0", "data:,x", "a\0b", ""]
)
def test_addresses_are_only_names_of_files_that_are_not_there(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(FileUnreadable):
        open_recording(Path(path), LIMITS)


def test_what_is_no_regular_file(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("socket")
        for path in (tmp_path, tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero"), Path("/dev/null")):
            with pytest.raises(FileUnreadable):
                open_recording(path, LIMITS)


def test_a_file_without_permission(media, monkeypatch):
    path = media.write("a.wav", np.zeros((1, 100), np.float32))
    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr(os, "open", lambda *args: (_ for _ in ()).throw(denied))
    with pytest.raises(FileUnreadable, match="Permission denied"):
        open_recording(path, LIMITS)


def test_a_disk_that_fails_while_reading(media, monkeypatch):
    path = media.write("a.wav", np.zeros((1, 500_000), np.float32))
    with open_recording(path, LIMITS) as recording:

        def fail(*args):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(FileUnreadable, match="Input/output error"):
            list(recording.frames())


@pytest.mark.parametrize("rate", [1_000, 3_999, 192_001, 384_000])
def test_rates_beyond_the_limits(media, rate):
    with pytest.raises(AudioFormatUnsupported, match=str(rate)):
        open_recording(media.write("a.wav", np.zeros((1, 5000), np.float32), rate), LIMITS)


def test_channels_beyond_the_limits(media):
    with pytest.raises(AudioFormatUnsupported, match="64 channels"):
        open_recording(media.write("a.wav", np.zeros((64, 5000), np.float32)), LIMITS)


def test_a_stated_duration_beyond_the_limit_is_refused_before_decoding(media, pulses):
    for name, codec in [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.opus", "libopus"), ("a.m4a", "aac")]:
        path = media.encode(name, codec, pulses([], 5.0))
        with pytest.raises(AudioTooLong):
            open_recording(path, AudioLimits(max_duration_s=4))
        open_recording(path, AudioLimits(max_duration_s=5.1)).close()


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.webm", "libopus"), ("a.aac", "aac")])
def test_an_unstated_duration_stops_at_the_limit(media, pulses, name, codec):
    options = {"a.mp3": {"write_xing": "0"}, "a.webm": {"live": "1"}}.get(name, {})
    path = media.encode(name, codec, pulses([], 20.0), **options)
    ends = [0]
    with open_recording(path, AudioLimits(max_duration_s=10)) as recording, pytest.raises(AudioTooLong):
        ends.extend(frames.end for frames in recording.frames())
    assert 8 * 16_000 <= ends[-1] <= 10 * 16_000


def test_a_tiny_file_of_many_hours_is_refused_at_once(media):
    """FLAC holds silence in a few bytes a second; the header states 20 hours."""
    path = media.encode("a.flac", "flac", np.zeros((1, 480_000), np.float32), bit_rate=None)
    data = bytearray(path.read_bytes())
    total = 20 * 3600 * 48_000
    data[21:26] = bytes([data[21] & 0xF0 | total >> 32, *struct.pack(">I", total & 0xFFFF_FFFF)])
    began = time.monotonic()
    with pytest.raises(AudioTooLong):
        open_recording(media.raw("bomb.flac", bytes(data)), LIMITS)
    assert time.monotonic() - began < 2


def test_nothing_is_printed(media, pulses):
    """FFmpeg writes to stderr from C, beyond what pytest can see: in a process of its own."""
    data = bytearray(media.encode("a.mp3", "libmp3lame", pulses([1.0], 5.0)).read_bytes())
    data[10_000:14_000] = bytes(4_000)
    path = media.raw("a.mp3", bytes(data))
    code = (
        "import sys; from pathlib import Path; from app.audio import *\n"
        "r = open_recording(Path(sys.argv[1]), AudioLimits()); n = sum(len(f.samples) for f in r.frames()); r.close()\n"
        "assert n > 70_000 and r.warnings"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_files_are_closed_after_errors(media):
    path = media.write("a.wav", np.zeros((1, 5000), np.float32), 1_000)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(AudioFormatUnsupported):
            open_recording(path, LIMITS)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
