"""Whether traces can be sent."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from app.cli.checks.finding import Finding, fail, ok, warn
from app.settings import Settings

_TIMEOUT_S = 2.0
_PORTS = {"http": 80, "https": 443}


def check_traces(settings: Settings) -> Iterator[Finding]:
    """OpenTelemetry is installed and something listens at the endpoint, where traces are asked for."""
    endpoint = settings.traces.endpoint
    if not endpoint:
        return
    try:
        importlib.import_module("app.telemetry.traces")
    except ImportError:
        yield fail("traces", "CROSSTALK_TRACES__ENDPOINT is set without OpenTelemetry", "pip install 'crosstalk[otel]'")
        return
    try:
        url = urlsplit(endpoint)
        port = url.port or _PORTS[url.scheme]
    except (ValueError, KeyError):
        said = f"{endpoint} is no address"
        yield fail("traces", said, "set CROSSTALK_TRACES__ENDPOINT to http://HOST:4318/v1/traces")
        return
    try:
        socket.create_connection((url.hostname or "", port), _TIMEOUT_S).close()
    except OSError as error:
        said = f"nobody listens at {url.hostname}:{port}: {error.strerror or error}"
        yield warn("traces", said, "start the collector; until then spans are lost")
    else:
        yield ok("traces", f"something listens at {url.hostname}:{port}")
