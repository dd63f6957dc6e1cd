"""What of a live session outlives its process: who may resume it, how far its sound is covered, and every event of its
transcript. No sound.

Rules that every store keeps (tests/transport/live/test_store.py runs them over each):

- what `commit` has returned from is there after a crash, all of it or none;
- a session has one owner. Whoever claims it gets a new epoch, and from then on writing with an older one is `Fenced`;
- a revision is written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

State = Literal["open", "closed"]


class Fenced(Exception):
    """The session belongs to somebody else by now, or is closed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """From here a session can go on: its sound up to `samples` (16 kHz) is in `snapshot` or in the events up to
    `revision`."""

    samples: int = 0
    revision: int = 0
    snapshot: bytes = b""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that changed the transcript, `final` or `speakers`, as the wire shows it."""

    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """A session as stored.

    token_hash, share_hash: of the secrets for resuming and for viewing; asked: the session's wishes, JSON
    expires_s: Unix time until which an open session may be claimed; a closed one is kept on from there
    done: the `done` event, JSON, once everything is written
    tenant: whose it is; share_until_s: Unix time until which the share token opens it, None = as long as it is kept
    """

    id: str
    token_hash: str
    share_hash: str
    asked: str
    expires_s: float
    epoch: int = 1
    state: State = "open"
    revision: int = 0
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    done: str | None = None
    tenant: str = ""
    share_until_s: float | None = None


class LiveStore(Protocol):
    """Kinds: `MemoryLiveStore` (one process, tests), `SqlLiveStore`."""

    async def create(self, record: Record) -> None:
        """A new session."""

    async def find(self, session: str) -> Record | None:
        """A session by its id."""

    async def claim(self, token_hash: str, tenant: str, now_s: float) -> Record | None:
        """Become the owner: the record with its new epoch. A closed session stays as it is. None for a token that is
        unknown, expired or another tenant's."""

    async def commit(
        self,
        session: str,
        epoch: int,
        events: Sequence[StoredEvent],
        checkpoint: Checkpoint | None,
        expires_s: float,
    ) -> None:
        """Write events and, unless None, the checkpoint that goes with them; both may be missing to renew `expires_s`.
        Raises Fenced."""

    async def close(self, session: str, epoch: int, done: str, expires_s: float) -> None:
        """The session is over. Raises Fenced."""

    async def events(self, session: str, after: int, limit: int) -> list[StoredEvent]:
        """The next `limit` events after a revision, in order."""

    async def end_share(self, session: str) -> None:
        """The share token opens the session no more."""

    async def sweep(self, now_s: float, keep_s: float) -> int:
        """Close open sessions that nobody came back to, forget closed ones `keep_s` after they expired; how many were
        forgotten."""

    async def aclose(self) -> None:
        """Free what is held."""


class MemoryLiveStore:
    """For one process: sessions end with it."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._events: dict[str, list[StoredEvent]] = {}

    async def create(self, record: Record) -> None:
        """See LiveStore."""
        self._records[record.id] = record
        self._events[record.id] = []

    async def find(self, session: str) -> Record | None:
        """See LiveStore."""
        return self._records.get(session)

    async def claim(self, token_hash: str, tenant: str, now_s: float) -> Record | None:
        """See LiveStore."""
        for record in self._records.values():
            if (record.token_hash, record.tenant) == (token_hash, tenant) and record.expires_s >= now_s:
                if record.state == "closed":
                    return record
                claimed = self._records[record.id] = replace(record, epoch=record.epoch + 1)
                return claimed
        return None

    async def commit(
        self,
        session: str,
        epoch: int,
        events: Sequence[StoredEvent],
        checkpoint: Checkpoint | None,
        expires_s: float,
    ) -> None:
        """See LiveStore."""
        record = self._owned(session, epoch)
        self._events[session] += events
        self._records[session] = replace(
            record,
            checkpoint=checkpoint or record.checkpoint,
            revision=events[-1].revision if events else record.revision,
            expires_s=expires_s,
        )

    async def close(self, session: str, epoch: int, done: str, expires_s: float) -> None:
        """See LiveStore."""
        record = self._owned(session, epoch)
        self._records[session] = replace(record, state="closed", done=done, expires_s=expires_s)

    async def events(self, session: str, after: int, limit: int) -> list[StoredEvent]:
        """See LiveStore."""
        return [event for event in self._events.get(session, []) if event.revision > after][:limit]

    async def end_share(self, session: str) -> None:
        """See LiveStore."""
        self._records[session] = replace(self._records[session], share_until_s=0.0)

    async def sweep(self, now_s: float, keep_s: float) -> int:
        """See LiveStore."""
        for record in list(self._records.values()):
            if record.state == "open" and record.expires_s < now_s:
                self._records[record.id] = replace(record, state="closed")
        gone = [it.id for it in self._records.values() if it.state == "closed" and it.expires_s + keep_s < now_s]
        for session in gone:
            del self._records[session], self._events[session]
        return len(gone)

    async def aclose(self) -> None:
        """See LiveStore."""

    def _owned(self, session: str, epoch: int) -> Record:
        record = self._records.get(session)
        if record is None or record.epoch != epoch or record.state != "open":
            raise Fenced(session)
        return record
