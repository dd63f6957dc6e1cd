"""An ASGI app on a real port, its loop reachable from the test."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI


@dataclass(frozen=True)
class Served:
    """Where it listens, and the loop that it runs on."""

    url: str
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine):
        """A coroutine on the server's loop; its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@contextmanager
def serving(app: FastAPI):
    """The app, until the context ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="on", ws="websockets-sansio", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()

    def serve() -> None:
        # The runner ends the loop's last work before it closes the loop: connections that are being closed.
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve([listener]))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", loop)
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"
