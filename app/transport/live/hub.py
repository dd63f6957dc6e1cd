"""All live sessions of this process: opening, resuming (from here or from the store), admission, drain.

Tokens: only SHA-256 of them is stored. A session's share token follows from its token, so that whoever resumes can be
told both; the way back is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from app.access.secret import digest
from app.context import working_for
from app.errors import InputError, Overloaded, SpeakerNotFound
from app.live.session import LiveSession
from app.live.snapshot import Snapshot
from app.live.updates import KnownVoice, LiveOptions
from app.observers import Observer, Span, Unobserved
from app.options import hotwords, language_code, speaker_count
from app.transport.live.audience import Audience
from app.transport.live.gate import StreamGate
from app.transport.live.guests import Guests
from app.transport.live.limits import LiveLimits
from app.transport.live.messages import Start
from app.transport.live.room import Room
from app.transport.live.store import Fenced, LiveStore, Record

_log = logging.getLogger(__name__)

OpenSession = Callable[[LiveOptions, Snapshot | None], LiveSession]
Voices = Callable[[str, Sequence[str] | None], tuple[KnownVoice, ...]]
"""(tenant, ids; None = all) -> enrolled people. Blocks; raises SpeakerNotFound naming an id that is not there."""
EVERYBODY = ("all",)
"""`known_speakers` that means everybody who is enrolled."""
_APART_S = 0.2
"""Between two clients that are sent elsewhere."""
_UNKNOWN = "the token is unknown, or the session is over for too long"


class SessionUnknown(InputError):
    """No session of that token or id can be reached any more."""

    code = "session_unknown"


def share_of(token: str) -> str:
    """The viewers' token of a session."""
    return hashlib.sha256(f"share:{token}".encode()).hexdigest()[:32]


