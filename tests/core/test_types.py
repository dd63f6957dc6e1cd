"""Words as running text."""

from __future__ import annotations

import pytest

from app.core.types import join_words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], ""),
        (["Hello", "there."], "Hello there."),
        (["你", "好", "，", "世", "界"], "你好，世界"),
        (["こん", "にち", "は", "World", "です"], "こんにちは World です"),
        (["안녕", "하세요"], "안녕 하세요"),
    ],
)
def test_join_words(words: list[str], text: str) -> None:
    assert join_words(words) == text
