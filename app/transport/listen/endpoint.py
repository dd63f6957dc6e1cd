"""`WS /v1/listen`: the handshake, the sound in, the messages out, and the ways in which it ends.

| close | reason     | meaning                                                        |
|-------|------------|----------------------------------------------------------------|
| 1000  |            | after CloseStream (or an empty binary frame) and Metadata      |
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

from fastapi import APIRouter, WebSocket
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from app.audio.limits import AudioLimits
from app.audio.pcm import RawFormat, RawStream
from app.audio.stream import ContainerStream, Gap
from app.core.times import to_seconds
from app.core.types import Frames
from app.errors import AudioEmpty, CrosstalkError, InputError
from app.live.session import LiveSession
from app.live.updates import Finished, LiveOptions
from app.transport.access.credentials import credentials_of
from app.transport.access.guard import access_of, identity_of
from app.transport.listen.params import ListenOptions, parse_query
from app.transport.listen.results import Message, Shape, closing_metadata
from app.transport.listen.translate import Translator
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
    silence_s: how long a client may send nothing; max_sessions: connections at the same time
    """

    open_session: Callable[[LiveOptions], LiveSession]
    limits: AudioLimits
    model: str
    version: str
    silence_s: float = 10.0
    max_sessions: int = 100
    sessions: int = 0


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
    if service.sessions >= service.max_sessions:
        await _deny(websocket, HTTPStatus.SERVICE_UNAVAILABLE, "OVERLOADED", "This server has no room.", request_id)
        return
    service.sessions += 1
    try:
        await websocket.accept(subprotocol, headers=[(b"dg-request-id", request_id.encode())])
        await _Listener(websocket, service, options, sound, request_id).run()
    finally:
        service.sessions -= 1
        await asyncio.to_thread(sound.close)


Sound = RawStream | ContainerStream


def _stream(options: ListenOptions, limits: AudioLimits) -> Sound:
    if options.encoding == "container":
        return ContainerStream(limits)
    return RawStream(RawFormat(options.encoding, options.sample_rate, options.channels), limits)


async def _deny(websocket: WebSocket, status: HTTPStatus, code: str, message: str, request_id: str) -> None:
    """Refuse the handshake with Deepgram's error body and headers."""
    header = message.encode("ascii", "replace").decode().replace("\n", " ")
    body = {"err_code": code, "err_msg": message, "request_id": request_id}
    headers = {"dg-request-id": request_id, "dg-error": header}
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

    async def run(self) -> None:
        """From the first byte to the close."""
        asked = self._options
        wanted = LiveOptions(
            asked.language,
            asked.hotwords,
            partials=asked.interim_results or asked.vad_events or asked.utterance_end_ms is not None,
        )
        try:
            async with self._service.open_session(wanted) as session:
                await self._both_ways(session)
            await self._close(1000, "")
        except _Closed as closed:
            await self._close(closed.code, closed.reason)
        except WebSocketDisconnect:
            return
        except CrosstalkError as error:
            _log.warning("a listener's session failed: %s [%s]", error.message, error.code, exc_info=error)
            await self._close(1011, f"{error.code}: {error.message}")
        except Exception:  # noqa: BLE001 - the edge of a live session: the client is told, the log says why
            _log.exception("a listener's session failed")
            await self._close(1011, "internal_error")

    async def _both_ways(self, session: LiveSession) -> None:
        """Sound in, messages out, until the last message is out. Raises what ends the connection early."""
        reader = asyncio.create_task(self._read(session))
        writer = asyncio.create_task(self._write(session))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                await reader
            await writer
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            await self._owner.leave()

    async def _read(self, session: LiveSession) -> None:
        """Take frames until the client ends the stream. Raises _Closed, WebSocketDisconnect, CrosstalkError."""
        while True:
            try:
                async with asyncio.timeout(self._service.silence_s):
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
                await session.push(item.samples)
                await self._owner.heard(len(item.samples))
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
                warnings = (*self._options.warnings, *self._gaps, *update.view.warnings)
                digest = self._digest.hexdigest()
                await self._say(closing_metadata(self._shape, created, update.view.duration, digest, warnings))

    async def _say(self, message: Message) -> None:
        if self._options.tags and message.get("type") == "Metadata":
            message = {**message, "tags": list(self._options.tags)}
        async with self._sending:
            await self._websocket.send_text(json.dumps(message, ensure_ascii=False))

    async def _close(self, code: int, reason: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(code, _Closed(code, reason).reason)
            except (RuntimeError, WebSocketDisconnect):
                return  # the client was quicker
