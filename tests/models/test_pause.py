"""Pauses in what models compute: who is called, and that answers are what they are without."""

from __future__ import annotations

import threading

from models.pause import pause, pausing


def test_pauses_are_the_thread_s_own_and_end_with_the_context() -> None:
    calls: list[str] = []
    pause()
    with pausing(lambda: calls.append("outer")):
        pause()
        with pausing(lambda: calls.append("inner")):
            pause()
        with pausing(None):
            pause()
        other = threading.Thread(target=pause)
        other.start()
        other.join()
        pause()
    pause()
    assert calls == ["outer", "inner", "outer"]
