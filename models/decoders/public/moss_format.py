"""The answer of MOSS-Transcribe-Diarize: `[0.48][S01]Welcome everyone[1.66][12.26][S02]The new pipeline[13.81]`.

Text in, raw segments and counted faults out. Any text is read as far as it makes sense; nothing is raised.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from models.decoders.public.segments import Fault, Faults, RawSegment, read_time

_TAG = re.compile(r"\[\s*(?:S(?P<speaker>[0-9]{1,4})|(?P<time>[0-9]{1,6}(?::[0-9]{1,2}){0,2}(?:\.[0-9]{0,9})?))\s*\]")
_HALF_TAG = re.compile(r"\[[S0-9.:\s]*\Z")
_LEAD = re.compile(r"\s*(?:assistant\b\s*)?")


@dataclass(frozen=True, slots=True)
class _Token:
    """A tag or the text between two tags, [begin, end) of the answer."""

    begin: int
    end: int
    time_s: float | None = None
    speaker: int | None = None

    @property
    def is_text(self) -> bool:
        return self.time_s is None and self.speaker is None


@dataclass(slots=True)
class _Open:
    """A segment that is being read."""

    speaker: int | None
    start_s: float | None
    begin: int = 0
    end: int = 0


def parse_moss(text: str) -> tuple[list[RawSegment], Faults]:
    """Raw segments in the order in which they were written, and what was wrong with the answer."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._faults: Faults = Counter()
        self._done: list[RawSegment] = []
        self._open: _Open | None = None
        self._start_s: float | None = None

    def read(self) -> tuple[list[RawSegment], Faults]:
        tokens = self._tokens()
        for i, token in enumerate(tokens):
            if token.is_text:
                self._words(token)
            elif token.speaker is not None:
                self._close(None)
                self._open = _Open(token.speaker, self._start_s)
                self._start_s = None
            else:
                before_speaker = i + 1 < len(tokens) and tokens[i + 1].speaker is not None
                self._time(token.time_s, before_speaker)
        if self._open is not None:
            self._faults[Fault.CUT_OFF] += 1
        self._close(None)
        return self._done, +self._faults

    def _tokens(self) -> list[_Token]:
        lead = _LEAD.match(self._text)
        place = lead.end() if lead is not None else 0
        half = _HALF_TAG.search(self._text, place)
        stop = half.start() if half is not None else len(self._text)
        self._faults[Fault.CUT_OFF] += half is not None
        tokens: list[_Token] = []
        for match in _TAG.finditer(self._text, place, stop):
            self._add_text(tokens, place, match.start())
            number = match["speaker"]
            time_s = None if match["time"] is None else read_time(match["time"])
            tokens.append(_Token(match.start(), match.end(), time_s, None if number is None else int(number)))
            place = match.end()
        self._add_text(tokens, place, stop)
        return tokens

    def _add_text(self, tokens: list[_Token], begin: int, end: int) -> None:
        if self._text[begin:end].strip():
            tokens.append(_Token(begin, end))

    def _words(self, token: _Token) -> None:
        if self._open is None:
            # Words outside every segment are kept: they were heard, even if the model lost its form.
            self._faults[Fault.STRAY_TEXT if self._start_s is None else Fault.SPEAKER_MISSING] += 1
            self._open = _Open(None, self._start_s)
            self._start_s = None
        self._open.begin, self._open.end = token.begin, token.end

    def _time(self, time_s: float | None, before_speaker: bool) -> None:
        """A time ends the open segment, unless a speaker follows at once: then it begins the next one."""
        if self._open is None:
            if self._start_s is not None:
                self._faults[Fault.SPEAKER_MISSING] += 1
            self._start_s = time_s
        elif before_speaker:
            self._close(None)
            self._start_s = time_s
        else:
            self._close(time_s)

    def _close(self, end_s: float | None) -> None:
        if self._open is not None and self._open.end > self._open.begin:
            places = tuple(range(self._open.begin, self._open.end))
            text = self._text[self._open.begin : self._open.end]
            self._done.append(RawSegment(self._open.speaker, self._open.start_s, end_s, text, places))
        self._open = None
