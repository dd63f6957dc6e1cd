"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """warn: it works, and may not be what is wanted; fail: something will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """name: what was looked at; said: what is the case; advice: what to do, empty where nothing is wrong."""

    name: str
    state: State
    said: str
    advice: str = ""


def ok(name: str, said: str) -> Finding:
    """As it should be."""
    return Finding(name, State.OK, said)


def warn(name: str, said: str, advice: str) -> Finding:
    """It works, but."""
    return Finding(name, State.WARN, said, advice)


def fail(name: str, said: str, advice: str) -> Finding:
    """It will not work."""
    return Finding(name, State.FAIL, said, advice)
