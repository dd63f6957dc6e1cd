"""`crosstalk bench engine`: what it costs to have the models in other processes or machines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.cli.tools import EngineBuilder, tools_of
from app.errors import OptionInvalid, SetupError
from app.observe import set_up_logging
from app.settings import Settings, load_settings
from app.wiring import audio_limits, build_from, work_dir

Remotes = Annotated[
    list[str] | None, typer.Option("--remote", metavar="NAME=URL[,URL]", help="Workers to measure; may be given again.")
]
Pids = Annotated[
    list[str] | None,
    typer.Option("--pid", metavar="NAME=PID[,PID]", help="Their processes here, whose CPU time is counted."),
]
Calls = Annotated[int, typer.Option(min=10, help="Calls of each step, for each number in flight.")]
InFlight = Annotated[list[int] | None, typer.Option("--in-flight", min=1, help="Calls at once; may be given again.")]
Recording = Annotated[Path | None, typer.Option(metavar="FILE", help="Also transcribe this recording everywhere.")]


def engine(
    context: typer.Context,
    remote: Remotes = None,
    pid: Pids = None,
    calls: Calls = 200,
    in_flight: InFlight = None,
    recording: Recording = None,
) -> None:
    """Measure calls to inference workers against the models in this process; the table goes to stdout."""
    settings = load_settings()
    if settings.engine.kind != "local":
        raise OptionInvalid(
            "workers are compared with the models in this process: unset engine.kind", param="engine.kind"
        )
    set_up_logging("error", "text")
    remotes = {name: tuple(urls) for name, urls in map(_named, remote or ())}
    pids = {name: tuple(map(_number, numbers)) for name, numbers in map(_named, pid or ())}
    if unknown := sorted(pids.keys() - remotes.keys()):
        raise OptionInvalid(f"--pid names what no --remote does: {', '.join(unknown)}", param="pid")
    run = _Run(settings, tools_of(context).build, calls, tuple(in_flight or (1, 8)), recording)
    output.write_stdout(asyncio.run(run.measure(remotes, pids)))


class _Run:
    """One measurement of all sites."""

    def __init__(
        self, settings: Settings, build: EngineBuilder, calls: int, in_flight: tuple[int, ...], recording: Path | None
    ) -> None:
        self._settings = settings
        self._build = build
        self._calls = calls
        self._in_flight = in_flight
        self._recording = recording

    async def measure(self, remotes: dict[str, tuple[str, ...]], pids: dict[str, tuple[int, ...]]) -> str:
        """The table. Raises CrosstalkError."""
        try:
            from app.bench import engine as bench
            from app.bench.machine import commit, this_machine
        except ImportError as error:
            raise SetupError(f"this benchmark needs {error.name}: pip install 'crosstalk[bench]'") from error
        from app.recordings import Workplace

        costs: list[bench.CallCost] = []
        wholes: list[bench.WholeCost] = []
        first = None
        for name in ("in process", *remotes):
            urls = remotes.get(name)
            engine = await (self._build(self._settings) if urls is None else build_from(self._elsewhere(urls)))
            try:
                site = bench.Site(name, engine, pids.get(name, ()))
                costs += await bench.call_costs(site, self._calls, self._in_flight)
                if self._recording is not None:
                    place = Workplace(engine, audio_limits(self._settings), work_dir(self._settings))
                    whole, view = await bench.whole_cost(site, place, self._recording, first)
                    first = first or view
                    wholes.append(whole)
            finally:
                await engine.aclose()
        machine = this_machine()
        told = f"{machine.cpu}, {machine.cores} cores; commit {commit(Path(__file__).parent)}; {self._calls} calls each"
        return bench.to_markdown(costs, wholes, told)

    def _elsewhere(self, urls: tuple[str, ...]) -> Settings:
        engine = self._settings.engine.model_copy(update={"kind": "http", "urls": urls})
        return self._settings.model_copy(update={"engine": engine})


def _named(option: str) -> tuple[str, list[str]]:
    name, equals, values = option.partition("=")
    if not name or not equals or not values:
        raise OptionInvalid(f"{option!r} is not NAME=VALUE[,VALUE]", param="remote")
    return name, values.split(",")


def _number(text: str) -> int:
    if not text.isdigit():
        raise OptionInvalid(f"{text!r} is no process id", param="pid")
    return int(text)
