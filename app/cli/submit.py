"""`crosstalk submit FILE...`: hand recordings to a server; their ids go to stdout, one a line, in the files' order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.cli.failures import ExitCode, report
from app.cli.progress import Display
from app.client.auth import bearer
from app.client.recording_types import UploadOptions
from app.client.recordings import RecordingsClient
from app.errors import CrosstalkError
from app.observe import set_up_logging

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option("--url", metavar="URL", help="The server, like http://HOST:PORT.")]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", envvar="CROSSTALK_API_KEY", help="Where the server asks for one.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr, only errors.")]
Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Recordings: audio or video, whatever FFmpeg reads.")
]
Count = Annotated[int | None, typer.Option(min=1, help="Number of speakers, when it is known.")]
Low = Annotated[int | None, typer.Option(min=1, help="At least so many speakers.")]
High = Annotated[int | None, typer.Option(min=1, help="At most so many speakers.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="Like en or de; detected when not given.")]
Hotwords = Annotated[list[str] | None, typer.Option("--hotword", help="A word or name to expect; may be given again.")]
Known = Annotated[
    list[str] | None,
    typer.Option("--known-speaker", metavar="ID", help="Name this voice; may be given again; all = every known one."),
]
Decoder = Annotated[str | None, typer.Option(help="Which decoder writes the words.")]
Channels = Annotated[
    bool, typer.Option("--channels-as-speakers", help="Every channel is one speaker; each is transcribed by itself.")
]
Priority = Annotated[int | None, typer.Option(min=0, max=9, help="9 goes first; 5 when not given.")]

Webhook = Annotated[str | None, typer.Option(metavar="URL", help="Where the server tells that it is done.")]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="STATE",
        help="What the webhook is told: running, succeeded, failed, cancelled; may be given again; the last three when "
        "not given.",
    ),
]


def submit(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    files: Files,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    num_speakers: Count = None,
    min_speakers: Low = None,
    max_speakers: High = None,
    language: Language = None,
    hotword: Hotwords = None,
    known_speaker: Known = None,
    decoder: Decoder = None,
    channels_as_speakers: Channels = False,
    priority: Priority = None,
    webhook: Webhook = None,
    event: Events = None,
    quiet: Quiet = False,
) -> None:
    """Upload recordings to a server, which transcribes them in the background; prints their ids."""
    set_up_logging("warning", "text")
    options = UploadOptions(
        language=language,
        num_speakers=num_speakers,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        hotwords=tuple(hotword or ()),
        known_speakers=tuple(known_speaker or ()),
        decoder=decoder,
        channels_as_speakers=channels_as_speakers or None,
        priority=priority,
        webhook=webhook,
        events=tuple(event or ()),
    )
    failures: list[ExitCode] = []
    with RecordingsClient(url, headers=bearer(api_key)) as client, Display(quiet=quiet) as display:
        for file in files:
            try:
                recording_id = _upload(client, file, options, display)
            except CrosstalkError as error:
                display.clear()
                failures.append(report(error, about=str(file)))
            else:
                output.write_stdout(f"{recording_id}\n")
    if failures:
        raise typer.Exit(failures[0] if len(files) == 1 else ExitCode.FAILED)


def _upload(client: RecordingsClient, file: Path, options: UploadOptions, display: Display) -> str:
    """The new recording's id."""

    def sent(done_bytes: int, total_bytes: int) -> None:
        display.sending(file.name, done_bytes, total_bytes)

    made = client.submit(file, options, on_sent=sent)
    display.clear()
    place = "" if made.position is None else f", number {made.position} in the queue"
    display.note(f"{file}: uploaded, {made.size_bytes or 0:,} bytes{place}")
    return made.id
