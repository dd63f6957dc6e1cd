"""`crosstalk serve`: the HTTP server."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from pathlib import Path
from typing import Annotated

import typer

from app.cli.tools import EngineBuilder, tools_of
from app.engine.base import Engine
from app.errors import SetupError
from app.observe import set_up_logging
from app.settings import Settings, load_settings

_log = logging.getLogger(__name__)
_KEEP_ALIVE_S = 75
"""Longer than balancers keep an idle connection (nginx: 60 s), so that none sends a request into one that is just being
closed: a POST may not be repeated."""

Host = Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless set.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 8000 unless set, 0 = any free one.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Decoder = Annotated[str | None, typer.Option(help="Which decoder writes the words.")]


def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    device: Device = None,
    decoder: Decoder = None,
) -> None:
    """Serve the HTTP API until interrupted."""
    settings = load_settings({"server": {"host": host, "port": port}, "engine": {"device": device, "decoder": decoder}})
    set_up_logging(settings.log.level, settings.log.format)
    check_reach(settings)
    asyncio.run(_serve(settings, tools_of(context).build))


def check_reach(settings: Settings) -> None:
    """Raises SetupError for a server that strangers can reach and that asks nobody for a key; warns where that was
    allowed."""
    access, host = settings.access, settings.server.host
    if access.required or is_loopback(host):
        return
    if not access.allow_open:
        message = (
            f"others can reach {host}, and no API keys are required: set CROSSTALK_ACCESS__REQUIRED=true and make a key"
            " (crosstalk keys create), or, behind something that asks who one is, CROSSTALK_ACCESS__ALLOW_OPEN=true"
        )
        raise SetupError(message, param="CROSSTALK_ACCESS__REQUIRED")
    _log.warning("EVERYBODY who reaches %s may use this server: no API keys are required (access.allow_open)", host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_files(settings: Settings) -> tuple[Path, Path] | tuple[None, None]:
    """Certificate and key for HTTPS; none without. Raises SetupError for half of what is needed."""
    certfile, keyfile = settings.server.tls_certfile, settings.server.tls_keyfile
    if certfile is None and keyfile is None:
        return None, None
    for name, path in (("certfile", certfile), ("keyfile", keyfile)):
        if path is None or not path.is_file():
            variable = f"CROSSTALK_SERVER__TLS_{name.upper()}"
            raise SetupError(f"HTTPS needs a certificate and its key; there is no file {path}", param=variable)
    assert certfile is not None
    assert keyfile is not None
    return certfile, keyfile


async def _serve(settings: Settings, build: EngineBuilder) -> None:
    # The port is taken first: a wrong one is told before the models are loaded, which takes seconds.
    with listen_on(settings.server.host, settings.server.port) as listener:
        # The engine is built before the server starts, so that missing weights end in one line and no traceback.
        await serve_engine(settings, await build(settings), listener)


async def serve_engine(settings: Settings, engine: Engine, listener: socket.socket | None = None) -> None:
    """Serve an engine that is ready, and close it at the end. Raises SetupError when the address is taken."""
    # Imported here: every other command starts in half the time without a web framework.
    import uvicorn

    from app.main import create_app
    from app.transport.server import DrainingServer, socket_options

    with listener or listen_on(settings.server.host, settings.server.port) as listener:
        app = create_app(settings, engine, close_engine=True)
        certfile, keyfile = tls_files(settings)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # app/transport/observed.py writes one that holds no query and no secret
            lifespan="on",
            timeout_graceful_shutdown=settings.server.shutdown_timeout_s,
            timeout_keep_alive=_KEEP_ALIVE_S,
            **socket_options(settings.live.max_message_bytes),
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
        )
        address, port = listener.getsockname()[:2]
        scheme = "https" if settings.server.tls_certfile is not None else "http"
        keys = "API keys required" if settings.access.required else "API documentation at /docs"
        _log.info("listening on %s://%s:%d, %s", scheme, address, port, keys)
        await DrainingServer(config, app).serve(sockets=[listener])


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises SetupError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SetupError(f"cannot listen on {host}:{port}: {error.strerror}", param="port") from error
    # Connections inherit it, and asyncio sets it only for sockets that it has made itself. Without it the body of an
    # answer waits 40 ms for the other side to acknowledge the headers (Nagle's algorithm and delayed acknowledgements).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
