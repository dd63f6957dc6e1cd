"""Sends the messages of the outbox, several at once, with growing pauses after what did not work.

A receiver that is slow or away holds up its own messages alone: of those to one receiver only a few are on their way at
the same time. A message may arrive twice, with one id.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from urllib.parse import urlsplit

from app.errors import StoreError, WebhookRefused
from app.jobs.deliveries import Deliveries
from app.jobs.types import Delivery
from app.jobs.webhooks import WebhookRules, post
from app.observers import Observer, Unobserved

_log = logging.getLogger(__name__)


class Sender:
    """The messages of one process. `begin_due` is called again and again; safe from one thread at a time."""

    def __init__(self, deliveries: Deliveries, rules: WebhookRules, observer: Observer | None = None) -> None:
        """Raises SetupError for a secret that is none."""
        self._deliveries = deliveries
        self._rules = rules
        self._key = rules.key()
        self._observer = observer or Unobserved()
        self._pool = ThreadPoolExecutor(rules.at_once, "webhook")
        self._lock = threading.Lock()
        self._beginning = threading.Lock()
        self._closed = False
        self._on_way: Counter[str] = Counter()
        self._running: set[Future[None]] = set()

    def begin_due(self) -> int:
        """Start to send what is due, as far as there is room; how many were started. Raises StoreError."""
        begun = 0
        while self._begin_one():
            begun += 1
        return begun

    def wait(self, timeout_s: float | None = None) -> None:
        """Until nothing is on its way, or the time is over."""
        wait(tuple(self._running), timeout_s)

    def close(self) -> None:
        """Begin nothing more, and wait for what is on its way, which is bounded by the timeout of a try."""
        with self._beginning:
            self._closed = True
        self._pool.shutdown()

    def _begin_one(self) -> bool:
        with self._lock:
            crowded = self._on_way.total() >= self._rules.at_once
            full = [it for it, number in self._on_way.items() if number >= self._rules.at_once_each]
        with self._beginning:
            if crowded or self._closed:
                return False
            claimed = self._deliveries.claim_due(1, 60.0 + 2 * self._rules.timeout_s, but_not=full)
            for message in claimed:
                self._begin(message)
            return bool(claimed)

    def _begin(self, message: Delivery) -> None:
        receiver = _receiver(message.url)
        with self._lock:
            self._on_way[receiver] += 1
        sending = self._pool.submit(self._send, message)
        self._running.add(sending)

        def done(it: Future[None]) -> None:
            self._running.discard(it)
            with self._lock:
                self._on_way[receiver] -= 1
                if self._on_way[receiver] <= 0:
                    del self._on_way[receiver]

        sending.add_done_callback(done)

    def _send(self, message: Delivery) -> None:
        began_s = time.monotonic()
        try:
            outcome = self._try(message)
        except StoreError as error:
            # What became of it is not known to others: it comes again when its lease is over, with the same id.
            _log.warning("what became of webhook message %s is not kept: %s", message.id, error.message)
        except Exception:  # noqa: BLE001 - the edge of a thread of its own: nobody else would learn of it
            _log.exception("webhook message %s met an internal error; it is tried again", message.id)
        else:
            self._observer.webhook(outcome, time.monotonic() - began_s)

    def _try(self, message: Delivery) -> str:
        """What became of it, as Observer tells it."""
        rules, status = self._rules, None
        try:
            status = post(message, rules, self._key)
            error = f"the receiver answered {status}"
        except WebhookRefused as refused:
            self._deliveries.failed(message.id, None, refused.message, None)
            return "refused"
        except TimeoutError:
            error = f"no answer within {rules.timeout_s:g} s"
        except (OSError, http.client.HTTPException) as failed:
            error = f"not reached: {type(failed).__name__}"
        if status is not None and 200 <= status < 300:
            self._deliveries.delivered(message.id, status)
            return "delivered"
        last = message.attempts >= rules.max_attempts
        pause = min(rules.retry_s * 2 ** min(message.attempts - 1, 30), rules.max_retry_s)
        self._deliveries.failed(message.id, status, error, None if last else pause)
        return "given_up" if last else "again"


def _receiver(url: str) -> str:
    """The beginning of a URL that names the receiver."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
