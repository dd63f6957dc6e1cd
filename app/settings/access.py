"""Settings of access: who may use the server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.settings.base import Group, PositiveFloat


class AccessGroup(Group):
    """API keys, pages of other hosts, links for viewers (docs/security.md)."""

    required: bool = False
    """Whether every request needs an API key (`crosstalk keys create`). Off: everybody who reaches the server may
    use it."""

    allow_open: bool = False
    """Whether `crosstalk serve` may listen on an address that other machines reach while `access.required` is off. For
    servers behind something that asks who one is."""

    origins: tuple[str, ...] = ()
    """Pages of other hosts that may use the API and its sockets, as a JSON list of origins (`https://host`)."""

    hosts: tuple[str, ...] = ()
    """Names under which an open server is reached, as a JSON list. Without keys, requests for other host names with a
    dot are refused (DNS rebinding)."""

    cache_s: Annotated[float, Field(ge=0)] = 5.0
    """How long a key is remembered, in seconds; so long a revoked key may go on at other servers."""

    recheck_s: PositiveFloat = 30.0
    """How often the key of an open socket or stream is looked at again, in seconds."""

    token_ttl_s: PositiveFloat = 60.0
    """How long a browser's token may wait to be used, in seconds."""

    share_ttl_s: PositiveFloat = 24 * 3600.0
    """How long the link of a live session for viewers works, in seconds (default a day)."""
