"""Damaged media over HTTP, from a seed: each is answered as documented, and the server is afterwards as it was."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections import Counter

import httpx2
import numpy as np
import psutil
import pytest

from app.errors import InputError
from tests.audio.conftest import Media
from tests.audio.mutants import KINDS, mutated, written
from tests.engine.fake_worker import fake_engine
from tests.transport.fuzz.test_sockets import codes_of
from tests.transport.server import TEXT, serving, settings, wait_until, wav

MOST_GROWN = 64 << 20
MORE_FILES = 16
"""Of the database's connections, of which some are opened late and kept."""
REFUSALS = codes_of(InputError)
EVERYDAY = ("a.m4a", "a.mp3", "a.webm", "a.ts", "b.ogg", "a.flac", "a.wav", "a.opus", "a.wma")


class Fuzz:
    """Hands files in, each in one of three ways, and looks at what is said of them."""

    def __init__(self, http: httpx2.Client, folder) -> None:
        self._http = http
        self._rng = np.random.default_rng(7)
        self._whole = [written(Media(folder), kind) for kind in KINDS if kind.name in EVERYDAY]
        self._made: list[str] = []
        self.count: Counter[str] = Counter()

    def hand_in(self, number: int) -> None:
        """One mutant."""
        data = self._whole[number % len(self._whole)]
        file = ("mutant", mutated(data, self._rng, self._whole[int(self._rng.integers(len(self._whole)))]))
        way = ("audio/transcriptions", "recordings", "speakers")[number % 3]
        name = "sample" if way == "speakers" else "file"
        form = {"audio/transcriptions": {"model": "whisper-1"}, "recordings": {}, "speakers": {"name": "Maya"}}[way]
        answer = self._http.post(f"/v1/{way}", files={name: file}, data=form)
        self.count[f"{way} {answer.status_code}"] += 1
        assert "Traceback" not in answer.text
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.json()["error"]["code"] in REFUSALS, answer.text
        elif way == "recordings":
            self._made.append(answer.json()["id"])

    def wait(self) -> None:
        """Until every recording has ended, in one way or the other."""
        while self._made:
            at = f"/v1/recordings/{self._made.pop()}"
            wait_until(lambda at=at: self._http.get(at).json()["state"] in ("succeeded", "failed"), 120)
            body = self._http.get(at).json()
            self.count[f"recording {body['state']}"] += 1
            assert body["failure"] is None or body["failure"]["code"] in REFUSALS, body


@pytest.fixture
def http(tmp_path):
    engine = fake_engine()
    with serving(engine, settings(tmp_path)) as url, httpx2.Client(base_url=url, timeout=300) as client:
        yield client
    asyncio.run(engine.aclose())


@pytest.mark.parametrize(
    "count", [9, pytest.param(360, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])], ids=["few", "many"]
)
def test_damaged_media_over_http(http, tmp_path, caplog, count):
    caplog.set_level(logging.WARNING)
    fuzz, others = Fuzz(http, tmp_path), set(psutil.Process().children())
    for number in range(9):
        fuzz.hand_in(number)
    fuzz.wait()
    gc.collect()
    held, files = psutil.Process().memory_info().rss, len(os.listdir("/proc/self/fd"))
    for number in range(9, count):
        fuzz.hand_in(number)
    fuzz.wait()
    gc.collect()
    grown = psutil.Process().memory_info().rss - held
    print(dict(sorted(fuzz.count.items())), f"grown by {grown / 1e6:.1f} MB from {held / 1e6:.0f} MB")  # noqa: T201
    whole = http.post("/v1/audio/transcriptions", files={"file": ("m.wav", wav())}, data={"model": "whisper-1"})
    assert sorted(whole.json()["text"].split()) == sorted(TEXT.split())
    assert [it.getMessage() for it in caplog.records if it.levelno >= logging.ERROR] == []
    assert [it.getMessage() for it in caplog.records if "broke its decoder" in it.getMessage()] == []
    assert grown < MOST_GROWN
    assert len(os.listdir("/proc/self/fd")) <= files + MORE_FILES
    assert set(psutil.Process().children()) <= others
