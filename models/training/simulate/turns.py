"""Turns on disk: RTTM and SegLST files in, RTTM out, and the amount of overlap in a set of turns.

RTTM (NIST Rich Transcription): one line per stretch of speech, seconds with three decimals. SegLST (CHiME-7, meeteval):
a JSON list of objects with `session_id, speaker, start_time, end_time, words`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.training.simulate.errors import TimingInvalid


@dataclass(frozen=True, slots=True, order=True)
class SpokenTurn:
    """One stretch of one speaker's speech, times in seconds from the start of the session; `words` where known."""

    start_s: float
    end_s: float
    speaker: str
    words: str = ""


def read_turns(path: Path) -> dict[str, list[SpokenTurn]]:
    """Read the turns of all sessions of an `.rttm` file or of a SegLST `.json` file, sorted by time.

    Raises:
        TimingInvalid: unreadable, or a malformed line or entry; names the file and the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TimingInvalid(f"timing file {path} cannot be read: {error}") from error
    found = _parse_seglst(text, path) if path.suffix == ".json" else _parse_rttm(text, path)
    sessions: dict[str, list[SpokenTurn]] = {}
    for session, turn in found:
        sessions.setdefault(session, []).append(turn)
    if not sessions:
        raise TimingInvalid(f"timing file {path} holds no turns")
    return {session: sorted(turns) for session, turns in sessions.items()}


def _parse_rttm(text: str, path: Path) -> list[tuple[str, SpokenTurn]]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, duration = float(fields[3]), float(fields[4])
            turn = SpokenTurn(start, start + duration, fields[7])
        except (IndexError, ValueError) as error:
            raise TimingInvalid(f"timing file {path} line {number}: not an RTTM SPEAKER line") from error
        if duration > 0:
            found.append((fields[1], turn))
    return found


def _parse_seglst(text: str, path: Path) -> list[tuple[str, SpokenTurn]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise TimingInvalid(f"timing file {path}: not JSON: {error.msg}") from error
    if not isinstance(rows, list):
        raise TimingInvalid(f"timing file {path}: SegLST must be a list")
    found = []
    for number, row in enumerate(rows):
        try:
            turn = SpokenTurn(float(row["start_time"]), float(row["end_time"]), str(row["speaker"]), str(row["words"]))
            session = str(row["session_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise TimingInvalid(f"timing file {path} entry {number}: not a SegLST segment ({error!r})") from error
        found.append((session, turn))
    return found


def render_rttm(session: str, turns: Iterable[SpokenTurn]) -> str:
    """RTTM text of one session, lines sorted by (start, end, speaker)."""
    lines = (
        f"SPEAKER {session} 1 {turn.start_s:.3f} {turn.end_s - turn.start_s:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in sorted(turns)
    )
    return "".join(lines)


@dataclass(frozen=True, slots=True)
class OverlapAmount:
    """How much of the speech time has two or more speakers. Times are in the unit of the spans given."""

    speech: float
    overlapped: float

    @property
    def share(self) -> float:
        """Overlapped time / time with any speech; 0 where nobody speaks."""
        return self.overlapped / self.speech if self.speech else 0.0


def overlap_amount(spans: Sequence[tuple[float, float]]) -> OverlapAmount:
    """Sweep over half-open spans of all speakers (each speaker's own spans must not overlap one another)."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    speech = overlapped = previous = 0.0
    active = 0
    for at, change in edges:
        speech += (at - previous) * (active >= 1)
        overlapped += (at - previous) * (active >= 2)
        active, previous = active + change, at
    return OverlapAmount(speech, overlapped)
