"""models/console.py: lines where stderr is no terminal, bars where it is one."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from models import console
from models.console import ConsoleProgress


def test_lines_are_few_without_a_terminal(capsys, monkeypatch):
    now = iter([0.0, 1.0, 2.0, 6.0, 7.0, 8.0])
    # The module's own clock: threads that other tests started read the real one.
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with ConsoleProgress() as progress:
        progress.note("begin")
        for done in (0, 10_000_000, 20_000_000, 60_000_000, 70_000_000, 80_000_000):
            progress.update("carrier==1.0", done, 80_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "begin",
        "carrier==1.0: 60.0 of 80.0 MB, 10.0 MB/s",
        "carrier==1.0: 80.0 of 80.0 MB, 10.0 MB/s",
    ]


def test_bars_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(
        console, "Console", lambda **options: Console(**options, file=sys.stderr, force_terminal=True, width=100)
    )
    with ConsoleProgress() as progress:
        progress.update("carrier==1.0", 40_000_000, 80_000_000)
        progress.note("[one] file is there")
        progress.update("carrier==1.0", 80_000_000, 80_000_000)
    said = capsys.readouterr().err
    assert "[one] file is there" in said
    assert "80.0/80.0 MB" in said


def test_bars_are_put_away_after_an_error(monkeypatch):
    monkeypatch.setattr(console, "Console", lambda **options: Console(**options, force_terminal=True))
    progress = ConsoleProgress()
    with pytest.raises(ValueError, match="broken"), progress:
        raise ValueError("broken")
    assert progress._bars is not None
    assert not progress._bars.live.is_started
