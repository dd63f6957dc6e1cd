"""Text -> text that is safe on one line, and how wide it is on a screen. Shared by the formats made of lines."""

from __future__ import annotations

import unicodedata


def one_line(text: str) -> str:
    """The text without line breaks, control characters, or white space at the ends or doubled.

    Lone surrogates (a name given in a broken encoding) become U+FFFD, so that the result can be written as UTF-8.
    """
    return " ".join("".join(_SAFE.get(unicodedata.category(char), char) for char in text).split())


_SAFE = {"Cc": " ", "Cs": "\N{REPLACEMENT CHARACTER}"}


def columns(text: str) -> int:
    """Width on a screen: two for wide East Asian characters, none for combining marks and invisible ones, else one."""
    return sum(char_columns(char) for char in text)


def char_columns(char: str) -> int:
    """Width of one character, see `columns` (Unicode Standard Annex 11)."""
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def split_columns(text: str, limit: int) -> list[str]:
    """Cut into pieces at most `limit` columns wide, never before a combining mark. `limit` is at least 2."""
    pieces: list[str] = []
    piece, width = "", 0
    for char in text:
        char_width = char_columns(char)
        if width + char_width > limit:
            pieces.append(piece)
            piece, width = "", 0
        piece += char
        width += char_width
    return [*pieces, piece] if piece else pieces


def shorten(text: str, limit: int) -> str:
    """The text, cut to `limit` columns with an ellipsis when it is wider."""
    if columns(text) <= limit:
        return text
    return split_columns(text, limit - 1)[0].rstrip() + "…"
