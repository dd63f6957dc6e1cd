"""How a client shows its API key."""

from __future__ import annotations

from collections.abc import Mapping


def bearer(key: str | None) -> Mapping[str, str]:
    """The `headers` of both clients for a key; none without one."""
    return {"Authorization": f"Bearer {key}"} if key else {}
