"""The outermost ASGI layer: a request's id, its log line and its figures; and `/metrics` for who shows its own token.

A client may send `X-Request-ID`; one that is too long or holds anything but letters, digits, `.`, `_` and `-` is
replaced. The id is given back in the answer and stands in every log line that the request leads to.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

from fastapi import APIRouter, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.context import traced_by, working_for
from app.observers import NoSpan, Observer, Span, within
from app.transport.problems import REQUEST_ID_HEADER

_log = logging.getLogger(__name__)


METRICS_PATH = "/metrics"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_QUIET = frozenset({"/healthz", "/readyz", METRICS_PATH})
"""Asked every few seconds by machines: their log lines are of level debug."""


@dataclass(frozen=True, slots=True)
class Figures:
    """text: makes the answer, blocking; content_type: of it; token: shown as `Authorization: Bearer`, "" = none."""

    text: Callable[[], bytes]
    content_type: str
    token: str = field(default="", repr=False)


def metrics_router(figures: Figures) -> APIRouter:
    """The route `/metrics`; who may ask says the guard."""
    router = APIRouter(tags=["health"])

    @router.get(METRICS_PATH, summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return await _answer(figures)

    return router


class Observed:
    """See the module. figures: given when `/metrics` has a token of its own."""

    def __init__(self, app: ASGIApp, observer: Observer, figures: Figures | None = None) -> None:
        self._app = app
        self._observer = observer
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass and look at the answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = asked if _SANE.fullmatch(asked) else uuid.uuid4().hex
        answer = _Answer(send, request_id)
        scope.setdefault("state", {})["request_id"] = request_id
        began_s = time.monotonic()
        span = self._span(scope, request_id)
        with working_for(request_id=request_id), traced_by(span.trace), within(span):
            try:
                with answer:
                    await self._pass(scope, receive, answer.send)
            finally:
                self._tell(scope, answer.status, time.monotonic() - began_s)
                _note(span, scope, answer.status)

    def _span(self, scope: Scope, request_id: str) -> Span:
        """Of the client's trace, where it sends `traceparent`."""
        if scope["path"] in _QUIET:
            return NoSpan()
        method = _method(scope)
        attributes = {"http.request.method": method, "crosstalk.request_id": request_id}
        return self._observer.span(method, attributes, Headers(scope=scope).get("traceparent", ""))

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        figures = self._figures
        if figures is None or scope["path"] != METRICS_PATH or not _shows(scope, figures.token):
            await self._app(scope, receive, send)
            return
        await (await _answer(figures))(scope, receive, send)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = _method(scope), _route(scope)
        self._observer.request(method, route, status, seconds)
        # The path without its query: that may hold a token or the secret of a link.
        level = logging.DEBUG if scope["path"] in _QUIET else logging.INFO
        extra = {"route": route, "status": status, "seconds": round(seconds, 4)}
        _log.log(level, "%s %s %d in %.3f s", method, scope["path"], status, seconds, extra=extra)


class _Answer:
    """What goes out. status: 499 until an answer has begun, as the client may have gone before."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id
        self.status = 499

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Where the app failed, what has not begun to be answered will be answered with 500, outside of this layer."""
        if isinstance(error, Exception) and self.status == 499:
            self.status = HTTPStatus.INTERNAL_SERVER_ERROR

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = 101
            message.setdefault("headers", [])
        elif kind == "websocket.close" and self.status == 499:
            self.status = 403  # what servers answer to a socket that is closed before it was accepted
        if kind in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            MutableHeaders(scope=message)[REQUEST_ID_HEADER] = self._id
        await self._send(message)


def _method(scope: Scope) -> str:
    method = "WEBSOCKET" if scope["type"] == "websocket" else str(scope["method"])
    return method if method in _METHODS else "OTHER"


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "none"))


def _note(span: Span, scope: Scope, status: int) -> None:
    route = _route(scope)
    span.note({"http.route": route, "http.response.status_code": status}, f"{_method(scope)} {route}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.failed(str(status))


def _shows(scope: Scope, token: str) -> bool:
    scheme, _, shown = Headers(scope=scope).get("authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and secrets.compare_digest(shown.strip().encode(), token.encode())


async def _answer(figures: Figures) -> Response:
    return Response(await asyncio.to_thread(figures.text), media_type=figures.content_type)
