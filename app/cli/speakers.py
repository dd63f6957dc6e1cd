"""`crosstalk speakers add|list|remove`: people whose voices a server knows, to name them in recordings and captions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.cli.status import AT_ONCE
from app.cli.submit import DEFAULT_URL, ApiKey, Url
from app.client.auth import bearer
from app.client.recordings import RecordingsClient
from app.errors import OptionInvalid
from app.observe import set_up_logging

command = typer.Typer(name="speakers", no_args_is_help=True, help="People whose voices a server knows.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Who it is.")]
Sample = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Speech of this person alone, 3 seconds to 5 minutes of it.")
]
FromRecording = Annotated[
    str | None, typer.Option("--recording", metavar="ID", help="Instead of a file: a finished recording.")
]
Speaker = Annotated[int | None, typer.Option(min=0, help="Which speaker of it, from 0.")]
SpeakerId = Annotated[str, typer.Argument(metavar="ID", help="As `crosstalk speakers list` shows it.")]


@command.command()
def add(
    name: Name,
    file: Sample = None,
    recording: FromRecording = None,
    speaker: Speaker = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Learn a voice, from a file or from a speaker of a finished recording; prints its id."""
    if (file is None) == (recording is None) or (recording is None) != (speaker is None):
        raise OptionInvalid("give a FILE, or --recording with --speaker", param="file")
    with _client(url, api_key) as client:
        if file is not None:
            known = client.learn_sample(name, file)
        else:
            known = client.learn_speaker(name, str(recording), int(speaker or 0))
    output.write_stdout(f"{known.id}\n")


@command.command("list")
def list_speakers(url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """One line for each: id, when it was learnt, from which recording, name; tabs between."""
    with _client(url, api_key) as client:
        for known in client.known_speakers():
            made = datetime.fromtimestamp(known.created_at, UTC).isoformat(" ", "seconds")
            # Names come from whoever wrote them: nothing in them may steer a terminal.
            name = "".join(it if it.isprintable() else "?" for it in known.name)
            output.write_stdout(f"{known.id}\t{made}\t{known.recording or '-'}\t{name}\n")


@command.command()
def remove(speaker_id: SpeakerId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Forget a voice."""
    with _client(url, api_key) as client:
        client.forget_speaker(speaker_id)


def _client(url: str, api_key: str | None) -> RecordingsClient:
    set_up_logging("warning", "text")
    return RecordingsClient(url, AT_ONCE, headers=bearer(api_key))
