"""The routes of live captions: the socket, viewers by SSE and WebSocket, downloads. docs/live-protocol.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from fastapi.responses import Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from app.audio.limits import AudioLimits
from app.errors import OptionInvalid
from app.formats import FORMATS
from app.transport import sse
from app.transport.live.connection import Connection
from app.transport.live.hub import LiveHub, SessionUnknown
from app.transport.live.store import Record
from app.transport.live.view import follow, open_view, transcript
from app.transport.problems import HttpProblem, Problem

router = APIRouter(tags=["live"])


@dataclass(frozen=True, slots=True)
class LiveService:
    """What the routes work with. Made by app/main.py as `app.state.live`.

    origins: pages of other hosts that may open sockets; one's own always may
    """

    hub: LiveHub
    audio: AudioLimits
    origins: tuple[str, ...]
    retry_after_s: int


def get_live(request: Request) -> LiveService:
    """The service of the app that a request came to."""
    service = request.app.state.live
    assert isinstance(service, LiveService)
    return service


LiveDep = Annotated[LiveService, Depends(get_live)]
Share = Annotated[str, Query(min_length=1, max_length=200, description="The session's share token, or its own token")]


@router.websocket("/v1/live")
async def live(websocket: WebSocket) -> None:
    """Sound in, captions out."""
    service: LiveService = websocket.app.state.live
    if await _refused(websocket, service):
        return
    hub = service.hub
    if hub.full and not hub.may_resume:
        headers = {"Retry-After": str(service.retry_after_s)}
        problem = Problem(503, "overloaded", "this server holds as much as it can", headers=headers)
        await websocket.send_denial_response(problem.response())
        return
    await websocket.accept()
    await Connection(websocket, hub, service.audio).serve()


@router.websocket("/v1/live/{session}/view")
async def view(websocket: WebSocket, session: str, share: str = "") -> None:
    """A viewer's socket: only the server speaks."""
    service: LiveService = websocket.app.state.live
    if await _refused(websocket, service):
        return
    try:
        record = await open_view(service.hub, session, share)
    except SessionUnknown as error:
        await websocket.send_denial_response(Problem(404, error.code, error.message, error.param).response())
        return
    await websocket.accept()
    showing = asyncio.create_task(_show(websocket, service.hub, record))
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
async def events(service: LiveDep, session: str, share: Share) -> StreamingResponse:
    """Server-sent events: `ready`, `snapshot`, then `partial`, `final`, `speakers`, `done`."""
    record = await _found(service, session, share)

    async def stream() -> AsyncIterator[bytes]:
        async for frame in follow(service.hub, record):
            yield sse.HEARTBEAT if frame is None else b"data: " + frame.encode() + b"\n\n"

    return StreamingResponse(stream(), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


@router.get("/v1/live/{session}/transcript", summary="The transcript of a live session so far")
async def download(service: LiveDep, session: str, share: Share, format: str = "json") -> Response:
    """In any of the formats for recordings."""
    if format not in FORMATS:
        raise OptionInvalid(f"unknown format {format!r}; known: {', '.join(FORMATS)}", param="format")
    chosen = FORMATS[format]
    shown = chosen.render(await transcript(service.hub, await _found(service, session, share)))
    return Response(
        shown,
        media_type=chosen.media_type,
        headers={"Content-Disposition": f'attachment; filename="transcript{chosen.extension}"'},
    )


async def _show(websocket: WebSocket, hub: LiveHub, record: Record) -> None:
    try:
        async for frame in follow(hub, record):
            if frame is not None:
                async with asyncio.timeout(hub.limits.send_timeout_s):
                    await websocket.send_text(frame)
        await websocket.close(1000, "done")
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return  # the viewer has gone or does not read, which server libraries tell in their ways


async def _left(websocket: WebSocket) -> None:
    """Until a viewer goes; what it says is nothing to us."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _found(service: LiveService, session: str, share: str) -> Record:
    try:
        return await open_view(service.hub, session, share)
    except SessionUnknown as error:
        raise HttpProblem(HTTPStatus.NOT_FOUND, error.code, error.message, error.param) from error


async def _refused(websocket: WebSocket, service: LiveService) -> bool:
    """Whether a page of another host tried: browsers let any page open a socket to anywhere, and say from which."""
    origin = websocket.headers.get("origin")
    if origin is None or origin in service.origins or urlsplit(origin).netloc == websocket.headers.get("host"):
        return False
    problem = Problem(403, "origin_refused", f"pages of {origin[:200]} may not use this server", "origin")
    await websocket.send_denial_response(problem.response())
    return True
