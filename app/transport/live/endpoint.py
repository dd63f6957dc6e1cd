"""The routes of live captions: the socket, viewers by SSE and WebSocket, downloads. docs/live-protocol.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from fastapi.responses import Response, StreamingResponse
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from app.audio.limits import AudioLimits
from app.engine.base import Engine
from app.errors import OptionInvalid, Overloaded
from app.formats import FORMATS
from app.transport import sse
from app.transport.access.credentials import credentials_of
from app.transport.access.guard import access_of, identity_of
from app.transport.live import messages as wire
from app.transport.live.connection import Connection
from app.transport.live.hub import LiveHub, SessionUnknown
from app.transport.live.owner import Owner
from app.transport.live.store import Record
from app.transport.live.view import follow, open_view, transcript, while_shared
from app.transport.problems import HttpProblem, Problem

router = APIRouter(tags=["live"])


@dataclass(frozen=True, slots=True)
class LiveService:
    """What the routes work with. Made by app/main.py as `app.state.live`.

    engine: the one that live sessions use, whose demand is measured
    recheck_s: how often a viewer's link is looked at again
    """

    hub: LiveHub
    engine: Engine
    audio: AudioLimits
    recheck_s: float = 30.0


def get_live(request: Request) -> LiveService:
    """The service of the app that a request came to."""
    service = request.app.state.live
    assert isinstance(service, LiveService)
    return service


LiveDep = Annotated[LiveService, Depends(get_live)]
Share = Annotated[str, Query(max_length=200, description="A link's secret, or the session's own token; not with a key")]


@router.websocket("/v1/live")
async def live(websocket: WebSocket) -> None:
    """Sound in, captions out."""
    service: LiveService = websocket.app.state.live
    hub = service.hub
    if hub.crowded and not hub.may_resume:
        await _no_room(websocket, hub, "this server holds as much as it can")
        return
    try:
        hub.door.check()
    except Overloaded as error:
        await _no_room(websocket, hub, error.message)
        return
    _, subprotocol = credentials_of(websocket.headers)
    await websocket.accept(subprotocol)
    owner = Owner(identity_of(websocket), access_of(websocket))
    await Connection(websocket, hub, service.audio, owner).serve()


@router.websocket("/v1/live/{session}/view")
async def view(websocket: WebSocket, session: str, share: str = "") -> None:
    """A viewer's socket: only the server speaks."""
    service: LiveService = websocket.app.state.live
    look = _look(websocket, service, session, share)
    try:
        record = await look()
    except SessionUnknown as error:
        await websocket.send_denial_response(Problem(404, error.code, error.message, error.param).response())
        return
    try:
        service.hub.audience.check()
    except Overloaded as error:
        await _no_room(websocket, service.hub, error.message)
        return
    with service.hub.audience.seat():
        _, subprotocol = credentials_of(websocket.headers)
        await websocket.accept(subprotocol)
        frames = while_shared(follow(service.hub, record), look, service.recheck_s)
        showing = asyncio.create_task(_show(websocket, frames, service.hub.limits.send_timeout_s))
        leaving = asyncio.create_task(_left(websocket))
        try:
            await asyncio.wait({showing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                await showing
        finally:
            showing.cancel()
            leaving.cancel()
            await asyncio.gather(showing, leaving, return_exceptions=True)


@router.get("/v1/live/{session}/events", summary="Follow a live session", response_class=StreamingResponse)
async def events(request: Request, service: LiveDep, session: str, share: Share = "") -> StreamingResponse:
    """Server-sent events: `ready`, `snapshot`, then `partial`, `final`, `speakers`, `done`."""
    look = _look(request, service, session, share)
    record = await _found(look)
    audience = service.hub.audience
    audience.check()

    async def stream() -> AsyncIterator[bytes]:
        try:
            with audience.seat():
                async for frame in while_shared(follow(service.hub, record), look, service.recheck_s):
                    yield sse.HEARTBEAT if frame is None else b"data: " + frame.encode() + b"\n\n"
        except (SessionUnknown, Overloaded) as error:
            problem = wire.Problem(revision=0, code=error.code, message=error.message, param=error.param, fatal=True)
            yield b"data: " + problem.text().encode() + b"\n\n"

    return StreamingResponse(stream(), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


@router.get("/v1/live/{session}/transcript", summary="The transcript of a live session so far")
async def download(
    request: Request, service: LiveDep, session: str, share: Share = "", format: str = "json"
) -> Response:
    """In any of the formats for recordings."""
    if format not in FORMATS:
        raise OptionInvalid(f"unknown format {format!r}; known: {', '.join(FORMATS)}", param="format")
    chosen = FORMATS[format]
    record = await _found(_look(request, service, session, share))
    shown = chosen.render(await transcript(service.hub, record, joined=format != "json"))
    return Response(
        shown,
        media_type=chosen.media_type,
        headers={"Content-Disposition": f'attachment; filename="transcript{chosen.extension}"'},
    )


async def _no_room(websocket: WebSocket, hub: LiveHub, why: str) -> None:
    """Refuse a handshake for want of room."""
    hub.observer.error("live", Overloaded.code)
    headers = {"Retry-After": str(hub.limits.retry_after_s)}
    await websocket.send_denial_response(Problem(503, Overloaded.code, why, headers=headers).response())


async def _show(websocket: WebSocket, frames: AsyncIterator[str | None], send_timeout_s: float) -> None:
    try:
        try:
            async for frame in frames:
                if frame is not None:
                    async with asyncio.timeout(send_timeout_s):
                        await websocket.send_text(frame)
            await websocket.close(1000, "done")
        except SessionUnknown as error:
            await websocket.close(1008, error.message)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return  # the viewer has gone or does not read, which server libraries tell in their ways


async def _left(websocket: WebSocket) -> None:
    """Until a viewer goes; what it says is nothing to us."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _look(
    connection: HTTPConnection, service: LiveService, session: str, share: str
) -> Callable[[], Awaitable[Record]]:
    """Whether who asks may see the session: asked at first, and again while it is shown."""
    who, shares = identity_of(connection), access_of(connection).shares
    return lambda: open_view(service.hub, session, share, who, shares)


async def _found(look: Callable[[], Awaitable[Record]]) -> Record:
    try:
        return await look()
    except SessionUnknown as error:
        raise HttpProblem(HTTPStatus.NOT_FOUND, error.code, error.message, error.param) from error
