"""`WS /v1/listen`: the handshake, the sound in, the messages out, and the ways in which it ends.

| close | reason     | meaning                                                        |
|-------|------------|----------------------------------------------------------------|
| 1000  |            | after CloseStream (or an empty binary frame) and Metadata      |
| 1001  |            | this server is going away: the rest and Metadata have been sent |
| 1008  | DATA-0000  | the sound cannot be decoded                                    |
| 1011  | NET-0001   | neither sound nor KeepAlive for ten seconds                    |
| 1011  | a code     | the models failed, or this server has no room                  |
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from app.audio.limits import AudioLimits
from app.audio.pcm import RawFormat, RawStream
from app.audio.stream import ContainerStream, Gap
from app.context import working_for
from app.core.times import to_samples, to_seconds
from app.core.types import Frames
from app.errors import AudioEmpty, CrosstalkError, InputError, Overloaded
from app.live.session import LiveSession
from app.live.updates import Finished, LiveOptions
from app.observers import within
from app.transport.access.credentials import credentials_of
from app.transport.access.guard import access_of, identity_of
from app.transport.listen.params import ListenOptions, parse_query
from app.transport.listen.results import Message, Shape, closing_metadata
from app.transport.listen.translate import Translator
from app.transport.live.guests import Guest
from app.transport.live.hub import LiveHub
from app.transport.live.owner import Owner

_log = logging.getLogger(__name__)

router = APIRouter(tags=["live"])

_MOST_REASON_BYTES = 120
_MOST_GAPS = 100
"""Stretches of damaged sound that the closing Metadata names: the newest."""


@dataclass(slots=True)
class ListenService:
    """What the endpoint works with. Made by app/main.py as `app.state.listen`.

    open_session: begins a session
    hub: where the sessions are counted, and whose limits they have
    silence_s: how long a client may send nothing, unless the hub's limit is shorter
    """

    open_session: Callable[[LiveOptions], LiveSession]
    hub: LiveHub
    limits: AudioLimits
    model: str
    version: str
    silence_s: float = 10.0


class _Closed(Exception):
    """The connection ends with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")


@router.websocket("/v1/listen")
async def listen(websocket: WebSocket) -> None:
    """Deepgram's live transcription."""
    service: ListenService = websocket.app.state.listen
    request_id = str(uuid.uuid4())
    _, subprotocol = credentials_of(websocket.headers)
    try:
        options = parse_query(websocket.query_params.multi_items())
        sound = _stream(options, service.limits)
    except CrosstalkError as error:
        await _deny(websocket, HTTPStatus.BAD_REQUEST, "Bad Request", error.message, request_id)
        return
    if service.hub.full:
        service.hub.observer.error("listen", Overloaded.code)
        await _deny(websocket, HTTPStatus.SERVICE_UNAVAILABLE, "OVERLOADED", "This server has no room.", request_id)
        return
    span = service.hub.observer.span("listen session", {"crosstalk.session_id": request_id})
    with service.hub.guests.stay() as guest, working_for(session_id=request_id), within(span):
        try:
            await websocket.accept(subprotocol, headers=[(b"dg-request-id", request_id.encode())])
            await _Listener(websocket, service, options, sound, request_id).run(guest)
        finally:
            await asyncio.to_thread(sound.close)


Sound = RawStream | ContainerStream


def _stream(options: ListenOptions, limits: AudioLimits) -> Sound:
    if options.encoding == "container":
        return ContainerStream(limits)
    return RawStream(RawFormat(options.encoding, options.sample_rate, options.channels), limits)


async def _deny(websocket: WebSocket, status: HTTPStatus, code: str, message: str, request_id: str) -> None:
    """Refuse the handshake with Deepgram's error body and headers."""
    # A message may quote what the client sent; a header takes printable ASCII alone.
    header = "".join(it if it.isascii() and it.isprintable() else "?" for it in message)
    body = {"err_code": code, "err_msg": message, "request_id": request_id}
    headers = {"dg-request-id": request_id, "dg-error": header}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(websocket.app.state.listen.hub.limits.retry_after_s)
    await websocket.send_denial_response(JSONResponse(body, status, headers))


