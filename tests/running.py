"""Ports, and a uvicorn server in a thread of the test's process."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

# Below those that systems give to connections, which take a port that is looked at and not held yet; a part of its own
# for each of the processes that share the tests.
_PART = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_PORTS = (20_000 + 1_000 * _PART + number % 1_000 for number in itertools.count(os.getpid()))


def free_port() -> int:
    """A port of the loopback that nobody has now, and that is given once."""
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("there is always a next one")


@contextmanager
def running(server: uvicorn.Server) -> Iterator[str]:
    """Its base URL on a free port; it is stopped with the context."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"
