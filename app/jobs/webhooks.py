"""Sends the messages of the outbox: signed (Standard Webhooks), to checked addresses only, with growing pauses.

The name is resolved once, every address is checked, and the connection goes to a checked address, so that a name that
changes its address in between gains nothing. Redirects are not followed. A message may arrive twice, with one id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from app.errors import SetupError, WebhookRefused
from app.jobs.deliveries import Deliveries
from app.jobs.types import Delivery
from app.observers import Observer, Unobserved

_log = logging.getLogger(__name__)
_MAX_URL = 2000
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "2002::/16", "2001::/32")))
"""IPv6 that carries any IPv4 address inside: NAT64, 6to4, Teredo."""


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """secret: `whsec_` and base64, empty = no webhooks; timeouts and pauses in seconds; the pause doubles."""

    secret: str = field(default="", repr=False)
    allow_private: bool = False
    max_attempts: int = 8
    retry_s: float = 10.0
    max_retry_s: float = 3600.0
    timeout_s: float = 10.0

    def key(self) -> bytes:
        """The secret's bytes. Raises SetupError."""
        try:
            key = base64.b64decode(self.secret.removeprefix("whsec_"), validate=True)
        except ValueError as error:
            raise SetupError("the webhook secret is not whsec_ and base64") from error
        if len(key) < 24:
            raise SetupError("the webhook secret has fewer than 24 bytes")
        return key


def checked_addresses(url: str, rules: WebhookRules) -> tuple[SplitResult, int, tuple[str, ...]]:
    """(parts, port, addresses that may be connected to); blocks on DNS. Raises WebhookRefused, OSError."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise WebhookRefused("the webhook is not a URL", param="webhook") from error
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _MAX_URL
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise WebhookRefused("a webhook is an http or https URL without a user", param="webhook")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise WebhookRefused("the webhook's host is not a name", param="webhook") from error
    addresses = tuple(dict.fromkeys(str(it[4][0]) for it in found))
    if not rules.allow_private and not all(map(_public, addresses)):
        raise WebhookRefused("the webhook's address is not a public one", param="webhook")
    return parts, port, addresses


def check_webhook(url: str, rules: WebhookRules) -> None:
    """Whether a recording may name this webhook; a name that does not resolve now may. Raises WebhookRefused."""
    if not rules.secret:
        raise WebhookRefused("this server has no webhook secret, so it sends no webhooks", param="webhook")
    try:
        checked_addresses(url, rules)
    except OSError:
        _log.info("a webhook's host does not resolve yet")


def signature(key: bytes, message_id: str, timestamp: int, body: str) -> str:
    """The header webhook-signature (Standard Webhooks, v1)."""
    digest = hmac.digest(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def send_due(deliveries: Deliveries, rules: WebhookRules, observer: Observer | None = None) -> int:
    """Send what is due, one after another; how many were tried. Blocks. Raises StoreError, SetupError."""
    key, tried, observer = rules.key(), 0, observer or Unobserved()
    while claimed := deliveries.claim_due(1, lease_s=60.0 + 4 * rules.timeout_s):
        for message in claimed:
            began_s = time.monotonic()
            outcome = _try(deliveries, message, rules, key)
            observer.webhook(outcome, time.monotonic() - began_s)
            tried += 1
    return tried


def _try(deliveries: Deliveries, message: Delivery, rules: WebhookRules, key: bytes) -> str:
    """What became of it, as Observer tells it."""
    status: int | None = None
    try:
        status = _post(message, rules, key)
        error = f"the receiver answered {status}"
    except WebhookRefused as refused:
        deliveries.failed(message.id, None, refused.message, None)
        return "refused"
    except (OSError, http.client.HTTPException) as failed:
        error = f"not reached: {type(failed).__name__}"
    if status is not None and 200 <= status < 300:
        deliveries.delivered(message.id, status)
        return "delivered"
    last = message.attempts >= rules.max_attempts
    pause = min(rules.retry_s * 2 ** min(message.attempts - 1, 30), rules.max_retry_s)
    deliveries.failed(message.id, status, error, None if last else pause)
    return "given_up" if last else "again"


def _post(message: Delivery, rules: WebhookRules, key: bytes) -> int:
    parts, port, addresses = checked_addresses(message.url, rules)
    host, now = str(parts.hostname), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, message.id, now, message.body),
    }
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port, timeout=rules.timeout_s)
    wire = socket.create_connection((addresses[0], port), rules.timeout_s)
    try:
        if secure:
            wire = ssl.create_default_context().wrap_socket(wire, server_hostname=host)
        connection.sock = wire
        cut = threading.Timer(rules.timeout_s, _cut, (wire,))
        cut.start()
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, message.body.encode(), headers)
            return connection.getresponse().status
        finally:
            cut.cancel()
            connection.close()
    finally:
        wire.close()


def _cut(wire: socket.socket) -> None:
    """End a receiver that answers drop by drop; a socket that is closed already needs none."""
    try:
        wire.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("the receiver was gone already")


def _public(address: str) -> bool:
    found = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_global and not found.is_multicast and not any(found in it for it in _TUNNELS)
