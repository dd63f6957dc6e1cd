"""Progress of fetching on stderr: bars on a terminal, lines where stderr is a file or a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

_LINE_EVERY_S = 5.0


class ConsoleProgress:
    """A `models.sources.Progress` that people can read. Use as a context manager, so that the bars are put away."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = Bars(*columns, console=self._console) if self._console.is_terminal else None
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> ConsoleProgress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def note(self, text: str) -> None:
        """One line."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")

    def update(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Move the bar of `what`, or, without a terminal, write a line every few seconds and one at the end."""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total_bytes)
            self._bars.update(self._tasks[what], completed=done_bytes)
            return
        now_s = time.monotonic()
        begun_s, last_s = self._begun.setdefault(what, (now_s, now_s))
        if done_bytes >= total_bytes or now_s - last_s >= _LINE_EVERY_S:
            speed = done_bytes / 1e6 / max(now_s - begun_s, 1e-3)
            sys.stderr.write(f"{what}: {done_bytes / 1e6:.1f} of {total_bytes / 1e6:.1f} MB, {speed:.1f} MB/s\n")
            self._begun[what] = (begun_s, now_s)
