"""An upload of 1 GB costs the server little memory, in one request and in parts."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE_BYTES = int(os.environ.get("LARGE_UPLOAD_BYTES", 10**9))
MOST_BYTES = 100 * 1024**2
CHUNK_BYTES = 1024**2
FORM = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
END = b"\r\n--XX--\r\n"


def sound(size: int):
    """A WAV of so many bytes, 48 kHz stereo, in chunks: noise that repeats."""
    data = size - 44
    yield (
        b"RIFF"
        + struct.pack("<I", data + 36)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 2, 48_000, 192_000, 4, 16)
        + b"data"
        + struct.pack("<I", data)
    )
    block = os.urandom(CHUNK_BYTES)
    while data > 0:
        yield block[:data]
        data -= len(block)


def memory(process: subprocess.Popen, field: str) -> int:
    """VmRSS or VmHWM, in bytes."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s+([0-9]+) kB", text)[1]) * 1024


@pytest.fixture
def server(tmp_path):
    """`crosstalk serve` over the fake engine as a process of its own; it works on nothing that is uploaded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "CROSSTALK_DATA_DIR": str(tmp_path / "data"),
        "CROSSTALK_JOBS__IN_SERVER": "false",
    }
    command = [sys.executable, "-m", "tests.engine.inference_process", "serve", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log) as it:
        try:
            wait_ready(it, port)
            yield it, port
        finally:
            it.terminate()


def wait_ready(process, port: int) -> None:
    end_s = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the server ended"
        try:
            assert ask(port, "GET", "/readyz")[0] == 200
            return
        except (ConnectionError, AssertionError):
            assert time.monotonic() < end_s, "the server is not ready"
            time.sleep(0.2)


def ask(port: int, method: str, path: str, body=None, **headers):
    """(status, headers, body) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): str(value) for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def grown(process, what) -> int:
    """By how much the server's memory was larger at its peak than before."""
    before = memory(process, "VmRSS")
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
    began_s = time.monotonic()
    what()
    figures = (
        f"idle {before / 1e6:.0f} MB, peak {memory(process, 'VmHWM') / 1e6:.0f} MB, {time.monotonic() - began_s:.0f} s"
    )
    print(figures)  # noqa: T201 - shown by `pytest -s`
    return memory(process, "VmHWM") - before


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_upload_of_1_gb_in_one_request(server):
    process, port = server

    def upload():
        def body():
            yield FORM
            yield from sound(FILE_BYTES)
            yield END

        length = len(FORM) + FILE_BYTES + len(END)
        kind = "multipart/form-data; boundary=XX"
        status, _, said = ask(port, "POST", "/v1/recordings", body(), Content_Type=kind, Content_Length=length)
        assert (status, json.loads(said)["size_bytes"]) == (202, FILE_BYTES), said

    assert grown(process, upload) < MOST_BYTES


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_upload_of_1_gb_in_parts(server):
    process, port = server

    def upload():
        status, headers, said = ask(port, "POST", "/v1/uploads", Tus_Resumable="1.0.0", Upload_Length=FILE_BYTES)
        assert status == 201, said
        kind = "application/offset+octet-stream"
        status, _, said = ask(
            *(port, "PATCH", headers["location"], sound(FILE_BYTES)),
            **{"Tus-Resumable": "1.0.0", "Upload-Offset": 0, "Content-Type": kind, "Content-Length": FILE_BYTES},
        )
        assert status == 204, said
        form = f"upload={headers['location'].rpartition('/')[2]}"
        kind = "application/x-www-form-urlencoded"
        status, _, said = ask(port, "POST", "/v1/recordings", form, Content_Type=kind)
        assert (status, json.loads(said)["size_bytes"]) == (202, FILE_BYTES), said

    assert grown(process, upload) < MOST_BYTES
