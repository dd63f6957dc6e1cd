"""Which pages may use the server. Browsers let any page open sockets and post forms to anywhere, and say from which."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from app.transport.problems import HttpProblem


def check_origin(headers: Mapping[str, str], allowed: Sequence[str]) -> None:
    """Pages of this server, and those of other hosts that are named. Raises HttpProblem 403."""
    origin = headers.get("origin")
    if origin is None or origin in allowed:
        return
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        host = ""
    if not host or host != headers.get("host"):
        message = f"pages of {origin[:200]} may not use this server"
        raise HttpProblem(HTTPStatus.FORBIDDEN, "origin_refused", message, "origin")


def check_host(headers: Mapping[str, str], allowed: Sequence[str]) -> None:
    """Addresses, names without a dot, and names that are given: what a page of a stranger cannot make point here.

    A page whose own name is made to resolve to this server (DNS rebinding) has the right Origin, but not the
    right name. Raises HttpProblem 403.
    """
    name = _name(headers.get("host", ""))
    if "." not in name or name in allowed or name.endswith(".localhost") or _is_address(name):
        return
    message = f"this server does not answer to the name {name[:200]}; CROSSTALK_ACCESS__HOSTS lists names"
    raise HttpProblem(HTTPStatus.FORBIDDEN, "host_refused", message, "host")


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
