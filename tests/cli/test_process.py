"""What only a real process shows: interrupts, readers that go away, full disks, what is written to the terminal."""

from __future__ import annotations

import http.client
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.cli.fake_crosstalk"]


def _environment(tmp_path, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTALK_")}
    return kept | {"CROSSTALK_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "160"} | more


def _start(tmp_path, *arguments, environment=None, **options):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, env=_environment(tmp_path, **(environment or {})), **streams
    )


def _left_over(tmp_path):
    work = tmp_path / "data" / "work"
    return list(work.iterdir()) if work.exists() else []


def test_interrupt_is_130_and_leaves_nothing(tmp_path, meeting_wav):
    out = tmp_path / "out"
    process = _start(tmp_path, "transcribe", meeting_wav, "-o", out, environment={"FAKE_SLOW_S": "3"})
    deadline = time.monotonic() + 30
    while not _left_over(tmp_path) and not (tmp_path / "data").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in error
    assert list(out.iterdir()) == []
    assert _left_over(tmp_path) == []


def test_a_reader_that_goes_away_ends_quietly(tmp_path, meeting_wav):
    reading, writing = os.pipe()
    os.close(reading)
    process = _start(tmp_path, "transcribe", "-q", meeting_wav, stdout=writing)
    os.close(writing)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (141, b"")


def test_a_full_disk_is_status_5(tmp_path, meeting_wav):
    with open("/dev/full", "wb") as full:
        process = _start(tmp_path, "transcribe", "-q", meeting_wav, stdout=full)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 5
    assert error.count(b"\n") == 1
    assert error.endswith(b"[output_failed]\n")


def test_stdout_is_utf8_whatever_the_locale(tmp_path, meeting_wav):
    process = _start(
        tmp_path, "transcribe", "-q", meeting_wav, environment={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.decode().count("\n") == 3


def test_on_a_terminal_there_is_a_bar_with_time_and_speed(tmp_path, meeting_wav):
    master, slave = pty.openpty()
    process = _start(
        tmp_path, "transcribe", meeting_wav, stderr=slave, environment={"FAKE_SLOW_S": "1", "TERM": "xterm"}
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait(30) == 0
    os.close(master)
    text = shown.decode()
    assert "meeting.wav: what is said" in text
    assert "/0:10" in text
    assert "x real time" in text
    assert out.count(b"\n") == 3, "the bar does not touch stdout"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_starts_answers_and_stops(tmp_path, stop):
    import urllib.request

    process = _start(tmp_path, "serve", "--port", "0")
    try:
        url = ""
        for line in process.stderr:
            if b"listening on" in line:
                url = line.decode().split("listening on ")[1].split(",")[0].strip()
                break
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}/healthz", timeout=20) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(stop)
        _, error = process.communicate(timeout=30)
    assert b"Traceback" not in error
    assert process.returncode in (130, -stop)


def test_serve_on_a_taken_port_is_one_line(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = _start(tmp_path, "serve", "--port", taken.getsockname()[1])
        _, error = process.communicate(timeout=30)
    assert process.returncode == 4
    assert error.count(b"\n") == 1
    assert error.startswith(b"error: cannot listen on 127.0.0.1:")


@pytest.mark.slow
def test_an_idle_connection_is_kept_for_a_balancer(tmp_path):
    """uvicorn's own 5 s are shorter than nginx keeps one: a POST would now and then meet one that is being closed."""
    process = _start(tmp_path, "serve", "--port", "0")
    try:
        line = next(line for line in process.stderr if b"listening on" in line)
        address = line.decode().split("http://")[1].split(",")[0].strip()
        connection = http.client.HTTPConnection(address, timeout=20)
        for pause_s in (0.0, 7.0):
            time.sleep(pause_s)
            connection.request("GET", "/healthz")
            with connection.getresponse() as answer:
                assert answer.status == 200
                answer.read()
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
