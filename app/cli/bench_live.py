"""`crosstalk bench latency` and `crosstalk bench load`: live captions measured through a server's socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import typer

from app.cli import output
from app.cli.tools import tools_of
from app.errors import SetupError
from app.observe import set_up_logging
from app.options import language_code
from app.settings import Settings, load_settings

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Audio files, each with its words beside it.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="Only this sub-folder; may be given again.")]
Urls = Annotated[
    list[str] | None, typer.Option("--url", help="A running server's /v1/live; by default one is started.")
]
Speed = Annotated[float, typer.Option(min=0.0, help="Pace of the sound: 1 = as spoken, 0 = as fast as accepted.")]
Most = Annotated[int | None, typer.Option("--max-meetings", min=1, help="Only the first so many meetings.")]
WithBatch = Annotated[bool, typer.Option("--batch/--no-batch", help="Also transcribe the files whole, to compare.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="Like en or de; detected when not given.")]
Sound = Annotated[Path, typer.Option("--sound", metavar="FILE", help="What every stream plays, over and over.")]
EngineKind = Annotated[
    Literal["local", "replay"], typer.Option("--engine", help="replay: recorded answers, so that models cost nothing.")
]
Log = Annotated[Path | None, typer.Option("--log", metavar="FILE", help="Keeps the recorded answers for another run.")]
Streams = Annotated[int, typer.Option("--max-streams", min=1, help="End at so many streams.")]
Batch = Annotated[int, typer.Option("--add", min=1, help="Streams added at a time.")]
Hold = Annotated[
    float,
    typer.Option("--hold", min=2.0, help="Seconds measured at each number of streams, at least the sound's length."),
]
Beside = Annotated[
    Path | None,
    typer.Option("--recording", metavar="FILE", help="At last, hand in this recording beside the streams."),
]
Limit = Annotated[float, typer.Option("--lag-limit", min=0.1, help="Seconds of lag that end it.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the report as Markdown.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 = any free one.")]


def latency(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    context: typer.Context,
    data: Data,
    group: Groups = None,
    url: Urls = None,
    speed: Speed = 1.0,
    max_meetings: Most = None,
    batch: WithBatch = True,
    language: Language = None,
    json_file: JsonFile = None,
    markdown_file: MarkdownFile = None,
) -> None:
    """Replay meetings through the live socket: how late words come, how often they change, how right they are."""
    settings = _settings()
    run = _run_module()
    code = None if language is None else language_code(language)
    job = run.LatencyJob(data, tuple(group or ()), tuple(url or ()), speed, max_meetings, batch, code)
    report = asyncio.run(run.measure_latency(job, settings, tools_of(context).build, dict(os.environ)))
    _write(report.json, report.markdown, json_file, markdown_file)


def load(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    sound: Sound,
    url: Urls = None,
    engine: EngineKind = "local",
    log: Log = None,
    max_streams: Streams = 100,
    add: Batch = 10,
    hold: Hold = 15.0,
    lag_limit: Limit = 2.0,
    recording: Beside = None,
    json_file: JsonFile = None,
    markdown_file: MarkdownFile = None,
) -> None:
    """Add live streams, each in real time, until captions are late: how many one server carries, and at what cost."""
    settings = _settings()
    run = _run_module()
    job = run.LoadJob(sound, tuple(url or ()), engine, log, run.Bounds(max_streams, add, hold, lag_limit), recording)
    report = asyncio.run(run.measure_load(job, settings, dict(os.environ)))
    _write(report.json, report.markdown, json_file, markdown_file)


def serve_recorded(
    context: typer.Context, sound: Sound, log: Log = None, host: Host = "127.0.0.1", port: Port = 0
) -> None:
    """A server whose models only repeat what they once said of one sound; for `bench load --engine replay`."""
    settings = load_settings({"server": {"host": host, "port": port}})
    set_up_logging(settings.log.level, settings.log.format)
    asyncio.run(_run_module().serve_recorded(sound, log, settings, tools_of(context).build))


def _settings() -> Settings:
    settings = load_settings()
    set_up_logging(settings.log.level if "level" in settings.log.model_fields_set else "warning", settings.log.format)
    return settings


def _run_module() -> ModuleType:
    """Imported late: scoring comes with the extra `bench`."""
    try:
        from app.cli import bench_live_run
    except ImportError as error:
        raise SetupError(f"scoring needs {error.name}: pip install 'crosstalk[bench]'") from error
    return bench_live_run


def _write(json_text: str, markdown: str, json_file: Path | None, markdown_file: Path | None) -> None:
    if json_file is not None:
        output.write_file(json_file, json_text)
    if markdown_file is not None:
        output.write_file(markdown_file, markdown)
    output.write_stdout(markdown)
