"""The engine over dbos (https://github.com/dbos-inc/dbos-transact-py, MIT): it queues, gives out and recovers tickets.

dbos keeps one workflow a ticket (`<job id>.<fence>`) and nothing else; all data and the truth about a job stay in our
tables. What it lacks alone stands here: WAL on SQLite, JSON instead of pickle, one version for all deployments, an
executor id per life of a process, and a lease with a reaper, as dbos takes over no dead machine's work by itself.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable
from contextlib import closing

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig
from dbos._serialization import DBOSPortableJSON
from sqlalchemy.engine import make_url

from app.errors import StoreError, StoreUnavailable
from app.jobs import tables
from app.jobs.claims import Claims
from app.jobs.engine import Handler, StopReason
from app.jobs.fairness import BAND
from app.jobs.heartbeat import Heartbeat
from app.store import Database

_log = logging.getLogger(__name__)
VERSION = "crosstalk-1"
"""Raised only when a waiting ticket would mean something else; every other deployment shares the queue."""
_NAME, _QUEUE, _WORKFLOW = "crosstalk", "recordings", "recording"
_AHEAD = 100
_PRIORITY_BAND = 200_000_000
_NO_LIMIT = 1_000_000
_OVER = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
"""States of dbos's in which a workflow is not run again."""


