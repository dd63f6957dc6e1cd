"""One message to a webhook: signed (Standard Webhooks), to checked addresses only, within one time for all of it.

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
import queue
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from app.errors import SetupError, WebhookRefused
from app.jobs.types import Delivery

_log = logging.getLogger(__name__)
_MAX_URL = 2000
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "2002::/16", "2001::/32", "::/96")))
"""IPv6 that carries any IPv4 address inside: NAT64, 6to4, Teredo, IPv4-compatible."""


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """secret: `whsec_` and base64, empty = no webhooks; timeouts and pauses in seconds; the pause doubles.

    timeout_s: of one try, all of it; at_once: messages on their way at the same time; at_once_each: to one receiver.
    """

    secret: str = field(default="", repr=False)
    allow_private: bool = False
    max_attempts: int = 8
    retry_s: float = 10.0
    max_retry_s: float = 3600.0
    timeout_s: float = 10.0
    at_once: int = 8
    at_once_each: int = 2

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
        addresses = _resolved(parts.hostname, port, rules.timeout_s)
    except UnicodeError as error:
        raise WebhookRefused("the webhook's host is not a name", param="webhook") from error
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


def post(message: Delivery, rules: WebhookRules, key: bytes) -> int:
    """Send one message; the receiver's status. All of it, name and handshake included, has `timeout_s`.

    Raises WebhookRefused, OSError (TimeoutError when the time is over), http.client.HTTPException.
    """
    end_s = time.monotonic() + rules.timeout_s
    parts, port, addresses = checked_addresses(message.url, rules)
    now = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, message.id, now, message.body),
    }
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    line = _Line(_connected(addresses, port, end_s))
    cut = threading.Timer(max(0.0, end_s - time.monotonic()), line.cut)
    cut.start()
    try:
        host = str(parts.hostname)
        connection = line.talk(host, port, secure=parts.scheme == "https")
        connection.request("POST", target, message.body.encode(), headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        if line.is_cut:
            raise TimeoutError from error
        raise
    finally:
        cut.cancel()
        line.close()


class _Line:
    """A connection that another thread may cut at any moment, also within the handshake."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._spoken: http.client.HTTPConnection | None = None
        self.is_cut = False

    def talk(self, host: str, port: int, *, secure: bool) -> http.client.HTTPConnection:
        """HTTP over it. Raises OSError."""
        if not secure:
            return self._speak(http.client.HTTPConnection(host, port))
        context = ssl.create_default_context()
        with self._lock:  # a wrapped socket leaves the bare one without its file
            if self.is_cut:
                raise TimeoutError
            wrapped = context.wrap_socket(self._wire, server_hostname=host, do_handshake_on_connect=False)
            self._wire = wrapped
        wrapped.do_handshake()
        return self._speak(http.client.HTTPSConnection(host, port, context=context))

    def _speak(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        connection.sock = self._wire
        self._spoken = connection
        return connection

    def cut(self) -> None:
        """End a receiver that answers drop by drop, or not at all."""
        with self._lock:
            self.is_cut = True
            with suppress(OSError):  # it may be gone already
                # Not that of ssl, which would wait for the other side.
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        with self._lock:
            if self._spoken is not None:
                self._spoken.close()
            self._wire.close()


def _connected(addresses: tuple[str, ...], port: int, end_s: float) -> socket.socket:
    """To the first address that answers; a silent one leaves the others their share of the time. Raises OSError."""
    failed: OSError = TimeoutError()
    for number, address in enumerate(addresses):
        left_s = (end_s - time.monotonic()) / (len(addresses) - number)
        if left_s <= 0:
            raise TimeoutError
        try:
            wire = socket.create_connection((address, port), left_s)
        except OSError as error:
            failed = error
        else:
            wire.settimeout(None)  # cut from outside: a timeout of each read has no end in all
            return wire
    raise failed


def _resolved(host: str, port: int, timeout_s: float) -> tuple[str, ...]:
    """Every address of a name. The system's resolver cannot be stopped, so it is left alone when its time is over.

    Raises OSError, UnicodeError.
    """
    found: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put([str(it[4][0]) for it in told])
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=ask, name="webhook-name", daemon=True).start()
    try:
        answer = found.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError(f"the name does not resolve within {timeout_s:g} s") from None
    if isinstance(answer, list):
        return tuple(dict.fromkeys(answer))
    raise answer


def _public(address: str) -> bool:
    found = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_global and not found.is_multicast and not any(found in it for it in _TUNNELS)
