"""The sockets that the servers listen on."""

from __future__ import annotations

import socket

import pytest

from app.cli.serve import listen_on
from app.errors import SetupError


def test_answers_go_out_at_once() -> None:
    """Without TCP_NODELAY every answer over a kept connection came 40 ms late."""
    with listen_on("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_taken_port_is_told() -> None:
    with listen_on("127.0.0.1", 0) as listener, pytest.raises(SetupError, match="cannot listen"):
        listen_on("127.0.0.1", listener.getsockname()[1])