class LiveHub:
    """Owns the rooms. One event loop."""

    def __init__(
        self, open_session: OpenSession, store: LiveStore, limits: LiveLimits, voices: Voices | None = None
    ) -> None:
        self.observer: Observer = Unobserved()
        """Is told of lag and errors, by sessions that begin from then on."""
        self._open_session = open_session
        self._voices = voices or no_voices
        self.guests = Guests()
        self.audience = Audience(limits.max_viewers, "viewers")
        self.door = Audience(limits.max_beginning, "sockets that have not begun")
        self.store = store
        self.limits = limits
        self._rooms: dict[str, Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = 0
        self._sweeper: asyncio.Task[None] | None = None
        self.draining = False
        self.gate: StreamGate | None = None
        """Measures whether one more has room; None = any number up to the limit."""

    def start(self) -> None:
        """Begin to look after what expires."""
        self._sweeper = asyncio.create_task(self._sweep())

    @property
    def sessions(self) -> int:
        """Sessions held here, those of `guests` and those that wait for their client included."""
        return len(self._rooms) + self._opening + len(self.guests)

    @property
    def backlog_samples(self) -> int:
        """Sound that waits to be worked on, of the session where most waits. From any thread."""
        return max((room.session.ahead_samples for room in tuple(self._rooms.values())), default=0)

    @property
    def full(self) -> bool:
        """Whether a new session would be refused."""
        return bool(self.reason_against())

    @property
    def crowded(self) -> bool:
        """Whether even a session that comes back from another server would be refused."""
        return self.draining or self.sessions >= self.limits.max_sessions

    def reason_against(self) -> str:
        """Why a new session would be refused; empty when it would not."""
        if self.draining:
            return "this server is going away"
        if self.sessions >= self.limits.max_sessions:
            return "this server holds as much as it can"
        if self.gate is None:
            return ""
        return self.gate.reason_against(self.sessions, sum(room.lagging for room in self._rooms.values()))

    @property
    def may_resume(self) -> bool:
        """Whether a session that waits here could be taken up again although the server is full."""
        return not self.draining and any(not room.attached for room in self._rooms.values())

    def room(self, session: str) -> Room | None:
        """A session held here."""
        return self._rooms.get(session)

    async def open(self, start: Start, tenant: str = "") -> tuple[Room, str]:
        """A new session of a tenant, and its token. Raises Overloaded, OptionInvalid, SpeakerNotFound."""
        asked = _asked(start)
        options = _options(asked)
        self._check_room()
        self._opening += 1
        try:
            if start.known_speakers:
                ids = None if start.known_speakers == EVERYBODY else start.known_speakers
                options = replace(options, known=await asyncio.to_thread(self._voices, tenant, ids))
            token = secrets.token_urlsafe(32)
            record = self._new_record(token, json.dumps(asked), tenant)
            await self.store.create(record)
            return await self._begin(record, options, None), token
        finally:
            self._opening -= 1

    def _new_record(self, token: str, asked: str, tenant: str) -> Record:
        now_s = time.time()
        return Record(
            id=secrets.token_hex(8),
            token_hash=digest(token),
            share_hash=digest(share_of(token)),
            asked=asked,
            expires_s=now_s + self.limits.resume_window_s,
            tenant=tenant,
            share_until_s=now_s + self.limits.share_ttl_s,
        )

    async def resume(self, token: str, tenant: str = "") -> Room | Record:
        """The session of a token: its room, or its record when it is over.

        Raises SessionUnknown (also for another tenant's), Overloaded, BadSnapshot; then the session stays in the store
        as it is.
        """
        room = next((it for it in self._rooms.values() if it.record.token_hash == digest(token)), None)
        if room is not None and room.record.tenant != tenant:
            raise SessionUnknown(_UNKNOWN, param="resume.token")
        if room is not None and not room.ended.is_set():
            try:
                await room.renew()
                return room
            except Fenced:
                await self._leave(room)
        if self.draining:
            raise Overloaded("this server is going away")
        record = await self.store.claim(digest(token), tenant, time.time())
        if record is None:
            raise SessionUnknown(_UNKNOWN, param="resume.token")
        if record.state == "closed":
            return record
        self._check_room(returning=True)
        snapshot = Snapshot.load(record.checkpoint.snapshot) if record.checkpoint.snapshot else None
        self._opening += 1
        try:
            asked = json.loads(record.asked)
            options = _options(asked)
            if wanted := tuple(asked.get("known_speakers", ())):
                # Somebody may have been forgotten since; the session goes on without that voice.
                people = await asyncio.to_thread(self._voices, tenant, None)
                options = replace(options, known=tuple(it for it in people if it.id in wanted or wanted == EVERYBODY))
            return await self._begin(record, options, snapshot)
        finally:
            self._opening -= 1

    async def drain(self) -> None:
        """Send every client away to another server, wait a little, and close what is left. Nothing is admitted."""
        self.draining = True
        rooms = [room for room in self._rooms.values() if room.attached]
        # Not all at once: each is soon level with its sound only where it is taken up alone.
        apart_s = min(_APART_S, 0.8 * self.limits.drain_s / max(1, len(rooms)))
        telling = [asyncio.create_task(room.send_elsewhere(n * apart_s)) for n, room in enumerate(rooms)]
        left = [*(room.left for room in rooms), *(guest.left for guest in self.guests.send_away())]
        leaving = [asyncio.create_task(it.wait()) for it in left]
        if leaving:
            await asyncio.wait(leaving, timeout=self.limits.drain_s)
            for room in rooms:
                room.send_client_away(1001, "going away")
            await asyncio.wait(leaving, timeout=1.0)
        for task in (*telling, *leaving):
            task.cancel()
        await asyncio.gather(*telling, *leaving, return_exceptions=True)

    async def aclose(self) -> None:
        """Let go of all sessions; they stay in the store as they are, for others to go on with."""
        self.draining = True
        tasks = [*self._tasks, *([] if self._sweeper is None else [self._sweeper])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store.aclose()

    def _check_room(self, *, returning: bool = False) -> None:
        """returning: from another server, where it was let in; it is taken as long as there is any place."""
        reason = self.reason_against()
        if reason and (self.crowded or not returning):
            raise Overloaded(f"{reason}; try again later")

    async def _begin(self, record: Record, options: LiveOptions, snapshot: Snapshot | None) -> Room:
        span = self.observer.span("live session", {"crosstalk.session_id": record.id})
        with working_for(session_id=record.id), span.current():
            async with AsyncExitStack() as unless_done:
                unless_done.callback(span.end)
                session = self._open_session(options, snapshot)
                await unless_done.enter_async_context(session)
                room = Room(session, record, self.store, self.limits, self.observer)
                await room.restore()
                unless_done.pop_all()
            self._rooms[record.id] = room
            task = asyncio.create_task(self._live(room, span), name=f"live-{record.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return room

    async def _live(self, room: Room, span: Span) -> None:
        try:
            await room.run()
        finally:
            span.end()
            if self._rooms.get(room.record.id) is room:
                del self._rooms[room.record.id]

    async def _renew_all(self) -> None:
        for room in list(self._rooms.values()):
            try:
                await room.renew()
            except Fenced:
                await self._leave(room)

    async def _leave(self, room: Room) -> None:
        if self._rooms.get(room.record.id) is room:
            del self._rooms[room.record.id]
        await room.session.aclose()

    async def _sweep(self) -> None:
        wall_s, steady_s = time.time(), time.monotonic()
        while True:
            try:
                jumped_s = (time.time() - wall_s) - (time.monotonic() - steady_s)
                wall_s, steady_s = time.time(), time.monotonic()
                if abs(jumped_s) > self.limits.renew_s:
                    # What is held here has expired by the new time, and is not abandoned for that.
                    _log.warning("the clock was set by %.0f s; sessions are renewed", jumped_s)
                    await self._renew_all()
                gone = await self.store.sweep(time.time(), self.limits.keep_s)
            except Exception:  # noqa: BLE001 - a store that fails for a while must not end the cleaning for ever
                _log.exception("the store of live sessions cannot be swept")
            else:
                if gone:
                    _log.info("%d live sessions forgotten", gone)
            await asyncio.sleep(self.limits.sweep_s)


def no_voices(_tenant: str, ids: Sequence[str] | None) -> tuple[KnownVoice, ...]:
    """Nobody is enrolled. Raises SpeakerNotFound."""
    if ids:
        raise SpeakerNotFound(f"there is no known speaker {min(ids)}", param="known_speakers")
    return ()


def _asked(start: Start) -> dict[str, object]:
    return start.model_dump(include={"language", "hotwords", "speakers", "known_speakers", "partials"})


def _options(asked: dict[str, object]) -> LiveOptions:
    """Raises OptionInvalid."""
    start = Start.model_validate({"type": "start", "version": 1, "audio": {"encoding": "pcm_s16le"}, **asked})
    bounds = start.speakers
    return LiveOptions(
        language=None if start.language is None else language_code(start.language),
        hotwords=hotwords(start.hotwords),
        speakers=speaker_count(bounds.exact, bounds.min, bounds.max),
        partials=start.partials,
    )
