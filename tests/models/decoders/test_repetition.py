"""Loops are found; what people really say is not taken for one."""

from __future__ import annotations

import pytest

from models.decoders.repetition import first_repetition


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no no no no",
        "yeah yeah I know I know what you mean",
        "I am going to the store and I am going to the park",
        "very very very good",
    ],
)
def test_speech(text: str) -> None:
    assert first_repetition(text.split()) is None


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("okay just getting ready to go just getting ready to go just getting ready to go", 6),
        ("so " + "the " * 20, 2),
        ("I mean. I mean, i mean I MEAN!", 2),
    ],
)
def test_loops(text: str, start: int) -> None:
    assert first_repetition(text.split()) == start
