"""A browser for the tests of a module, with a synthetic two-voice meeting as its microphone."""

from __future__ import annotations

import wave

import numpy as np
import pytest

from tests.engine.fake_worker import Line, meeting
from tests.web.browser import chromium

VOICES = (
    Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel alpha bravo"),
    Line(5.5, 3, "hotel golf foxtrot echo delta charlie bravo alpha hotel golf"),
)
VOICES_S = 11.0


def write_wav(path, samples, rate_hz: int = 16_000) -> None:
    """16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """A WAV of two voices, one after the other."""
    path = tmp_path_factory.mktemp("voices") / "voices.wav"
    write_wav(path, meeting(VOICES, VOICES_S))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory, voices):
    with chromium(tmp_path_factory.mktemp("chromium") / "profile", voices) as it:
        yield it


@pytest.fixture
def downloads(browser, tmp_path):
    """The folder that the browser saves to."""
    return tmp_path / "downloads"
