"""Settings of traces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.settings.base import Group


class TracesGroup(Group):
    """OpenTelemetry traces (extra `otel`; docs/observability.md)."""

    endpoint: str = ""
    """Where spans are sent, by OTLP over HTTP: `http://HOST:4318/v1/traces`; empty = nothing is traced."""

    ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Part of the traces that is kept; a caller that sends `traceparent` decides for its own."""
