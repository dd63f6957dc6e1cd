"""`crosstalk fetch ID`: the transcript of a recording on a server, to stdout or a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.cli.progress import Display
from app.cli.status import AT_ONCE, Id
from app.cli.submit import DEFAULT_URL, Quiet, Url
from app.client.recording_errors import error_of
from app.client.recording_types import Recording, RecordingEvent, RetryRules, read_progress
from app.client.recordings import RecordingsClient
from app.core.times import to_samples
from app.errors import JobStateInvalid
from app.formats import FORMATS
from app.observe import set_up_logging
from app.session import Progress

_BINARY = "docx"
_PATIENT = RetryRules(attempts=10)
"""A minute: who waits for an hour also waits for a server that starts again."""
_FORMATS = ", ".join((*FORMATS, _BINARY))

FormatName = Annotated[str, typer.Option("--format", "-f", help=f"One of: {_FORMATS}.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Until the recording is done; without it, what there is.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write FILE instead of stdout.")]
Revision = Annotated[int | None, typer.Option(min=1, help="This version of the transcript; the newest when not given.")]


def fetch(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    recording_id: Id,
    url: Url = DEFAULT_URL,
    format: FormatName = "txt",
    wait: Wait = False,
    output_file: Output = None,
    revision: Revision = None,
    quiet: Quiet = False,
) -> None:
    """Get the transcript of a recording from a server."""
    set_up_logging("warning", "text")
    if format not in FORMATS and format != _BINARY:
        raise typer.BadParameter(f"unknown format {format!r}; known are {_FORMATS}", param_hint="--format")
    if format == _BINARY and output_file is None and sys.stdout.isatty():
        raise typer.BadParameter("docx is no text for a terminal; give --output FILE", param_hint="--format")
    with RecordingsClient(url, _PATIENT if wait else AT_ONCE) as client, Display(quiet=quiet) as display:
        if wait:
            _wait(client, recording_id, display)
        found = client.transcript(recording_id, format, revision=revision)
        display.clear()
        if found.partial:
            display.note(f"{recording_id}: still running, this is the transcript so far")
    if output_file is None:
        output.write_stdout(found.content)
    else:
        output.write_file(output_file, found.content)


def _wait(client: RecordingsClient, recording_id: str, display: Display) -> None:
    """Raises the failure of a recording that failed, JobStateInvalid for one that was cancelled."""
    follower = _Follower(client.get(recording_id), display)
    done = client.wait(recording_id, follower.see)
    display.clear()
    if done.state == "failed":
        failure = done.failure
        code, message = ("internal_error", "no reason") if failure is None else (failure.code, failure.message)
        raise error_of(code, f"recording {recording_id} failed: {message}")
    if done.state != "succeeded":
        raise JobStateInvalid(f"recording {recording_id} is {done.state}")
    for warning in done.warnings:
        display.note(f"{recording_id}: warning: {warning}")


class _Follower:
    """Events of the server -> the display."""

    def __init__(self, recording: Recording, display: Display) -> None:
        self._recording = recording
        self._display = display
        self._name = recording.file_name or recording.id
        display.waiting(self._name)

    def see(self, event: RecordingEvent) -> None:
        """An event came."""
        if event.kind == "state" and event.data.get("state") == "running":
            self._display.begin(self._name, self._recording.progress.total_s)
        elif event.kind == "state" and event.data.get("state") == "queued":
            self._display.waiting(self._name)
        elif event.kind == "progress":
            it = read_progress(event.data)
            total = None if it.total_s is None else to_samples(it.total_s)
            if it.stage == "diarize":
                self._display.update(Progress("diarize", to_samples(it.diarized_s), total))
            elif it.stage == "decode":
                self._display.update(Progress("decode", to_samples(it.decoded_s), total))