class DbosEngine:
    """A JobEngine. One a process: dbos itself is a singleton.

    url: of dbos's own tables: an SQLite file beside ours, or our PostgreSQL database (schema `dbos`).
    """

    def __init__(self, claims: Claims, database: Database, url: str, poll_s: float = 0.5) -> None:
        self._claims = claims
        self._database = database
        self._url = url
        self._poll_s = poll_s
        self._executor = uuid.uuid4().hex
        self._heartbeat = Heartbeat(claims)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._known: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._client: DBOSClient | None = None
        self._opening = threading.Lock()

    def start(self, handler: Handler, slots: int) -> None:
        """See JobEngine."""
        _set_wal(self._url)
        self._lease()  # before the launch, so that no other worker thinks this one dead
        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": self._url,
            "application_version": VERSION,
            "executor_id": self._executor,
            "serializer": DBOSPortableJSON,
            "log_level": "WARNING",
            "enable_otlp": False,
        }
        DBOS(config=config)

        @DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=_NO_LIMIT)
        def recording(ticket: str) -> str:
            self._run(handler, ticket)
            return ticket

        DBOS.launch()
        DBOS.register_queue(_QUEUE, worker_concurrency=slots, polling_interval_sec=self._poll_s)
        self._heartbeat.start()
        lease_s = self._claims.rules.lease_s
        loops = (
            ("feed", self._feed, self._poll_s),
            ("lease", self._lease, lease_s / 3),
            ("reap", self._reap, lease_s / 3),
        )
        self._threads = [
            threading.Thread(target=self._loop, args=(call, pause_s), name=f"dbos-{name}", daemon=True)
            for name, call, pause_s in loops
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """See JobEngine."""
        self._stopping.set()
        self._wake.set()
        for ctx in self._heartbeat.running():
            ctx.stop.set(StopReason.DRAIN)
        for thread in self._threads:
            thread.join()
        DBOS.destroy(workflow_completion_timeout_sec=int(timeout_s), destroy_registry=True)
        idle = not self._heartbeat.running()
        self._heartbeat.stop()
        if self._client is not None:
            self._client.destroy()
        with self._database.write() as connection:
            connection.execute(sa.delete(tables.worker).where(tables.worker.c.id == self._executor))
        return idle

    def nudge(self) -> None:
        """See JobEngine."""
        self._wake.set()

    def forget(self, job_id: str) -> None:
        """See JobEngine: its tickets."""
        try:
            client = self._open_client()
            found = client.list_workflows(workflow_id_prefix=f"{job_id}.", load_input=False, load_output=False)
            if found:
                client.delete_workflows([status.workflow_id for status in found])
        except sa.exc.SQLAlchemyError as error:
            raise StoreUnavailable(f"the job queue cannot be reached now: {type(error).__name__}") from error

    def _run(self, handler: Handler, ticket: str) -> None:
        if self._stopping.is_set():
            return  # our row is still queued, under this ticket; `_feed` of a worker that goes on gives it out anew
        claim = self._claims.claim_ticket(ticket)
        if claim is not None:
            self._heartbeat.keep(claim, handler, self._stopping.is_set)

    def _feed(self) -> None:
        """Give dbos the tickets of waiting jobs; one that it knows is not taken twice."""
        self._claims.recover(grace_s=2 * self._claims.rules.lease_s)
        tickets = self._claims.tickets(_AHEAD)
        client = self._open_client()
        ended = self._ended_unclaimed(client, [ticket for ticket, _ in tickets])
        for ticket, tag in tickets:
            if ticket not in self._known or ticket in ended:
                client.enqueue(
                    {
                        "workflow_name": _WORKFLOW,
                        "queue_name": _QUEUE,
                        "workflow_id": ticket,
                        "app_version": VERSION,
                        "priority": _priority(tag),
                    },
                    ticket,
                )
        self._known = {ticket for ticket, _ in tickets}

    def _ended_unclaimed(self, client: DBOSClient, waiting: list[str]) -> set[str]:
        """Tickets that wait by our tables and are over by dbos's: their worker was stopping, or did not reach the
        database. dbos takes a workflow of theirs for done for ever, so it is made to forget them.

        One that was claimed since the tickets were read may be among them: given out again it is spent.
        """
        if not waiting:
            return set()
        found = client.list_workflows(workflow_ids=waiting, status=_OVER, load_input=False, load_output=False)
        ended = {status.workflow_id for status in found}
        if ended:
            client.delete_workflows(sorted(ended))
        return ended

    def _lease(self) -> None:
        """Say that this process lives."""
        until = self._database.now + 2 * self._claims.rules.lease_s
        with self._database.write() as connection:
            mine = tables.worker.c.id == self._executor
            if connection.execute(sa.update(tables.worker).where(mine).values(lease_until=until)).rowcount == 0:
                connection.execute(sa.insert(tables.worker).values(id=self._executor, lease_until=until))

    def _reap(self) -> None:
        """Let dbos give out again what dead workers held; harmless when several do it, or when one was not dead."""
        pending = self._open_client().list_workflows(status="PENDING", load_input=False, load_output=False)
        holders = {status.executor_id for status in pending if status.executor_id} - {self._executor}
        if not holders:
            return
        alive = sa.select(tables.worker.c.id).where(tables.worker.c.lease_until >= self._database.now)
        with self._database.read() as connection:
            dead = sorted(holders - set(connection.execute(alive).scalars()))
        if dead:
            _log.warning("taking over from %d workers that are silent", len(dead))
            DBOS._recover_pending_workflows(dead)

    def _loop(self, call: Callable[[], None], pause_s: float) -> None:
        while not self._stopping.is_set():
            try:
                call()
            except (StoreError, sa.exc.SQLAlchemyError) as error:
                _log.warning("the job queue did not reach its database: %s", type(error).__name__)
            self._wake.wait(pause_s)
            self._wake.clear()

    def _open_client(self) -> DBOSClient:
        with self._opening:  # by several threads, and whoever deletes a recording
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> DBOSClient:
        return DBOSClient(
            system_database_url=self._url,
            serializer=DBOSPortableJSON,
            application_name=_NAME,
            retry_connection_errors=False,
        )


def dbos_url(store_url: str) -> str:
    """Where dbos's tables lie: in the same PostgreSQL database, or in a file beside SQLite's."""
    url = make_url(store_url)
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}.dbos"
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _set_wal(url: str) -> None:
    """dbos leaves SQLite in the mode of its making, which is four to five times slower."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(parsed.database))) as connection:
            connection.execute("pragma journal_mode=wal")


def _priority(tag: float) -> int:
    """A fair tag as dbos counts: 1 to 2**31 - 1, smaller first."""
    band, within = divmod(tag, BAND)
    return int(band) * _PRIORITY_BAND + min(int(within), _PRIORITY_BAND - 1) + 1
