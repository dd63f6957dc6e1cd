"""Following a session without taking part: the transcript so far, then its events, for viewers and downloads.

Costs no inference. A session of another process is followed through the store, once a second and without partials.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from app.access import Identity, Scope
from app.access.secret import digest
from app.access.shares import Shares
from app.core.times import SAMPLE_RATE, to_samples
from app.core.types import Flag, Segment, TranscriptView, Turn, Word
from app.transport.live import messages as wire
from app.transport.live.hub import LiveHub, SessionUnknown
from app.transport.live.mailbox import Closing, Mailbox
from app.transport.live.room import Room
from app.transport.live.store import LiveStore, Record

_PAGE = 500
_POLL_S = 1.0
_PAUSE_SAMPLES, _PARAGRAPH_SAMPLES = SAMPLE_RATE // 2, 20 * SAMPLE_RATE
"""Pieces of one speech are one paragraph without such a pause, up to so long."""


@dataclass(slots=True)
class Told:
    """A transcript as its events tell it."""

    revision: int = 0
    segments: dict[str, wire.WireSegment] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def take(self, text: str, revision: int) -> None:
        """The next event."""
        event = wire.parse_stored(text)
        self.revision = revision
        if isinstance(event, wire.Final):
            self.segments[event.segment.id] = event.segment
            return
        for segment, speaker in event.segments.items():
            self.segments[segment] = self.segments[segment].model_copy(update={"speaker": speaker})
        self.names.update(event.names)

    def snapshot(self) -> wire.Snapshot:
        """For viewers."""
        names = {speaker: name for speaker, name in self.names.items() if name}
        return wire.Snapshot(revision=self.revision, segments=tuple(self.segments.values()), names=names)


async def told(store: LiveStore, session: str) -> Told:
    """The transcript so far."""
    found = Told()
    while page := await store.events(session, found.revision, _PAGE):
        for event in page:
            found.take(event.text, event.revision)
        await asyncio.sleep(0)
    return found


async def open_view(hub: LiveHub, session: str, token: str, who: Identity, shares: Shares) -> Record:
    """The session, for who holds a link to it, its own token, or a key of its tenant that may read.

    Raises SessionUnknown, also for a link that is wrong, expired or revoked.
    """
    record = await hub.store.find(session) if session.isascii() and session.isprintable() else None
    if record is None or not (_may_read(who, record) or await _opens(record, token, shares)):
        raise SessionUnknown("there is no such session, or the link is not its own", param="share")
    return record


def _may_read(who: Identity, record: Record) -> bool:
    return bool(who.key_id) and who.tenant == record.tenant and Scope.READ in who.scopes


async def _opens(record: Record, token: str, shares: Shares) -> bool:
    hashed = digest(token)
    if secrets.compare_digest(hashed, record.token_hash):
        return True
    if secrets.compare_digest(hashed, record.share_hash):
        return record.share_until_s is None or time.time() < record.share_until_s
    return await asyncio.to_thread(shares.opens, record.id, token)


async def while_shared(
    frames: AsyncIterator[str | None], still: Callable[[], Awaitable[object]], every_s: float
) -> AsyncIterator[str | None]:
    """The frames, for as long as the link works: looked at again so often. Raises what `still` raises."""
    looked_s = time.monotonic()
    async for frame in frames:
        if time.monotonic() - looked_s >= every_s:
            await still()
            looked_s = time.monotonic()
        yield frame


async def follow(hub: LiveHub, record: Record) -> AsyncIterator[str | None]:
    """Frames for one viewer until the session is over; None when there was nothing to say for a while."""
    yield wire.ViewerReady(revision=record.revision, session=record.id).text()
    room = hub.room(record.id)
    frames = _remote(hub, record.id) if room is None else _local(hub, room)
    async for frame in frames:
        yield frame


async def _local(hub: LiveHub, room: Room) -> AsyncIterator[str | None]:
    mailbox = Mailbox(hub.limits.max_viewer_events)
    room.join(mailbox)
    try:
        last = -1
        text = ""
        while True:
            if last < 0 or mailbox.overflowed:
                # At first, and for a viewer that cannot keep up: everything anew instead of every step.
                mailbox.clear()
                shown = (await told(hub.store, room.record.id)).snapshot()
                last = shown.revision
                yield shown.text()
                if room.partial:
                    yield room.partial
            item = await mailbox.get(hub.limits.heartbeat_s)
            if isinstance(item, Closing) or (item is None and room.ended.is_set()):
                if not mailbox.overflowed:
                    break
            elif item is None:
                if not mailbox.overflowed:
                    yield None
            elif not item.revision or item.revision > last:
                last = max(last, item.revision)
                text = item.text
                yield text
        record = await hub.store.find(room.record.id)
        if record is not None and record.done is not None and text != record.done:
            yield record.done  # it was among what did not find room
    finally:
        room.leave(mailbox)


async def _remote(hub: LiveHub, session: str) -> AsyncIterator[str | None]:
    shown = (await told(hub.store, session)).snapshot()
    last = shown.revision
    yield shown.text()
    while True:
        record = await hub.store.find(session)
        for event in await hub.store.events(session, last, _PAGE):
            last = event.revision
            yield event.text
        if record is None or record.state == "closed":
            if record is not None and record.done is not None:
                yield record.done
            return
        if hub.draining:
            return
        yield None
        await asyncio.sleep(_POLL_S)


async def transcript(hub: LiveHub, record: Record, *, joined: bool = False) -> TranscriptView:
    """The transcript so far, as formats read it. joined: pieces of one speech are one segment."""
    found = await told(hub.store, record.id)
    segments = tuple(sorted(map(_segment, found.segments.values()), key=lambda it: (it.start, it.speaker, it.id)))
    segments = _joined(segments) if joined else segments
    done = None if record.done is None else wire.parse_done(record.done)
    end = max((segment.end for segment in segments), default=0)
    return TranscriptView(
        duration=end if done is None else to_samples(done.duration_s),
        language=None,
        segments=segments,
        turns=tuple(sorted(Turn(it.start, it.end, it.speaker) for it in segments)),
        names={speaker: name for speaker, name in found.names.items() if name},
        warnings=() if done is None else done.warnings,
    )


def _joined(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    found: list[Segment] = []
    last: dict[int, int] = {}
    for segment in segments:
        place = last.get(segment.speaker)
        before = None if place is None else found[place]
        near = before is not None and segment.start - before.end < _PAUSE_SAMPLES
        if place is None or before is None or not near or segment.end - before.start > _PARAGRAPH_SAMPLES:
            last[segment.speaker] = len(found)
            found.append(segment)
            continue
        words, flags = (*before.words, *segment.words), before.flags | segment.flags
        found[place] = replace(before, end=max(before.end, segment.end), words=words, flags=flags)
    return tuple(found)


def _segment(shown: wire.WireSegment) -> Segment:
    return Segment(
        id=shown.id,
        speaker=shown.speaker,
        start=to_samples(shown.start),
        end=to_samples(shown.end),
        words=tuple(Word(it.text, to_samples(it.start), to_samples(it.end), it.confidence) for it in shown.words),
        flags=frozenset(Flag(flag) for flag in shown.flags),
    )
