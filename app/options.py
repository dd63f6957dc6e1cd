"""What a user asks for, in words and numbers -> `SessionOptions`. Checked alike for command line and REST."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.types import SpeakerCount
from app.errors import OptionInvalid
from app.formats.languages import LANGUAGE_NAMES
from app.session import SessionOptions

MAX_SPEAKERS = 64
MAX_HOTWORDS_CHARACTERS = 4_000

_NEVER = ("Cc", "Cs")
"""Control characters, and halves of characters."""
_CODES = {name: code for code, name in LANGUAGE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """A user's wishes as given; None and empty = not given."""

    language: str | None = None
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    hotwords: tuple[str, ...] = ()


def session_options(asked: Asked) -> SessionOptions:
    """Check the wishes. Raises OptionInvalid naming the option."""
    return SessionOptions(
        language=None if asked.language is None else language_code(asked.language),
        speakers=speaker_count(asked.num_speakers, asked.min_speakers, asked.max_speakers),
        hotwords=hotwords(asked.hotwords),
    )


def language_code(given: str) -> str:
    """The code for what a user wrote: `en`, `EN`, `en-US` or `english`. Raises OptionInvalid naming the valid codes."""
    wanted = given.strip().lower()
    for candidate in (wanted, wanted.replace("_", "-").split("-")[0]):
        if candidate in LANGUAGE_NAMES:
            return candidate
        if candidate in _CODES:
            return _CODES[candidate]
    raise OptionInvalid(f"unknown language {given!r}; known are {', '.join(sorted(LANGUAGE_NAMES))}", param="language")


def speaker_count(exact: int | None, low: int | None, high: int | None) -> SpeakerCount:
    """Raises OptionInvalid for a number below 1 or above 64, an exact number beside bounds, and bounds that cross."""
    for name, value in (("num_speakers", exact), ("min_speakers", low), ("max_speakers", high)):
        if value is not None and not 1 <= value <= MAX_SPEAKERS:
            raise OptionInvalid(f"{name} must be 1 to {MAX_SPEAKERS}, not {value}", param=name)
    if exact is not None and (low is not None or high is not None):
        raise OptionInvalid("num_speakers excludes min_speakers and max_speakers", param="num_speakers")
    if low is not None and high is not None and low > high:
        raise OptionInvalid(f"min_speakers {low} is above max_speakers {high}", param="min_speakers")
    return SpeakerCount(exact, low, high)


def hotwords(given: Iterable[str]) -> tuple[str, ...]:
    """Trimmed, without empty ones and repeats.

    Raises OptionInvalid beyond 4000 characters in all, and for a word with control characters: no decoder and no
    database takes those.
    """
    given = tuple(given)
    if any(unicodedata.category(it) in _NEVER and it not in "\t\r\n" for word in given for it in word):
        raise OptionInvalid("a hotword holds a control character", param="hotwords")
    words = tuple(dict.fromkeys(stripped for word in given if (stripped := " ".join(word.split()))))
    if sum(map(len, words)) > MAX_HOTWORDS_CHARACTERS:
        raise OptionInvalid(f"hotwords are longer than {MAX_HOTWORDS_CHARACTERS} characters", param="hotwords")
    return words
