"""The server speaks HTTPS itself: pages, API and sockets over one handshake; plain HTTP finds nobody there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from websockets.asyncio.client import connect

from tests.cli.test_process import _start
from tests.deploy.dockerfile import read_stages
from tests.deploy.places import ROOT
from tests.transport.live.talk import SOUND, START, send, until, words


@pytest.fixture
def certificate(tmp_path):
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = tmp_path / "server.pem", tmp_path / "server.key"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


@pytest.fixture
def served(tmp_path, certificate):
    chain, key = map(str, certificate)
    environment = {"CROSSTALK_SERVER__TLS_CERTFILE": chain, "CROSSTALK_SERVER__TLS_KEYFILE": key}
    process = _start(tmp_path, "serve", "--port", "0", environment=environment)
    try:
        line = next(line for line in process.stderr if b"listening on" in line)
        yield line.decode().split("listening on ")[1].split(",")[0].strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_https_and_wss_with_its_own_certificate(served, certificate):
    trust = ssl.create_default_context(cafile=certificate[0])
    assert served.startswith("https://127.0.0.1:")
    with urllib.request.urlopen(f"{served}/", context=trust, timeout=20) as answer:
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{served}/healthz", timeout=20)
    with pytest.raises(OSError):  # noqa: PT011 - whatever a plain request finds, it is no answer
        urllib.request.urlopen(served.replace("https", "http") + "/healthz", timeout=20)

    async def talk():
        seen = []
        async with connect(served.replace("https", "wss") + "/v1/live", ssl=trust) as socket:
            await socket.send(json.dumps(START))
            await send(socket, SOUND)
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return words(seen)

    assert len(asyncio.run(talk())) > 10


def test_the_health_check_of_the_image_follows(served, certificate):
    check = read_stages(ROOT / "Dockerfile")["runtime"].health
    port = served.rpartition(":")[2]
    for tls, healthy in (({"CROSSTALK_SERVER__TLS_CERTFILE": str(certificate[0])}, True), ({}, False)):
        environment = {"PATH": os.environ["PATH"], "CROSSTALK_SERVER__PORT": port} | tls
        done = subprocess.run(
            [sys.executable, *check[1:]], env=environment, capture_output=True, check=False, timeout=60
        )
        assert (done.returncode == 0) is healthy, done.stderr
