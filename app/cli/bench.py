"""`crosstalk bench`: error rates and speed over meetings with known answers; the cost of the job queue.

Live latency and load are in `bench_live.py`, calls to inference workers in `bench_engine.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli import bench_engine, bench_live, bench_scale, output
from app.cli.tools import tools_of
from app.errors import OptionInvalid, SetupError
from app.observe import set_up_logging
from app.settings import load_settings
from app.wiring import store_from

command = typer.Typer(no_args_is_help=True)
command.command()(bench_live.latency)
command.command()(bench_live.load)
command.command()(bench_engine.engine)
command.command()(bench_scale.scale)
command.command("serve-recorded", hidden=True)(bench_live.serve_recorded)

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Audio files, each with NAME.rttm and/or its words.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="Only this sub-folder; may be given again.")]
BaselineName = Annotated[
    Literal["pyannote"] | None, typer.Option("--baseline", help="Also run this diarizer on the same meetings.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the report as Markdown.")]
Decoder = Annotated[str | None, typer.Option(help="Which decoder writes the words.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Threads = Annotated[int | None, typer.Option(min=0, help="CPU threads; 0 = half the cores.")]


@command.callback()
def _bench() -> None:
    """Measure accuracy and speed."""


StoreUrl = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="An empty database; a new SQLite file unless set.")
]
JobCount = Annotated[int, typer.Option("--jobs", min=100, help="Queued recordings to list.")]
Minutes = Annotated[float, typer.Option(min=1, help="Length of the meeting that is worked on.")]
WindowMs = Annotated[float, typer.Option("--window-ms", min=0, help="What one window costs the engine.")]


@command.command()
def jobs(store: StoreUrl = None, count: JobCount = 10_000, minutes: Minutes = 20.0, window_ms: WindowMs = 50.0) -> None:
    """Measure what the job queue itself costs; the figures go to stdout."""
    from app.bench import jobs as bench

    set_up_logging("error", "text")
    with tempfile.TemporaryDirectory() as folder:
        overrides = {"store": {"url": store or f"sqlite:///{folder}/bench.sqlite", "blobs_url": f"{folder}/blobs"}}
        settings = load_settings(overrides)
        opened = store_from(settings)
        try:
            if any(opened.jobs.counts().values()):
                raise OptionInvalid("the database holds recordings; give an empty one", param="store")
            queue = asyncio.run(
                bench.queue_cost(opened, settings.store.url, minutes=minutes, window_s=window_ms / 1000)
            )
            listing = bench.listing_cost(opened, jobs=count)
        finally:
            opened.database.close()
    output.write_stdout(bench.to_markdown(settings.store.url, queue, listing))


@command.command()
def accuracy(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    context: typer.Context,
    data: Data,
    group: Groups = None,
    baseline: BaselineName = None,
    json_file: JsonFile = None,
    markdown_file: MarkdownFile = None,
    decoder: Decoder = None,
    device: Device = None,
    threads: Threads = None,
) -> None:
    """Transcribe every meeting under a folder and score its words and speakers; the report goes to stdout."""
    settings = load_settings({"engine": {"device": device, "num_threads": threads, "decoder": decoder}})
    level = settings.log.level if "level" in settings.log.model_fields_set else "warning"
    set_up_logging(level, settings.log.format)
    try:
        from app.cli import bench_run
    except ImportError as error:
        raise SetupError(f"scoring needs {error.name}: pip install 'crosstalk[bench]'") from error
    bench = bench_run.Bench(data, tuple(group or ()), baseline)
    reports = asyncio.run(bench_run.measure(bench, settings, tools_of(context).build))
    if json_file is not None:
        output.write_file(json_file, bench_run.to_json(reports))
    if markdown_file is not None:
        output.write_file(markdown_file, bench_run.to_markdown(reports))
    output.write_stdout(bench_run.to_markdown(reports))
