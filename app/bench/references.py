"""Reference files -> Speech: SegLST (CHiME-7, meeteval), RTTM (NIST Rich Transcription) and STM (NIST sclite).

Every reader is strict: a line that does not fit is an error that names the file and the line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.bench.speech import SpokenTurn, Utterance
from app.errors import InputError

_STM_IGNORED = "ignore_time_segment_in_scoring"
_T = TypeVar("_T")


class CorpusInvalid(InputError):
    """A benchmark folder lacks a file, or a reference file does not hold what its format says."""

    code = "corpus_invalid"


def read_rttm(path: Path, session: str) -> tuple[SpokenTurn, ...]:
    """The turns of one session, sorted. A file of one session may name it as it likes. Raises CorpusInvalid."""
    found: list[tuple[str, SpokenTurn]] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        row = line.split()
        if not row or row[0] != "SPEAKER":
            continue
        if len(row) < 8:
            raise CorpusInvalid(f"{path} line {number}: an RTTM SPEAKER line has at least 8 fields, not {len(row)}")
        start_s, duration_s = (_seconds(value, f"{path} line {number}") for value in row[3:5])
        found.append((row[1], SpokenTurn(start_s, start_s + duration_s, row[7])))
    return tuple(sorted(turn for turn in _of_session(found, session, path) if turn.end_s > turn.start_s))


def read_stm(path: Path, session: str) -> tuple[Utterance, ...]:
    """The utterances of one session, in the order of the file. Raises CorpusInvalid."""
    found: list[tuple[str, Utterance]] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        row = line.split(maxsplit=5)
        if not row or row[0].startswith(";;"):
            continue
        where = f"{path} line {number}"
        if len(row) < 5:
            raise CorpusInvalid(f"{where}: an STM line has a file, channel, speaker, start, end and words")
        words = row[5] if len(row) == 6 else ""
        if words.startswith("<") and ">" in words:
            words = words.split(">", 1)[1].strip()
        if words == _STM_IGNORED:
            raise CorpusInvalid(f"{where}: {_STM_IGNORED} is not supported")
        found.append((row[0], _utterance(row[2], row[3], row[4], words, where)))
    return tuple(_of_session(found, session, path))


def read_seglst(path: Path, session: str) -> tuple[Utterance, ...]:
    """The utterances of one session, in the order of the file. Raises CorpusInvalid."""
    try:
        rows = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise CorpusInvalid(f"{path} is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise CorpusInvalid(f"{path} is no SegLST: that is a list of segments")
    found = []
    for number, row in enumerate(rows):
        where = f"{path} segment {number}"
        if not isinstance(row, dict):
            raise CorpusInvalid(f"{where}: a segment is an object")
        missing = [key for key in ("session_id", "speaker", "start_time", "end_time", "words") if key not in row]
        if missing:
            raise CorpusInvalid(f"{where}: {', '.join(missing)} missing")
        utterance = _utterance(str(row["speaker"]), row["start_time"], row["end_time"], row["words"], where)
        found.append((str(row["session_id"]), utterance))
    return tuple(_of_session(found, session, path))


WORD_READERS: dict[str, Callable[[Path, str], tuple[Utterance, ...]]] = {
    ".seglst.json": read_seglst,
    ".json": read_seglst,
    ".stm": read_stm,
}
"""File ending -> reader of a reference with words."""


def _of_session(found: list[tuple[str, _T]], session: str, path: Path) -> list[_T]:
    """What belongs to the session; all of it when the file holds one session only."""
    names = {name for name, _ in found}
    if len(names) > 1 and session not in names:
        raise CorpusInvalid(f"{path} holds {len(names)} sessions, but none is called {session!r}")
    return [item for name, item in found if len(names) == 1 or name == session]


def _utterance(speaker: str, start: object, end: object, words: object, where: str) -> Utterance:
    start_s, end_s = _seconds(start, where), _seconds(end, where)
    if end_s < start_s:
        raise CorpusInvalid(f"{where}: ends at {end_s} s, before its start at {start_s} s")
    if not isinstance(words, str):
        raise CorpusInvalid(f"{where}: words must be text, are {words!r}")
    return Utterance(speaker, start_s, end_s, words)


def _seconds(value: object, where: str) -> float:
    """A time or a length as in the file: a number or text, finite and not negative."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise CorpusInvalid(f"{where}: {value!r} is no time in seconds")
    return seconds


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CorpusInvalid(f"{path} is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusInvalid(f"{path} cannot be read: {error}") from error
