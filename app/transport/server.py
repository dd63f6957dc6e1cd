"""How uvicorn serves us: sockets that hold a fast sender back, and a shutdown that sends live clients elsewhere."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI


def socket_options(max_message_bytes: int) -> dict[str, Any]:
    """uvicorn's options for WebSockets.

    No pings: while a fast sender is held back nothing is read, its pongs neither; idle time-outs and heartbeats of the
    protocol take their place. No compression: sound hardly shrinks, and inflating costs.
    """
    return {
        "ws": "websockets-sansio",
        "ws_max_size": max_message_bytes,
        "ws_ping_interval": None,
        "ws_per_message_deflate": False,
    }


_NO_ERRORS = frozenset(
    {"ASGI callable returned without completing handshake.", "Invalid UTF-8 sequence received from client."}
)


class _Refused(logging.Filter):
    """Takes away what uvicorn calls an error after every handshake that was answered with a status, as when this server
    is full or going away. A handshake that was not answered at all has a log line with status 499. Takes away, too, its
    traceback for a client's text that is not UTF-8: that client is told (close 1007), and nothing failed here."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record stays."""
        return record.msg not in _NO_ERRORS


_REFUSED = _Refused()


class DrainingServer(uvicorn.Server):
    """Tells live clients to go on elsewhere before uvicorn closes their sockets."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        logging.getLogger("uvicorn.error").addFilter(_REFUSED)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then uvicorn's own."""
        live = getattr(self._app.state, "live", None)
        if live is not None:
            await live.hub.drain()
        await super().shutdown(sockets)
