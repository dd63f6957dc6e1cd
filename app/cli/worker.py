"""`crosstalk worker`: works on recordings, without an HTTP server, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Annotated

import typer

from app.cli.failures import ExitCode
from app.cli.tools import EngineBuilder, tools_of
from app.observe import set_up_logging
from app.recordings import Workplace
from app.settings import Settings, load_settings
from app.wiring import audio_limits, store_from, work_dir, worker_rules

_log = logging.getLogger(__name__)
_LOOK_S = 1.0

Slots = Annotated[int | None, typer.Option(min=1, help="Recordings to work on at the same time; 2 unless set.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Decoder = Annotated[str | None, typer.Option(help="Which decoder writes the words.")]


def worker(context: typer.Context, slots: Slots = None, device: Device = None, decoder: Decoder = None) -> None:
    """Work on recordings of a shared store (CROSSTALK_STORE__URL) until interrupted; SIGTERM hands over what runs."""
    settings = load_settings({"jobs": {"slots": slots}, "engine": {"device": device, "decoder": decoder}})
    set_up_logging(settings.log.level, settings.log.format)
    if not asyncio.run(_work(settings, tools_of(context).build)):
        # A thread that hangs in the models would keep the process alive; whoever watches it starts a new one.
        logging.shutdown()
        os._exit(ExitCode.FAILED)


async def _work(settings: Settings, build: EngineBuilder) -> bool:
    """Until SIGTERM or SIGINT (True), or until the models hang (False)."""
    # Imported here: every other command starts without a database.
    from app.jobs.worker import Worker
    from app.monitoring import make_metrics, own_port, watch_engine, watch_store

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = make_metrics(settings)
    store = await asyncio.to_thread(store_from, settings, metrics)
    engine = await build(settings)
    watch_store(metrics, store)
    place = Workplace(watch_engine(metrics, engine), audio_limits(settings), work_dir(settings))
    working = Worker(store, place, worker_rules(settings), metrics)
    with own_port(settings, metrics):
        await working.start()
        while not stop.is_set() and not working.timeouts:
            try:
                await asyncio.wait_for(stop.wait(), _LOOK_S)
            except TimeoutError:
                continue
    _log.info("stopping at the next window boundary")
    await working.aclose()
    if working.timeouts:
        _log.error("the models hang; this process ends so that another can take its place")
        return False
    await engine.aclose()
    store.database.close()
    metrics.close()
    return True
