"""A running server over the fake engine, and a meeting to send to it."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import uvicorn

from app.main import create_app
from app.settings import LimitsGroup, LiveGroup, ServerGroup, Settings
from app.transport.server import DrainingServer, socket_options
from tests.engine.fake_worker import Line, meeting
from tests.running import running

if TYPE_CHECKING:
    import openai

SCRIPT = (
    Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel"),
    Line(3.1, 3, "hotel golf foxtrot echo delta charlie bravo alpha hotel"),
    Line(8.0, 0, "delta echo alpha"),
)
TEXT = " ".join(line.text for line in SCRIPT)
DURATION_S = 10.0


def wav(samples=None, rate: int = 16_000) -> bytes:
    """16-bit mono WAV of samples in [-1, 1]; of the script when none are given."""
    samples = meeting(SCRIPT, DURATION_S) if samples is None else samples
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def settings(tmp_path, server=None, limits=None, live=None, **groups) -> Settings:
    """Defaults but for what is given; groups: further ones, ready made. Sessions are not refused by measure, as test
    machines are busy."""
    return Settings(
        **groups,
        data_dir=tmp_path / "data",
        server=ServerGroup(**(server or {})),
        limits=LimitsGroup(**(limits or {})),
        live=LiveGroup(**({"max_load": 0} | (live or {}))),
    )


@contextmanager
def serving(engine, chosen: Settings) -> Iterator[str]:
    """The base URL of a server that ends with the context."""
    app = create_app(chosen, engine)
    options = socket_options(chosen.live.max_message_bytes)
    server = DrainingServer(uvicorn.Config(app, log_config=None, lifespan="on", **options), app)
    with running(server) as url:
        yield url


def client(url: str, **options) -> openai.OpenAI:
    """OpenAI's own client, pointed at us."""
    # Imported here: it takes a second, and processes of their own need it nowhere.
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=30, **options)


def wait_until(condition, timeout_s: float = 10.0) -> None:
    """Returns as soon as the condition holds; fails when it never does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
