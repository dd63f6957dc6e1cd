"""The answer of VibeVoice-ASR: `[{"Start":0,"End":15.43,"Speaker":0,"Content":"Hello"}, ...]`.

Text in, raw segments and counted faults out. It only resembles JSON, so it is read by hand: the list may be cut off
anywhere, quotes may stand inside a string without a backslash, keys may be missing. Nothing is raised.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from models.decoders.public.segments import Fault, Faults, RawSegment, read_time

_LEAD = re.compile(r"\s*(?:assistant\b\s*)?")
_BARE = re.compile(r"[^,}{\[\]\"\n]*")
_KEY_ENDS = re.compile(r"\s*:")
_VALUE_ENDS = re.compile(r"\s*(?:,\s*[\"{]|\}\s*(?:[,\]{]|\Z)|\]?\s*\Z)")
_SPACE = re.compile(r"[\s,]*")
_NUMBER = re.compile(r"[0-9]{1,4}")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class _Value:
    """A string or a bare value, and the place of each of its letters in the answer."""

    text: str
    places: tuple[int, ...]


def parse_vibevoice(text: str) -> tuple[list[RawSegment], Faults]:
    """Raw segments in the order in which they were written, and what was wrong with the answer."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._faults: Faults = Counter()
        self._done: list[RawSegment] = []

    def read(self) -> tuple[list[RawSegment], Faults]:
        lead = _LEAD.match(self._text)
        place = lead.end() if lead is not None else 0
        while place < len(self._text):
            brace = self._text.find("{", place)
            self._stray(place, brace if brace >= 0 else len(self._text))
            if brace < 0:
                break
            fields, place, whole = self._object(brace + 1)
            self._faults[Fault.CUT_OFF] += not whole
            self._segment(fields)
        return self._done, +self._faults

    def _stray(self, begin: int, end: int) -> None:
        """Text between the objects: kept if it has letters, as it was heard."""
        if any(letter.isalnum() for letter in self._text[begin:end]):
            self._faults[Fault.STRAY_TEXT] += 1
            self._done.append(RawSegment(None, None, None, self._text[begin:end], tuple(range(begin, end))))

    def _object(self, place: int) -> tuple[dict[str, _Value], int, bool]:
        """(fields, place behind it, whether it was closed) of an object whose brace stands before `place`."""
        fields: dict[str, _Value] = {}
        while place < len(self._text):
            place = self._skip(place)
            letter = self._text[place : place + 1]
            if letter == "}":
                return fields, place + 1, True
            if letter == "{":
                return fields, place, False
            if letter != '"':
                # Lost in the middle of an object: go on at the next sign that can be read.
                ends = [found for sign in '"}{' if (found := self._text.find(sign, place + 1)) >= 0]
                place = min(ends, default=len(self._text))
                continue
            key, place, closed = self._string(place + 1, _KEY_ENDS)
            if not closed:
                break
            colon = _KEY_ENDS.match(self._text, place)
            place = self._skip(colon.end() if colon is not None else place)
            if self._text[place : place + 1] == '"':
                value, place, closed = self._string(place + 1, _VALUE_ENDS)
            else:
                bare = _BARE.match(self._text, place)
                end = bare.end() if bare is not None else place
                value, place = _Value(self._text[place:end], tuple(range(place, end))), end
            fields[key.text.strip().casefold()] = value
        return fields, len(self._text), False

    def _string(self, place: int, ends: re.Pattern[str]) -> tuple[_Value, int, bool]:
        """(value, place behind it, whether it was closed) of a string; a quote closes it where `ends` follows."""
        letters: list[str] = []
        places: list[int] = []
        while place < len(self._text):
            letter, size = self._text[place], 1
            if letter == '"' and ends.match(self._text, place + 1):
                return _Value("".join(letters), tuple(places)), place + 1, True
            if letter == "\\":
                letter, size = self._escape(place)
            letters.append(letter)
            places.extend([place] * len(letter))
            place += size
        return _Value("".join(letters), tuple(places)), place, False

    def _escape(self, place: int) -> tuple[str, int]:
        sign = self._text[place + 1 : place + 2]
        code = self._text[place + 2 : place + 6]
        if sign == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", code):
            number = int(code, 16)
            return ("" if number in _SURROGATES else chr(number)), 6
        return _ESCAPED.get(sign, sign), 2

    def _skip(self, place: int) -> int:
        space = _SPACE.match(self._text, place)
        return space.end() if space is not None else place

    def _segment(self, fields: dict[str, _Value]) -> None:
        content = _field(fields, "content", "text")
        if content is None or not content.text.strip():
            return
        start, end, speaker = (_field(fields, name) for name in ("start", "end", "speaker"))
        number = _NUMBER.search(speaker.text) if speaker is not None else None
        # Sounds that nobody makes ([Silence], [Music]) have no speaker, which is no fault.
        self._faults[Fault.SPEAKER_MISSING] += number is None and not content.text.lstrip().startswith("[")
        self._done.append(
            RawSegment(
                None if number is None else int(number.group()),
                None if start is None else read_time(start.text),
                None if end is None else read_time(end.text),
                content.text,
                content.places,
            )
        )


def _field(fields: dict[str, _Value], *names: str) -> _Value | None:
    """The first field whose key begins with one of `names` (the prompt says `Start time`, the answer `Start`)."""
    return next((value for key, value in fields.items() if key.startswith(names)), None)
