"""`crosstalk live [FILE]`: live captions of a file or the microphone, from a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.live_run import Show, run_live
from app.cli.submit import ApiKey
from app.client import LiveOptions, SpeakerBounds
from app.observe import set_up_logging
from app.options import hotwords, language_code, speaker_count
from app.settings import load_settings

File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A recording; the microphone when not given.")]
Urls = Annotated[list[str], typer.Option("--url", help="The server's /v1/live; again for others that share its store.")]
Speed = Annotated[float, typer.Option(min=0.0, help="Pace of a file: 1 = as spoken, 0 = as fast as accepted.")]
Json = Annotated[bool, typer.Option("--json", help="Every event of the server as a line of JSON.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="Like en or de; detected when not given.")]
Hotwords = Annotated[list[str] | None, typer.Option("--hotword", help="A word or name to expect; may be given again.")]
Known = Annotated[list[str] | None, typer.Option("--known", help="Id of an enrolled speaker; may be given again.")]
Count = Annotated[int | None, typer.Option(min=1, help="Number of speakers, when it is known.")]
Low = Annotated[int | None, typer.Option(min=1, help="At least so many speakers.")]
High = Annotated[int | None, typer.Option(min=1, help="At most so many speakers.")]


def live(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    file: File = None,
    url: Urls = ["ws://127.0.0.1:8000/v1/live"],  # noqa: B006 - typer copies it
    api_key: ApiKey = None,
    speed: Speed = 1.0,
    as_json: Json = False,
    language: Language = None,
    hotword: Hotwords = None,
    known: Known = None,
    num_speakers: Count = None,
    min_speakers: Low = None,
    max_speakers: High = None,
) -> None:
    """Show who says what, while they say it. Ctrl-C ends the sound and waits for the last words."""
    settings = load_settings()
    set_up_logging(settings.log.level if "level" in settings.log.model_fields_set else "warning", settings.log.format)
    count = speaker_count(num_speakers, min_speakers, max_speakers)
    options = LiveOptions(
        language=None if language is None else language_code(language),
        hotwords=hotwords(hotword or ()),
        speakers=SpeakerBounds(count.min, count.max, count.exact),
        known_speakers=tuple(known or ()),
        partials=True,
    )
    asyncio.run(run_live(tuple(url), options, file, Show(speed, as_json, api_key), settings))
