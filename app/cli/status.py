"""`crosstalk status ID`: how far a recording on a server is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli import output
from app.cli.progress import clock
from app.cli.submit import DEFAULT_URL, ApiKey, Url
from app.client.auth import bearer
from app.client.recording_types import Recording, RetryRules
from app.client.recordings import RecordingsClient
from app.observe import set_up_logging

AT_ONCE = RetryRules(attempts=3)
"""For a person who looks: a server that is away is told within seconds."""

Id = Annotated[str, typer.Argument(metavar="ID", help="As `crosstalk submit` printed it.")]
AsJson = Annotated[bool, typer.Option("--json", help="As one line of JSON, for programs.")]


def status(recording_id: Id, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show a recording's state, how far it is and what to know about it; status 0 whatever the state."""
    set_up_logging("warning", "text")
    with RecordingsClient(url, AT_ONCE, headers=bearer(api_key)) as client:
        found = client.get(recording_id)
    if as_json:
        output.write_stdout(json.dumps(asdict(found), ensure_ascii=False) + "\n")
        return
    output.write_stdout("".join(f"{name:<10} {value}\n" for name, value in _lines(found)))


def _lines(found: Recording) -> Iterator[tuple[str, str]]:
    yield "id", found.id
    # Names come from whoever uploaded them: nothing in them may steer a terminal.
    yield "file", "".join(it if it.isprintable() else "?" for it in found.file_name)
    yield "state", f"{found.state} (being cancelled)" if found.cancel_requested and not found.over else found.state
    if found.position is not None:
        yield "position", str(found.position)
    yield "progress", _progress(found)
    yield "uploaded", datetime.fromtimestamp(found.created_at, UTC).isoformat(" ", "seconds")
    if found.language is not None:
        yield "language", found.language
    if found.failure is not None:
        yield "failure", f"{' '.join(found.failure.message.split())} [{found.failure.code}]"
    for warning in found.warnings:
        yield "warning", warning


def _progress(found: Recording) -> str:
    it = found.progress
    total = "?" if it.total_s is None else clock(it.total_s)
    text = f"{clock(it.decoded_s)}/{total} written, {clock(it.diarized_s)}/{total} heard"
    if it.speed is not None:
        text += f", {it.speed:.1f}x real time"
    return text if it.left_s is None or found.over else f"{text}, {clock(it.left_s)} left"
