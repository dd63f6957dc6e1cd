"""`crosstalk transcribe FILE...`: the command's options, checked before anything is loaded."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.cli.run import Job, run_jobs
from app.cli.tools import tools_of
from app.errors import OptionInvalid
from app.formats import FORMATS
from app.observe import set_up_logging
from app.options import Asked, session_options
from app.settings import load_settings

_FORMATS = ", ".join(FORMATS)

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Recordings: audio or video, whatever FFmpeg reads.")
]
FormatNames = Annotated[list[str], typer.Option("--format", "-f", help=f"May be given again. One of: {_FORMATS}.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write files into DIR instead of stdout.")
]
Count = Annotated[int | None, typer.Option(min=1, help="Number of speakers, when it is known.")]
Low = Annotated[int | None, typer.Option(min=1, help="At least so many speakers.")]
High = Annotated[int | None, typer.Option(min=1, help="At most so many speakers.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="Like en or de; detected when not given.")]
Hotwords = Annotated[list[str] | None, typer.Option("--hotword", help="A word or name to expect; may be given again.")]
Channels = Annotated[
    bool, typer.Option("--channels-as-speakers", help="Every channel is one speaker; each is transcribed by itself.")
]
Decoder = Annotated[str | None, typer.Option(help="Which decoder writes the words.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Threads = Annotated[int | None, typer.Option(min=0, help="CPU threads; 0 = half the cores.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr, only errors.")]


def transcribe(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    context: typer.Context,
    files: Files,
    format: FormatNames = ["txt"],  # noqa: B006 - typer copies it
    output_dir: Output = None,
    num_speakers: Count = None,
    min_speakers: Low = None,
    max_speakers: High = None,
    language: Language = None,
    hotword: Hotwords = None,
    channels_as_speakers: Channels = False,
    decoder: Decoder = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Transcribe recordings: who spoke, when, and what."""
    settings = load_settings({"engine": {"device": device, "num_threads": threads, "decoder": decoder}})
    # Unless asked for, only what a person must know: progress has its own display.
    level = settings.log.level if "level" in settings.log.model_fields_set else "warning"
    set_up_logging(level, settings.log.format)
    _quiet_libraries(level)
    formats = tuple(dict.fromkeys(format))
    _check_targets(files, formats, output_dir)
    job = Job(
        files=tuple(files),
        formats=formats,
        output=output_dir,
        options=session_options(Asked(language, num_speakers, min_speakers, max_speakers, tuple(hotword or ()))),
        channels_as_speakers=channels_as_speakers,
        quiet=quiet,
    )
    raise typer.Exit(asyncio.run(run_jobs(job, settings, tools_of(context).build)))


def _quiet_libraries(level: str) -> None:
    if level != "debug":
        logging.getLogger("transformers").setLevel(logging.ERROR)


def _check_targets(files: list[Path], formats: tuple[str, ...], directory: Path | None) -> None:
    for name in formats:
        if name not in FORMATS:
            raise typer.BadParameter(f"unknown format {name!r}; known are {_FORMATS}", param_hint="--format")
    if directory is None:
        if len(formats) > 1:
            raise typer.BadParameter("several formats need --output DIR", param_hint="--format")
        if len(files) > 1 and formats != ("txt",):
            raise typer.BadParameter("several files in this format need --output DIR", param_hint="--format")
        return
    clash = output.clashes(files)
    if clash is not None:
        raise OptionInvalid(f"{clash[0]} and {clash[1]} would be written to the same file", param="output")
    output.make_directory(directory)
