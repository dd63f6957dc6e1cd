"""One client's connection to a session, as a state machine.

    connected --start--> open --stop--> draining --> done          (any) --the socket ends--> detached, by the room

The reader takes one frame at a time and takes no other until its sound has found room, so that TCP holds a fast sender
back. The sender empties the mailbox and has heartbeats for when it is empty.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from starlette.websockets import WebSocket, WebSocketDisconnect

from app.audio.limits import AudioLimits
from app.audio.pcm import RawFormat, RawStream
from app.audio.stream import ContainerStream, Gap, Heard
from app.context import working_for
from app.core.times import SAMPLE_RATE, to_seconds
from app.errors import CrosstalkError, InputError, LimitReached, OptionInvalid, Overloaded, SpeakerNotFound
from app.live.snapshot import BadSnapshot
from app.transport.live import messages as wire
from app.transport.live.hub import LiveHub, SessionUnknown, share_of
from app.transport.live.mailbox import Closing, Letter, Mailbox
from app.transport.live.owner import Owner
from app.transport.live.room import Room
from app.transport.live.store import Record

_SLICE_BYTES = 1 << 14
"""Sound is decoded in such pieces: a packed container must not become gigabytes in one go."""
_PAGE = 200


class State(StrEnum):
    """Where a connection is."""

    CONNECTED = "connected"
    OPEN = "open"
    DRAINING = "draining"


class Ended(Exception):
    """The connection is to be closed by the server."""

    def __init__(
        self, close: int, code: str, message: str, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.close = close
        self.problem = wire.Problem(
            revision=0, code=code, message=message, param=param, retry_after_s=retry_after_s, fatal=True
        )


class Connection:
    """Serves one accepted socket to its end."""

    def __init__(self, websocket: WebSocket, hub: LiveHub, audio: AudioLimits, owner: Owner) -> None:
        self._websocket = websocket
        self._hub = hub
        self._limits = hub.limits
        self._audio = audio
        self._owner = owner
        self._mailbox = Mailbox(hub.limits.max_waiting_events)
        self._state = State.CONNECTED
        self._sound: RawStream | ContainerStream | None = None
        self._warned = False

    async def serve(self) -> None:
        """From `start` to the close; the session itself may go on."""
        try:
            with self._hub.door.seat():
                start = await self._start()
            await self._enter(start)
        except Ended as ended:
            await self._refuse(ended)
        except CrosstalkError as error:
            await self._refuse(_ended(error))
        except WebSocketDisconnect:
            return

    async def _start(self) -> wire.Start:
        try:
            async with asyncio.timeout(self._limits.start_timeout_s):
                frame = await self._receive()
        except TimeoutError:
            raise Ended(4000, "start_expected", "no start message came in time") from None
        if isinstance(frame, bytes):
            raise Ended(1003, "frame_invalid", "sound came before the start message")
        message = wire.parse_message(frame)
        if not isinstance(message, wire.Start):
            raise Ended(4000, "start_expected", f"the first message must be start, not {message.type}")
        return message

    async def _enter(self, start: wire.Start) -> None:
        have = 0
        self._check_audio(start.audio)
        if start.resume is None:
            room, token = await self._open(start)
        else:
            token, have = start.resume.token, start.resume.have_revision
            found = await self._hub.resume(token, self._owner.tenant)
            if isinstance(found, Record):
                await self._repeat_end(found, token, have)
                return
            room = found
        with working_for(session_id=room.record.id):
            await self._inside(room, start, token, have)

    async def _open(self, start: wire.Start) -> tuple[Room, str]:
        try:
            return await self._hub.open(start, self._owner.tenant)
        except Overloaded as error:
            # Only here is it told when to come again: who has a session tries the next server at once.
            raise Ended(4005, error.code, error.message, retry_after_s=self._limits.retry_after_s) from error

    async def _inside(self, room: Room, start: wire.Start, token: str, have: int) -> None:
        room.attach(self._mailbox)
        try:
            begin = room.session.received_samples
            self._sound = self._open_sound(start.audio, begin)
            # Who comes back to a session that is stopped waits for its end.
            self._state = State.DRAINING if room.session.stopped else State.OPEN
            await self._say(self._ready(room.record.id, token, room.revision, begin, resumed=start.resume is not None))
            await self._both_ways(room, have)
        finally:
            if self._sound is not None:
                await asyncio.to_thread(self._sound.close)
            room.detach(self._mailbox)
            await self._owner.leave()

    async def _both_ways(self, room: Room, have: int) -> None:
        sender = asyncio.create_task(self._send(room, have))
        reader = asyncio.create_task(self._read(room))
        try:
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not sender.done():
                await self._after_reader(reader, room)
                await sender
        except WebSocketDisconnect:
            return
        finally:
            reader.cancel()
            sender.cancel()
            await asyncio.gather(reader, sender, return_exceptions=True)

    async def _after_reader(self, reader: asyncio.Task[None], room: Room) -> None:
        """The reader has ended: with the socket, or with something that the client must be told."""
        try:
            await reader
        except Ended as ended:
            self._tell_end(ended, room)
        except CrosstalkError as error:
            self._tell_end(_ended(error), room)
        except _EnoughSound:
            return

    def _tell_end(self, ended: Ended, room: Room) -> None:
        self._hub.observer.error("live", ended.problem.code)
        problem = ended.problem.model_copy(update={"revision": room.revision})
        self._mailbox.put(Letter(problem.text()))
        self._mailbox.close(ended.close, problem.code)

    # In.

    async def _read(self, room: Room) -> None:
        """Raises Ended, CrosstalkError, WebSocketDisconnect."""
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_timeout_s):
                    frame = await self._receive()
            except TimeoutError:
                if self._state is State.DRAINING:
                    continue
                raise Ended(4001, "idle_timeout", f"nothing came for {self._limits.idle_timeout_s:g} s") from None
            if isinstance(frame, bytes):
                await self._hear(frame, room)
            else:
                await self._obey(wire.parse_message(frame), room)

    async def _hear(self, data: bytes, room: Room) -> None:
        if self._state is State.DRAINING:
            raise Ended(1003, "frame_invalid", "sound came after stop")
        assert self._sound is not None
        for at in range(0, len(data), _SLICE_BYTES):
            piece = data[at : at + _SLICE_BYTES]
            if isinstance(self._sound, RawStream):
                heard: list[Heard] = [*self._sound.push(piece)]
            else:
                heard = await asyncio.to_thread(self._sound.push, piece)
            await self._take(heard, room)

    async def _take(self, heard: list[Heard], room: Room) -> None:
        for item in heard:
            if isinstance(item, Gap):
                room.tell(
                    wire.Skipped(
                        revision=room.revision,
                        from_s=to_seconds(item.start),
                        to_s=to_seconds(item.end),
                        reason=item.reason,
                    )
                )
                continue
            if room.session.stopped:
                return  # it was ended here: the room tells the client, and why
            most = int(self._limits.max_duration_s * SAMPLE_RATE) - room.session.received_samples
            if most > 0:
                self._warn(room)
                await room.session.push(item.samples[:most])
                await self._owner.heard(min(len(item.samples), most))
            if len(item.samples) >= most and self._state is State.OPEN:
                self._state = State.DRAINING
                room.tell(wire.GoAway(revision=room.revision, reason="max_duration", within_s=0.0))
                await room.stop_at_limit()
                raise _EnoughSound

    def _warn(self, room: Room) -> None:
        """Tell a client that is too far ahead, once each time."""
        ahead_s = to_seconds(room.session.ahead_samples)
        if ahead_s < self._limits.max_ahead_s * 0.9:
            self._warned = False
        elif not self._warned:
            self._warned = True
            room.tell(
                wire.SlowDown(revision=room.revision, ahead_s=round(ahead_s, 2), limit_s=self._limits.max_ahead_s)
            )

    async def _obey(self, message: wire.ClientMessage, room: Room) -> None:
        if isinstance(message, wire.Ping):
            room.tell(wire.Pong(revision=room.revision, id=message.id))
        elif isinstance(message, wire.Start):
            raise Ended(1007, "message_invalid", "the session has been started already", "type")
        elif isinstance(message, wire.Rename):
            await room.session.room()
            try:
                room.session.rename(message.speaker, message.name)
            except ValueError as error:
                raise OptionInvalid(str(error), param="name") from error
            await self._owner.noted("live.rename", f"{room.record.id}/{message.speaker}")
        elif isinstance(message, wire.Stop) and self._state is State.DRAINING:
            return  # a client that is back may say it again
        elif self._state is State.DRAINING:
            raise Ended(1007, "message_invalid", f"{message.type} came after stop", "type")
        elif room.session.stopped:
            return  # it was ended here: the room tells the client, and why
        elif isinstance(message, wire.Flush):
            await room.session.flush(message.id)
        elif isinstance(message, wire.Mark):
            await room.session.mark(message.id)
        else:
            self._state = State.DRAINING
            assert self._sound is not None
            sound = self._sound
            await self._take(await asyncio.to_thread(lambda: [*sound.flush()]), room)
            await room.session.stop()

    async def _receive(self) -> bytes | str:
        frame = await self._websocket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        data: bytes | None = frame.get("bytes")
        return str(frame["text"]) if data is None else data

    # Out.

    async def _send(self, room: Room, have: int) -> None:
        """Raises WebSocketDisconnect; ends once it has closed the socket."""
        last = await self._replay(room.record.id, have)
        while True:
            item = await self._mailbox.get(self._limits.heartbeat_s)
            if self._mailbox.overflowed:
                await self._too_slow(room)
                return
            if item is None:
                await self._say(room.heartbeat())
            elif isinstance(item, Closing):
                await self._close(item.code, item.reason)
                return
            elif not item.revision or item.revision > last:
                last = max(last, item.revision)
                await self._text(item.text)

    async def _too_slow(self, room: Room) -> None:
        most = self._limits.max_waiting_events
        message = f"more than {most} events wait to be read; read on, and resume"
        await self._say(wire.Problem(revision=room.revision, code="reads_too_slowly", message=message, fatal=True))
        await self._close(1013, "reads_too_slowly")

    async def _replay(self, session: str, after: int) -> int:
        """Everything stored after a revision; returns the last one."""
        while page := await self._hub.store.events(session, after, _PAGE):
            for event in page:
                await self._text(event.text)
                after = event.revision
        return after

    async def _repeat_end(self, record: Record, token: str, have: int) -> None:
        """A session that is over: what the client has missed of it."""
        done = record.done
        if done is None:
            raise SessionUnknown("the session was given up", param="resume.token")
        end = round(float(wire.parse_done(done).duration_s) * SAMPLE_RATE)
        await self._say(self._ready(record.id, token, record.revision, end, resumed=True))
        await self._replay(record.id, have)
        await self._text(done)
        await self._close(1000, "done")

    async def _refuse(self, ended: Ended) -> None:
        self._hub.observer.error("live", ended.problem.code)
        try:
            await self._say(ended.problem)
            await self._close(ended.close, ended.problem.code)
        except WebSocketDisconnect:
            return

    async def _say(self, event: wire.ServerEvent) -> None:
        await self._text(event.text())

    async def _text(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await self._websocket.send_text(text)
        except (TimeoutError, RuntimeError) as error:
            # RuntimeError: the server library's word for a socket that was closed under us.
            raise WebSocketDisconnect(1006, "the client does not read") from error

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._websocket.close(code, reason)
        except RuntimeError as error:
            raise WebSocketDisconnect(1006, "closed already") from error

    def _ready(self, session: str, token: str, revision: int, begin: int, *, resumed: bool) -> wire.Ready:
        limits = self._limits
        return wire.Ready(
            revision=revision,
            session=session,
            token=token,
            share=share_of(token),
            resumed=resumed,
            from_samples=begin,
            limits=wire.Limits(
                max_message_bytes=limits.max_message_bytes,
                max_ahead_s=limits.max_ahead_s,
                idle_timeout_s=limits.idle_timeout_s,
                max_duration_s=limits.max_duration_s,
            ),
        )

    def _check_audio(self, audio: wire.Audio) -> None:
        if audio.encoding != "container":
            self._audio.check_format(audio.sample_rate, audio.channels)

    def _open_sound(self, audio: wire.Audio, begin: int) -> RawStream | ContainerStream:
        if audio.encoding == "container":
            return ContainerStream(self._audio, begin)
        return RawStream(RawFormat(audio.encoding, audio.sample_rate, audio.channels), self._audio, begin)


class _EnoughSound(Exception):
    """The session is as long as it may be; what comes is not read any more."""


def _ended(error: CrosstalkError) -> Ended:
    """The close code of an error."""
    close = 1011
    code = error.code
    if isinstance(error, wire.MessageInvalid):
        close = 1007
    elif isinstance(error, SessionUnknown):
        close = 4003
    elif isinstance(error, Overloaded):
        close = 4005
    elif isinstance(error, LimitReached):
        close = 1008
    elif isinstance(error, OptionInvalid | SpeakerNotFound):
        close = 4007
    elif isinstance(error, BadSnapshot):
        close = 1012  # a server of the build or the models that wrote it can go on
    elif isinstance(error, InputError):
        close, code = 4002, "format_invalid"
    retry_after_s = error.retry_after_s if isinstance(error, LimitReached) else None
    return Ended(close, code, error.message, error.param, retry_after_s)
