"""One live session in this process: reads what the driver writes, makes it durable, and hands it to everyone.

    LiveSession.updates() -> store -> mailboxes of the client and the viewers

A `final` or `speakers` event is sent only after the store holds it. A session outlives its connection for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from app.core.times import SAMPLE_RATE, to_samples, to_seconds
from app.core.types import Segment
from app.errors import CrosstalkError, StoreError
from app.live import updates as core
from app.live.session import LiveSession
from app.observers import Observer, Unobserved
from app.transport.live import messages as wire
from app.transport.live.limits import LiveLimits
from app.transport.live.mailbox import Letter, Mailbox
from app.transport.live.store import Checkpoint, Fenced, LiveStore, Record, StoredEvent

_log = logging.getLogger(__name__)

_RECENT = 64
_LAG_EVERY_S = 5.0
_CHECKPOINT_S = 1.0
"""How long a client that is sent elsewhere waits for what it need not send again."""


class Room:
    """Owns the driver of one session. `run` is its life; `attach` and `detach` come and go with connections."""

    def __init__(
        self,
        session: LiveSession,
        record: Record,
        store: LiveStore,
        limits: LiveLimits,
        observer: Observer | None = None,
    ) -> None:
        self.session = session
        self._observer = observer or Unobserved()
        self.record = record
        self._store = store
        self._limits = limits
        self.revision = record.revision
        self._written = record.checkpoint.samples
        self._spans: deque[tuple[int, int, int]] = deque(maxlen=_RECENT)
        self._partial = ""
        self._known: set[str] = set()
        self._client: Mailbox | None = None
        self._viewers: set[Mailbox] = set()
        self._linger: asyncio.Task[None] | None = None
        self._lag_told_s: float | None = None
        self._count = 0
        self._heard = (0, 0.0)
        self._renewed_s = time.monotonic()
        self._warnings: list[str] = []
        self._covered = asyncio.Event()
        self.ended = asyncio.Event()
        self.left = asyncio.Event()
        self.left.set()

    # Before it runs.

    async def restore(self) -> None:
        """Take over what was written after the checkpoint: it will come again, and people's names will not."""
        names: dict[int, str] = {}
        after = 0
        while page := await self._store.events(self.record.id, after, 500):
            for event in page:
                after = event.revision
                self._count += '"type":"final"' in event.text
                self._recall(event.text, names, again=after > self.record.checkpoint.revision)
        for speaker, name in names.items():
            self.session.rename(speaker, name)

    def _recall(self, text: str, names: dict[int, str], *, again: bool) -> None:
        """A stored event; `again`: the driver goes on from before it and will give it once more."""
        event = wire.parse_stored(text)
        if isinstance(event, wire.Final):
            told = event.segment
            self._spans.append((told.speaker, to_samples(told.start), to_samples(told.end)))
            if again:
                self._known.add(told.id)
        elif again:
            names.update(event.names)

    # The life.

    async def run(self) -> None:
        """Until the session is finished, fails, or belongs to somebody else."""
        ticking = asyncio.create_task(self._tick())
        try:
            async for update in self.session.updates():
                await self._take(update)
        except Fenced:
            self._end("session_elsewhere", "another connection took the session over", 4004)
        except CrosstalkError as error:
            _log.exception("live session %s failed", self.record.id)
            self._end(error.code, error.message, 4005 if error.code == "overloaded" else 1011)
        except Exception:  # noqa: BLE001 - the outermost edge of a live session: the client must learn of it
            _log.exception("live session %s failed", self.record.id)
            self._end("internal_error", "the server failed; its log says why", 1011)
        finally:
            ticking.cancel()
            self._stop_lingering()
            await asyncio.gather(ticking, return_exceptions=True)
            await self.session.aclose()
            self.ended.set()

    async def renew(self) -> None:
        """Say that the session is still ours. Raises Fenced."""
        await self._commit((), None)

    async def _commit(self, events: tuple[StoredEvent, ...], checkpoint: Checkpoint | None) -> None:
        """Write, which renews as well: who writes often need not say that it is there. Raises Fenced."""
        await self._store.commit(self.record.id, self.record.epoch, events, checkpoint, self._expires_s())
        self._renewed_s = time.monotonic()

    async def _take(self, update: core.Update) -> None:
        if isinstance(update, core.Partial):
            self._show(update)
        elif isinstance(update, core.Final):
            await self._finalize(update.segment)
        elif isinstance(update, core.Revision):
            await self._transcript(
                lambda revision: wire.Speakers(revision=revision, segments=update.speakers, names=update.names)
            )
        elif isinstance(update, core.Ack):
            checkpoint = Checkpoint(update.samples, self.revision, await asyncio.to_thread(update.snapshot.dump))
            await self._commit((), checkpoint)
            self._tell(wire.Ack(revision=self.revision, samples=update.samples))
            self._covered.set()
        elif isinstance(update, core.Progress):
            self._written = update.written
        elif isinstance(update, core.Marked):
            self._tell(wire.Marked(revision=self.revision, id=update.id))
        elif isinstance(update, core.Flushed):
            self._tell(wire.Flushed(revision=self.revision, id=update.id))
        else:
            await self._finish(update)

    def _show(self, update: core.Partial) -> None:
        tail = [(it.speaker, it.start, it.end) for it in update.segments]
        segments = tuple(wire.wire_segment(it, overlaps=_overlaps(it, [*self._spans, *tail])) for it in update.segments)
        self._partial = wire.Partial(revision=self.revision, segments=segments).text()
        for mailbox in self._everyone():
            mailbox.put_partial(Letter(self._partial))

    async def _finalize(self, segment: Segment) -> None:
        if segment.id in self._known:
            return  # stored, and perhaps sent, before the session moved here
        # Of earlier finals alone: what is tentative depends on speed, and a final may not.
        shown = wire.wire_segment(segment, overlaps=_overlaps(segment, self._spans))
        self._spans.append((segment.speaker, segment.start, segment.end))
        await self._transcript(lambda revision: wire.Final(revision=revision, segment=shown))
        self._count += 1

    async def _transcript(self, make: Callable[[int], wire.Final | wire.Speakers]) -> None:
        """Store an event, then send it."""
        revision = self.revision + 1
        stored = StoredEvent(revision, make(revision).text())
        await self._commit((stored,), None)
        self.revision = revision
        for mailbox in self._everyone():
            mailbox.put(Letter(stored.text, revision))

    async def _finish(self, update: core.Finished) -> None:
        done = wire.Done(
            revision=self.revision,
            duration_s=to_seconds(self.session.received_samples),
            segments=self._count,
            warnings=(*update.view.warnings, *self._warnings),
        )
        await self._store.close(self.record.id, self.record.epoch, done.text(), self._expires_s())
        for mailbox in self._everyone():
            mailbox.put(Letter(done.text()))
            mailbox.close(4006 if "max_duration" in self._warnings else 1000, "done")

    # Who listens.

    @property
    def partial(self) -> str:
        """The newest tentative text, as a frame; empty when there was none yet."""
        return self._partial

    @property
    def attached(self) -> bool:
        """Whether a client is connected."""
        return self._client is not None

    def attach(self, mailbox: Mailbox) -> None:
        """A client takes the session; one that had it is sent away."""
        if self._client is not None:
            self._send_away(self._client, "session_elsewhere", "another connection took the session over", 4004)
        self._stop_lingering()
        self._client = mailbox
        self.left.clear()
        if self._partial:
            mailbox.put_partial(Letter(self._partial))

    def detach(self, mailbox: Mailbox) -> None:
        """A client is gone. Its tail is written after a while, and the session ends after another."""
        if self._client is mailbox:
            self._client = None
            self.left.set()
            if not self.ended.is_set():
                self._linger = asyncio.create_task(self._wait_for_return())

    def join(self, mailbox: Mailbox) -> None:
        """A viewer comes."""
        self._viewers.add(mailbox)

    def leave(self, mailbox: Mailbox) -> None:
        """A viewer goes."""
        self._viewers.discard(mailbox)

    def tell(self, event: wire.ServerEvent) -> None:
        """An event for the client alone."""
        self._tell(event)

    async def send_elsewhere(self, after_s: float) -> None:
        """Tell the client to go on at another server: there it starts from what is worked on now, and is soon level."""
        await asyncio.sleep(after_s)
        if not self.session.stopped:
            self._covered.clear()
            self.session.checkpoint()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECKPOINT_S):
                    await self._covered.wait()
        self._tell(wire.GoAway(revision=self.revision, reason="drain", within_s=self._limits.drain_s))

    def send_client_away(self, code: int, reason: str) -> None:
        """Close the client's connection; the session stays."""
        if self._client is not None:
            self._client.close(code, reason)

    async def stop_at_limit(self) -> None:
        """The session has become as long as it may."""
        self._warnings.append("max_duration")
        await self.session.stop()

    def _tell(self, event: wire.ServerEvent) -> None:
        if self._client is not None:
            self._client.put(Letter(event.text()))

    def _everyone(self) -> tuple[Mailbox, ...]:
        return (*self._viewers, *(() if self._client is None else (self._client,)))

    def _send_away(self, mailbox: Mailbox, code: str, message: str, close: int) -> None:
        problem = wire.Problem(revision=self.revision, code=code, message=message, fatal=True)
        mailbox.put(Letter(problem.text()))
        mailbox.close(close, code)

    def _end(self, code: str, message: str, close: int) -> None:
        self._observer.error("live", code)
        if self._client is not None:
            self._send_away(self._client, code, message, close)
        for mailbox in self._viewers:
            mailbox.close(1012, code)

    async def _wait_for_return(self) -> None:
        flush_after_s = min(self._limits.flush_after_s, self._limits.resume_window_s)
        await asyncio.sleep(flush_after_s)
        if not self.session.stopped:
            await self._quietly(self.session.flush())
        await asyncio.sleep(self._limits.resume_window_s - flush_after_s)
        await self._quietly(self.session.stop())

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CrosstalkError as error:
            _log.warning("live session %s cannot be ended: %s", self.record.id, error.message)

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    # What goes by the clock.

    async def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._limits.tick_s)
            self._tell_lag(clock())
            await self._answer_marks(clock())
            if time.monotonic() - self._renewed_s >= self._limits.renew_s:
                try:
                    await self.renew()
                except Fenced:
                    self._end("session_elsewhere", "another connection took the session over", 4004)
                    await self.session.aclose()
                    return
                except StoreError as error:
                    # The next tick tries again: without it a silent session would be taken for one that was left.
                    _log.warning("live session %s cannot be renewed now: %s", self.record.id, error.message)

    async def _answer_marks(self, now_s: float) -> None:
        """A mark whose sound has stopped to come is answered by a flush there, like one that the client asks for."""
        received = self.session.received_samples
        if received != self._heard[0] or not self.session.waiting_marks or self.session.stopped:
            self._heard = (received, now_s)
        elif now_s - self._heard[1] >= self._limits.flush_after_s:
            self._heard = (received, now_s)
            await self._quietly(self.session.flush())

    def _tell_lag(self, now_s: float) -> None:
        # What is not worked on yet: open turns wait for their ends by the rules, on the fastest machine as well.
        behind_s = self.session.ahead_samples / SAMPLE_RATE
        if not self.session.stopped:
            self._observer.live_lag(behind_s)
        if behind_s > self._limits.lag_limit_s:
            if self._lag_told_s is None or now_s - self._lag_told_s >= _LAG_EVERY_S:
                self._lag_told_s = now_s
                self._tell(wire.Lag(revision=self.revision, seconds=round(behind_s, 2), state="behind"))
        elif self._lag_told_s is not None and behind_s <= self._limits.lag_limit_s / 2:
            self._lag_told_s = None
            self._tell(wire.Lag(revision=self.revision, seconds=round(behind_s, 2), state="ok"))

    @property
    def lagging(self) -> bool:
        """Whether the client was told that captions are late."""
        return self._lag_told_s is not None

    def heartbeat(self) -> wire.Heartbeat:
        """How far the session is."""
        return wire.Heartbeat(
            revision=self.revision,
            received_s=to_seconds(self.session.received_samples),
            written_s=to_seconds(self._written),
        )

    def _expires_s(self) -> float:
        return time.time() + self._limits.resume_window_s + 2 * self._limits.renew_s


def _overlaps(segment: Segment, others: Iterable[tuple[int, int, int]]) -> bool:
    """Whether somebody else speaks within it; others: (speaker, start, end), in samples."""
    return any(
        speaker != segment.speaker and start < segment.end and segment.start < end for speaker, start, end in others
    )
