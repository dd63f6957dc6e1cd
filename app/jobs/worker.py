"""The worker: a job engine that gives out jobs, a runner on this event loop that does them, and the sweeper.

Runs inside the server, sharing its engine, or alone (`crosstalk worker`), on any number of machines with one store.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from dataclasses import dataclass, field

from app.errors import SetupError, StoreError
from app.jobs.claims import ClaimRules, Claims
from app.jobs.engine import JobCtx, JobEngine
from app.jobs.retention import RetentionRules, sweep
from app.jobs.runner import Runner, RunRules
from app.jobs.sender import Sender
from app.jobs.sql_engine import SqlEngine
from app.jobs.store import Store
from app.jobs.webhooks import WebhookRules
from app.observers import Observer, Unobserved
from app.recordings import Workplace

_log = logging.getLogger(__name__)
_SEND_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """kind: `sql` or `dbos`; slots: jobs at once; poll_s: how often the queue is looked at; url: of the store."""

    url: str
    kind: str = "sql"
    slots: int = 2
    poll_s: float = 0.5
    sweep_interval_s: float = 300.0
    claims: ClaimRules = field(default_factory=ClaimRules)
    run: RunRules = field(default_factory=RunRules)
    retention: RetentionRules = field(default_factory=RetentionRules)
    webhooks: WebhookRules = field(default_factory=WebhookRules)


class Worker:
    """Started and closed on the event loop that the engine belongs to."""

    def __init__(self, store: Store, place: Workplace, rules: WorkerRules, observer: Observer | None = None) -> None:
        claims = Claims(store.database, rules.claims, store.meter)
        self._observer = observer or Unobserved()
        self._store = store
        self._rules = rules
        self._runner = Runner(store, claims, place, rules.run, self._observer)
        self.engine = build_job_engine(claims, store, rules)
        """For `nudge` after something was queued, and `forget` after it was deleted."""
        self._sweeper: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None

    @property
    def timeouts(self) -> int:
        """Windows that the models did not answer in time."""
        return self._runner.timeouts

    async def start(self) -> None:
        """Begin to take jobs. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()

        def handle(ctx: JobCtx) -> None:
            asyncio.run_coroutine_threadsafe(self._runner.run(ctx), loop).result()

        await asyncio.to_thread(self.engine.start, handle, self._rules.slots)
        self._sweeper = asyncio.create_task(self._sweep())
        if self._rules.webhooks.secret:
            sender = Sender(self._store.deliveries, self._rules.webhooks, self._observer)
            self._sender = asyncio.create_task(self._send(sender))
        _log.info("working on recordings, %d at once", self._rules.slots)

    async def aclose(self) -> None:
        """Stop at the next window boundary and hand over what runs."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            timeout_s = 2 * self._rules.run.drain_s + 5
            if not await asyncio.to_thread(self.engine.stop, timeout_s):
                _log.error("some recordings were still running; their leases expire, and others take them over")

    async def _sweep(self) -> None:
        while True:
            try:
                await asyncio.to_thread(sweep, self._store, self._rules.retention, self.engine.forget)
            except StoreError as error:
                _log.warning("retention waits: %s", error.message)
            except Exception:  # noqa: BLE001 - what is too old must not stay for ever because one sweep failed
                _log.exception("a sweep failed; the next one tries again")
            await asyncio.sleep(self._rules.sweep_interval_s)

    async def _send(self, sender: Sender) -> None:
        try:
            while True:
                try:
                    await asyncio.to_thread(sender.begin_due)
                except StoreError as error:
                    _log.warning("webhooks wait: %s", error.message)
                except Exception:  # noqa: BLE001 - one message must not hold up all others for ever
                    _log.exception("webhooks could not be begun; they are tried again")
                await asyncio.sleep(_SEND_INTERVAL_S)
        finally:
            await asyncio.to_thread(sender.close)


def build_job_engine(claims: Claims, store: Store, rules: WorkerRules) -> JobEngine:
    """The engine of the wanted kind; imports only that. Raises SetupError for what it cannot keep to."""
    if rules.kind == "dbos":
        if rules.claims.max_per_tenant:
            message = "the job engine dbos gives out recordings without counting those of a tenant; use the engine sql"
            raise SetupError(message, param="CROSSTALK_JOBS__MAX_PER_TENANT")
        from app.jobs.dbos_engine import DbosEngine, dbos_url

        return DbosEngine(claims, store.database, dbos_url(rules.url), rules.poll_s)
    owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return SqlEngine(claims, owner, rules.poll_s)
