"""app/cli/progress.py: lines where there is no terminal."""

from __future__ import annotations

import pytest

from app.cli.progress import Display, clock
from app.core.types import TranscriptView
from app.session import Progress


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (36_061, "10:01:01")],
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_without_a_terminal_there_are_only_lines(capsys):
    with Display() as display:
        display.loading()
        display.begin("a.wav", None)
        display.update(Progress("diarize", 16_000, None))
        display.update(Progress("decode", 16_000, 32_000))
        display.clear()
        display.finished("a.wav", TranscriptView(32_000, "en", (), (), {}, ("audio_gaps",)), 0.5)
    assert capsys.readouterr().err == (
        "a.wav: 0:02 of sound, 0 speakers, 0 segments in 0.5 s (4.0x real time)\na.wav: warning: audio_gaps\n"
    )


def test_quiet(capsys):
    with Display(quiet=True) as display:
        display.begin("a.wav", 2.0)
        display.update(Progress("decode", 16_000, 32_000))
        display.finished("a.wav", TranscriptView(32_000, None, (), ()), 0.5)
    assert capsys.readouterr().err == ""
