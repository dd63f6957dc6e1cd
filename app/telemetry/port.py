"""`/metrics` on a port of its own, in a thread of its own: also for processes that serve nothing else."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.errors import SetupError


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], text: Callable[[], bytes], content_type: str, token: str) -> None:
        self.text, self.content_type, self.token = text, content_type, token
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0

    def do_GET(self) -> None:
        """The figures, and nothing else."""
        shown = self.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self.path != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.server.token and not secrets.compare_digest(shown.encode(), self.server.token.encode()):
            self.send_error(HTTPStatus.UNAUTHORIZED)
        else:
            body = self.server.text()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", self.server.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: somebody asks every few seconds."""


@contextmanager
def metrics_port(
    address: tuple[str, int], text: Callable[[], bytes], content_type: str, token: str = ""
) -> Iterator[int]:
    """Serve `text()` at `/metrics` while this lasts; gives the port. token: "" = nothing is asked.

    Raises SetupError when the address is taken.
    """
    try:
        server = _Server(address, text, content_type, token)
    except OSError as error:
        where = f"{address[0]}:{address[1]}"
        raise SetupError(f"metrics cannot listen on {where}: {error.strerror}", param="metrics.port") from error
    thread = threading.Thread(target=server.serve_forever, name="crosstalk-metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
