"""Live captions for people: events in, lines on stdout; on a terminal the tentative tail stands dimmed below them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from app.cli.output import write_stdout
from app.cli.progress import clock
from app.client import Done, Event, Final, GoAway, Lag, Lost, Partial, Problem, Ready, Segment, Skipped, Speakers

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")
_KEPT_LABELS = 10_000
"""Finals whose speaker is remembered, so that a revision can say what changed."""


class Captions:
    """Shows one session. A context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout)
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        )
        self._names: dict[int, str] = {}
        self._labels: dict[str, tuple[int, float]] = {}
        self._tail: Sequence[Segment] = ()
        self._state = ""

    def __enter__(self) -> Captions:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(Text(), refresh=True)
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take one event. Raises ReaderGone when nobody reads stdout any more."""
        if isinstance(event, Final):
            self._final(event.segment)
        elif isinstance(event, Partial):
            self._tail = event.segments
        elif isinstance(event, Speakers):
            self._revise(event)
        else:
            self._told(event)
        if self._live is not None:
            self._live.update(Group(*map(self._tentative, self._tail), Text(self._state, "dim")), refresh=True)

    def _final(self, segment: Segment) -> None:
        self._labels[segment.id] = (segment.speaker, segment.start)
        if len(self._labels) > _KEPT_LABELS:
            del self._labels[next(iter(self._labels))]
        self._line(self._text(segment), plain=f"[{clock(segment.start)}] {self._name(segment.speaker)}: {segment.text}")

    def _revise(self, event: Speakers) -> None:
        for speaker, name in event.names.items():
            self._note(f"{self._name(speaker)} is {name}" if name else f"{self._name(speaker)} has no name any more")
            self._names[speaker] = name
        for segment, speaker in event.segments.items():
            before, start = self._labels.get(segment, (None, 0.0))
            if before is not None and before != speaker:
                self._labels[segment] = (speaker, start)
                self._note(f"at {clock(start)} it was {self._name(speaker)}, not {self._name(before)}")

    def _told(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._state = "listening"
        elif isinstance(event, Lag):
            self._state = f"{event.seconds:.1f} s behind" if event.state == "behind" else "listening"
        elif isinstance(event, Lost):
            self._state = "connection lost, trying again"
            self._note(f"connection lost ({event.reason}); trying again")
        elif isinstance(event, Skipped):
            self._note(f"sound from {clock(event.from_s)} to {clock(event.to_s)} was left out: {event.reason}")
        elif isinstance(event, GoAway):
            self._note(f"the server is going away ({event.reason})")
        elif isinstance(event, Problem):
            self._note(f"{event.message} [{event.code}]")
        elif isinstance(event, Done):
            self._tail, self._state = (), ""
            for warning in event.warnings:
                self._note(f"warning: {warning}")

    def _name(self, speaker: int) -> str:
        return self._names.get(speaker) or f"Speaker {speaker + 1}"

    def _text(self, segment: Segment) -> Text:
        colour = _COLOURS[segment.speaker % len(_COLOURS)]
        time = Text(f"{clock(segment.start)} ", "dim")
        return Text.assemble(time, (f"{self._name(segment.speaker)}: ", f"bold {colour}"), (segment.text, colour))

    def _tentative(self, segment: Segment) -> Text:
        text = self._text(segment)
        text.stylize("dim italic")
        return text

    def _line(self, text: Text, *, plain: str) -> None:
        if self._live is not None:
            self._console.print(text, soft_wrap=True)
        else:
            write_stdout(plain + "\n")

    def _note(self, line: str) -> None:
        """Not part of the transcript: beside it on a terminal, on stderr elsewhere."""
        if self._live is not None:
            self._console.print(Text(line, "dim"), soft_wrap=True)
        else:
            sys.stderr.write(line + "\n")