class _Listener:
    """One accepted connection."""

    def __init__(
        self, websocket: WebSocket, service: ListenService, options: ListenOptions, sound: Sound, request_id: str
    ) -> None:
        self._websocket = websocket
        self._owner = Owner(identity_of(websocket), access_of(websocket))
        self._service = service
        self._options = options
        self._sound = sound
        self._shape = Shape(request_id, options.diarize, options.formatted, service.model, service.version)
        self._created = datetime.now(UTC)
        self._digest = hashlib.sha256()
        self._sending = asyncio.Lock()
        self._gaps: deque[str] = deque(maxlen=_MOST_GAPS)
        self._enough = self._sent_away = ""

    async def run(self, guest: Guest) -> None:
        """From the first byte to the close; a guest that is asked to leave ends as if by CloseStream."""
        asked = self._options
        wanted = LiveOptions(
            asked.language,
            asked.hotwords,
            partials=asked.interim_results or asked.vad_events or asked.utterance_end_ms is not None,
        )
        try:
            async with self._service.open_session(wanted) as session:
                await self._both_ways(session, guest)
            await self._close(1001 if self._sent_away else 1000, self._sent_away)
        except _Closed as closed:
            await self._close(closed.code, closed.reason)
        except WebSocketDisconnect:
            return
        except CrosstalkError as error:
            self._service.hub.observer.error("listen", error.code)
            _log.warning("a listener's session failed: %s [%s]", error.message, error.code, exc_info=error)
            await self._close(1011, f"{error.code}: {error.message}")
        except Exception:  # noqa: BLE001 - the edge of a live session: the client is told, the log says why
            self._service.hub.observer.error("listen", "internal_error")
            _log.exception("a listener's session failed")
            await self._close(1011, "internal_error")

    async def _both_ways(self, session: LiveSession, guest: Guest) -> None:
        """Sound in, messages out, until the last message is out. Raises what ends the connection early."""
        reader = asyncio.create_task(self._read(session))
        writer = asyncio.create_task(self._write(session))
        leaving = asyncio.create_task(guest.leave.wait())
        tasks: tuple[asyncio.Task[Any], ...] = (reader, writer, leaving)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not reader.done() and not writer.done():
                self._sent_away = "this server is going away"
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
                await session.stop()
            elif reader.done():
                await reader
            await writer
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._owner.leave()

    async def _read(self, session: LiveSession) -> None:
        """Take frames until the client ends the stream. Raises _Closed, WebSocketDisconnect, CrosstalkError."""
        silence_s = min(self._service.silence_s, self._service.hub.limits.idle_timeout_s)
        while not self._enough:
            try:
                async with asyncio.timeout(silence_s):
                    frame = await self._websocket.receive()
            except TimeoutError:
                raise _Closed(1011, "NET-0001: neither audio data nor a KeepAlive within the timeout window") from None
            if frame["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(frame.get("code", 1005))
            data: bytes | None = frame.get("bytes")
            if data is None:
                if await self._told(frame.get("text") or "", session):
                    break
            elif data:
                self._digest.update(data)
                await self._hear(data, session)
            else:
                break  # an empty frame was how streams were ended before CloseStream
        if not self._enough:
            await self._hear(None, session)
        await session.stop()

    async def _hear(self, data: bytes | None, session: LiveSession) -> None:
        """Some sound, or None for its end."""
        try:
            # A container is decoded by a thread; G.711 and PCM take microseconds.
            if isinstance(self._sound, RawStream):
                heard: list[object] = [*(self._sound.flush() if data is None else self._sound.push(data))]
            elif data is None:
                heard = [*await asyncio.to_thread(self._sound.flush)]
            else:
                heard = [*await asyncio.to_thread(self._sound.push, data)]
        except AudioEmpty:
            return  # a stream that ends before it began
        except InputError as error:
            raise _Closed(1008, f"DATA-0000: {error.message}") from error
        for item in heard:
            if isinstance(item, Frames):
                limit_s = self._service.hub.limits.max_duration_s
                most = max(0, to_samples(limit_s) - session.received_samples)
                await session.push(item.samples[:most])
                await self._owner.heard(min(len(item.samples), most))
                if len(item.samples) > most:
                    self._enough = f"the longest session is {limit_s:g} s; what follows was not heard"
                    return
            elif isinstance(item, Gap):
                self._gaps.append(f"{to_seconds(item.start):.2f} to {to_seconds(item.end):.2f} s: {item.reason}")

    async def _told(self, text: str, session: LiveSession) -> bool:
        """A control message; whether it ends the stream."""
        try:
            message = json.loads(text)
            kind = message["type"] if isinstance(message, dict) else None
        except (ValueError, KeyError, RecursionError):
            kind = None
        if kind == "CloseStream":
            return True
        if kind == "Finalize":
            await session.flush()
        elif kind == "Configure":
            failure = {"code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED", "description": "not possible within a stream here"}
            await self._say({"type": "ConfigureFailure", "request_id": self._shape.request_id, **failure})
        elif kind != "KeepAlive":
            description = "expected a JSON object of type KeepAlive, Finalize or CloseStream"
            await self._say(
                {"type": "Error", "variant": "SchemaError", "description": description, "message": text[:500]}
            )
        return False

    async def _write(self, session: LiveSession) -> None:
        translator = Translator(self._options, self._shape)
        async for update in session.updates():
            for message in translator.push(update):
                await self._say(message)
            if isinstance(update, Finished):
                created = self._created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                said = [it for it in (self._enough, self._sent_away) if it]
                warnings = (*self._options.warnings, *self._gaps, *said, *update.view.warnings)
                digest = self._digest.hexdigest()
                await self._say(closing_metadata(self._shape, created, update.view.duration, digest, warnings))

    async def _say(self, message: Message) -> None:
        if self._options.tags and message.get("type") == "Metadata":
            message = {**message, "tags": list(self._options.tags)}
        text = json.dumps(message, ensure_ascii=False)
        async with self._sending:
            try:
                async with asyncio.timeout(self._service.hub.limits.send_timeout_s):
                    await self._websocket.send_text(text)
            except (TimeoutError, RuntimeError) as error:
                # RuntimeError: the server library's word for a socket that was closed under us.
                raise WebSocketDisconnect(1006, "the client does not read") from error

    async def _close(self, code: int, reason: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(code, _Closed(code, reason).reason)
            except (RuntimeError, WebSocketDisconnect):
                return  # the client was quicker
