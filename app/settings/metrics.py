"""Settings of the figures for Prometheus."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.settings.base import Group


class MetricsGroup(Group):
    """Figures for Prometheus (docs/observability.md)."""

    enabled: bool = True
    """Whether the server has `/metrics`. Where keys are required it needs one of scope admin, or `token`."""

    token: Annotated[str, Field(repr=False)] = ""
    """What Prometheus may show instead of a key, as a bearer token; empty = nothing."""

    host: str = "127.0.0.1"
    """Address of the port of its own."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """A port of its own for `/metrics`, which is then not on the server's; 0 = none. Only `token` guards it. Also
    works in `crosstalk worker` and `crosstalk infer`."""
