"""How far a transcription is: a bar on a terminal's stderr, one line per file everywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from app.core.times import to_seconds
from app.core.types import TranscriptView
from app.session import Progress, Update

_END_S = 1.0
"""Progress this near to the end of a recording is its end: containers state rounded lengths."""


class Display:
    """Shows one file after the other. A context manager, so that the bar is put away at the end."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _AudioTime(),
            _Speed(),
            _TimeLeft(compact=True),
        )
        self._bars = None if quiet or not console.is_terminal else Bars(*columns, console=console, transient=True)
        self._task: TaskID | None = None
        self._name = ""
        self._stage = ""
        self._total_s: float | None = None

    def __enter__(self) -> Display:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def loading(self) -> None:
        """The models are being loaded."""
        self._show("loading the models", None, sound=False)

    def sending(self, name: str, sent_bytes: int, total_bytes: int) -> None:
        """A file is being uploaded."""
        description = f"{name}: uploading"
        if self._task is None or self._stage != description:
            self._stage = description
            self._show(description, float(total_bytes), sound=False)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=float(sent_bytes))

    def waiting(self, name: str) -> None:
        """A recording waits on a server."""
        self._show(f"{name}: waiting", None, sound=False)

    def begin(self, name: str, duration_s: float | None) -> None:
        """A recording starts; its length in seconds, None when the container does not tell."""
        self._name, self._stage, self._total_s = name, "", duration_s
        self._show(f"{name}: opening", duration_s)

    def update(self, update: Update) -> None:
        """Follow a session."""
        if not isinstance(update, Progress):
            return
        total_s = self._total_s if update.total is None else to_seconds(update.total)
        done_s = to_seconds(update.done)
        # A recording that is diarized to its end waits for its first words: that time belongs to the second stage.
        over = update.stage == "diarize" and total_s is not None and done_s >= total_s - _END_S
        stage = "what is said" if over or update.stage == "decode" else "who speaks"
        if stage != self._stage:
            self._stage = stage
            self._show(f"{self._name}: {stage}", total_s)
        if self._bars is not None and self._task is not None and not over:
            self._bars.update(self._task, total=None if total_s is None else max(total_s, done_s), completed=done_s)

    def finished(self, name: str, view: TranscriptView, took_s: float) -> None:
        """One line that stays."""
        length_s = to_seconds(view.duration)
        speakers = _count(len({segment.speaker for segment in view.segments}), "speaker")
        segments = _count(len(view.segments), "segment")
        speed = length_s / max(took_s, 1e-6)
        self.note(
            f"{name}: {clock(length_s)} of sound, {speakers}, {segments} in {took_s:.1f} s ({speed:.1f}x real time)"
        )
        for warning in view.warnings:
            self.note(f"{name}: warning: {warning}")

    def note(self, line: str) -> None:
        """A line above the bar."""
        if self._quiet:
            return
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(line + "\n")

    def clear(self) -> None:
        """Take the bar away, so that results or errors can be written."""
        if self._bars is not None and self._task is not None:
            self._bars.remove_task(self._task)
            self._bars.refresh()
            self._task = None

    def _show(self, description: str, total_s: float | None, *, sound: bool = True) -> None:
        if self._bars is None:
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
        # A new task for each stage, so that its speed is its own.
        self._task = self._bars.add_task(description, total=total_s, began_s=time.monotonic(), sound=sound)


def clock(seconds: float) -> str:
    """`1:02:03`, `2:03`: whole seconds for people."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _AudioTime(ProgressColumn):
    """Sound done / sound in all."""

    def render(self, task: Task) -> Text:
        if not task.fields["sound"]:
            return Text()
        total = "?" if task.total is None else clock(task.total)
        return Text(f"{clock(task.completed)}/{total}", style="progress.download")


class _Speed(ProgressColumn):
    """Seconds of sound per second of the clock."""

    def render(self, task: Task) -> Text:
        elapsed_s = time.monotonic() - float(task.fields["began_s"])
        if not task.fields["sound"] or not task.completed or elapsed_s <= 0:
            return Text()
        return Text(f"{task.completed / elapsed_s:.1f}x", style="progress.data.speed")


class _TimeLeft(TimeRemainingColumn):
    """How long this stage will take at the speed so far; nothing while that is unknown."""

    def render(self, task: Task) -> Text:
        if task.total is None or not task.completed:
            return Text()
        return Text.assemble(super().render(task), " left")
