"""`crosstalk infer`: an inference worker, the models of other servers behind a small HTTP API."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Annotated

import typer

from app.cli.serve import listen_on
from app.cli.tools import EngineBuilder, tools_of
from app.engine.about import identity_of
from app.engine.base import Engine
from app.errors import OptionInvalid
from app.observe import set_up_logging
from app.settings import Settings, load_settings
from app.wiring import infer_rules

_log = logging.getLogger(__name__)
_KEEP_ALIVE_S = 75

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 = any free one.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...; one process per GPU.")]
Decoder = Annotated[str | None, typer.Option(help="Which decoder writes the words.")]


def infer(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 8100,
    device: Device = None,
    decoder: Decoder = None,
) -> None:
    """Run the models for servers and workers whose engine is of kind http, until interrupted."""
    settings = load_settings({"engine": {"device": device, "decoder": decoder}})
    if settings.engine.kind != "local":
        raise OptionInvalid("an inference worker runs the models itself: unset engine.kind", param="engine.kind")
    set_up_logging(settings.log.level, settings.log.format)
    asyncio.run(_infer(settings, tools_of(context).build, host, port))


async def _infer(settings: Settings, build: EngineBuilder, host: str, port: int) -> None:
    # The port is taken first: a wrong one is told before the models are loaded, which takes seconds.
    with listen_on(host, port) as listener:
        engine = await build(settings)
        try:
            await _serve(settings, engine, listener)
        finally:
            await engine.aclose()


async def _serve(settings: Settings, engine: Engine, listener: socket.socket) -> None:
    # Imported here: every other command starts in half the time without a web framework.
    import uvicorn

    from app.engine.infer_app import create_infer_app
    from app.monitoring import make_metrics, own_port, watch_engine

    if not settings.engine.token:
        _log.warning("no token is set (CROSSTALK_ENGINE__TOKEN): whoever reaches this port may use the models")
    metrics = make_metrics(settings)
    watch_engine(metrics, engine)  # its calls are counted where they come from; here the batches and the GPU's memory
    config = uvicorn.Config(
        create_infer_app(engine, infer_rules(settings), observer=metrics),
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.server.shutdown_timeout_s,
    )
    address, number = listener.getsockname()[:2]
    _log.info("inference on http://%s:%d, models %s", address, number, identity_of(engine))
    with own_port(settings, metrics):
        await uvicorn.Server(config).serve(sockets=[listener])
    metrics.close()
