"""The inference worker's HTTP side: an engine behind a small ASGI app. `crosstalk infer` serves it, so does Ray Serve.

    POST /v1/infer/diarize   a window (packet.py)          -> its diarization (wire.py)
    POST /v1/infer/decode    a decode request (packet.py)  -> its words (wire.py)
    GET  /v1/infer/about     models, capacity, load (about.py)
    GET  /healthz            the process lives
    GET  /readyz             a probe has passed through the models not long ago

Calls may carry `Crosstalk-Identity` (refused unless these are the models) and `Crosstalk-Timeout-Ms` (given up then;
what waits is dropped) and `Crosstalk-Urgency` (0 live, 1 live text that is replaced soon, 2 or none a recording: what
goes first where calls wait). Errors are `{"error": {"code", "message", "param"}}`:

| status | code             | meaning                                                     | ask another worker? |
|--------|------------------|-------------------------------------------------------------|---------------------|
| 400    | request_invalid  | the body is no request                                      | no                  |
| 400    | option_invalid   | the decoder does not know the language                      | no                  |
| 401    | unauthorized     | no token, or a wrong one                                    | no                  |
| 409    | models_differ    | other models than asked for                                 | yes                 |
| 413    | request_too_large| more sound than a request may have                          | no                  |
| 500    | engine_failed    | the models failed on this request                           | no                  |
| 503    | overloaded       | as many requests wait as may                                | yes                 |
| 503    | engine_closed    | this worker is going away                                   | yes                 |
| 504    | deadline_passed  | not answered in the time that the call gave                 | yes, if time is left|
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.types import DecodeRequest, Urgency, Window
from app.engine.about import About, capacity_of, dump_about, identity_of
from app.engine.base import Engine
from app.engine.infer_rules import IDENTITY_HEADER, TIMEOUT_HEADER, TRACE_HEADER, URGENCY_HEADER, InferRules
from app.engine.load import cost_of
from app.engine.packet import max_body_bytes, unpack_request, unpack_window
from app.engine.readiness import Readiness
from app.engine.strict_json import WireInvalid
from app.engine.wire import dump_decoded, dump_diarization
from app.errors import CrosstalkError, EngineClosed, EngineError, EngineFailed, InputError, Overloaded
from app.observers import Observer, Unobserved, within

_JSON = "application/json"
_T = TypeVar("_T", Window, DecodeRequest)


class _Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param


def create_infer_app(engine: Engine, rules: InferRules, observer: Observer | None = None) -> Starlette:
    """The app around an engine, which stays the caller's to close. Its `state.readiness` is the engine's."""
    service = _Service(engine, rules, observer or Unobserved())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        service.readiness.start()
        try:
            yield
        finally:
            await service.readiness.aclose()

    app = Starlette(
        routes=[
            Route("/v1/infer/diarize", service.diarize, methods=["POST"]),
            Route("/v1/infer/decode", service.decode, methods=["POST"]),
            Route("/v1/infer/about", service.about),
            Route("/healthz", service.healthz),
            Route("/readyz", service.readyz),
        ],
        lifespan=lifespan,
    )
    app.state.readiness = service.readiness
    return app


class _Service:
    """The routes."""

    def __init__(self, engine: Engine, rules: InferRules, observer: Observer) -> None:
        self._engine = engine
        self._observer = observer
        self._rules = rules
        self._about = About(engine.spec, identity_of(engine), capacity_of(engine), secrets.token_hex(8))
        self._inside = 0
        self.readiness = Readiness(engine, rules.probe_interval_s, rules.probe_timeout_s)

    async def diarize(self, request: Request) -> Response:
        """One window."""

        async def answer(window: Window) -> bytes:
            return dump_diarization(await self._engine.diarize(window))

        with self._span("diarize", request):
            return await self._call(request, self._engine.spec.window_samples, unpack_window, answer)

    async def decode(self, request: Request) -> Response:
        """One decode request."""

        async def answer(asked: DecodeRequest) -> bytes:
            return dump_decoded(await self._engine.decode(asked))

        with self._span("decode", request):
            return await self._call(request, self._engine.spec.max_decode_samples, unpack_request, answer)

    def _span(self, step: str, request: Request) -> AbstractContextManager[None]:
        """Of the trace that the call belongs to."""
        return within(self._observer.span(f"infer {step}", {}, request.headers.get(TRACE_HEADER, "")))

    async def about(self, request: Request) -> Response:
        """Models, capacity, load."""
        try:
            self._authorize(request)
        except _Refused as refused:
            return _problem(refused)
        mine = self._about
        cost, capacity = cost_of(self._engine) or mine.cost, capacity_of(self._engine)
        now = About(mine.spec, mine.identity, capacity, mine.instance, self._inside, cost)
        return Response(dump_about(now), media_type=_JSON)

    async def healthz(self, _request: Request) -> Response:
        """The process lives."""
        return Response(b'{"status":"ok"}', media_type=_JSON)

    async def readyz(self, _request: Request) -> Response:
        """A probe passed not long ago, and there is room."""
        result = await self.readiness.check()
        if result is None:
            state, reason = "starting", ""
        elif not result.passed:
            state, reason = "failing", result.reason
        else:
            state, reason = ("full" if self._inside >= self._rules.max_inside else "ready"), ""
        body = json.dumps({"status": state, "reason": reason, "in_flight": self._inside})
        return Response(body, status_code=200 if state == "ready" else 503, media_type=_JSON)

    async def _call(
        self,
        request: Request,
        max_samples: int,
        unpack: Callable[[bytes], _T],
        answer: Callable[[_T], Awaitable[bytes]],
    ) -> Response:
        try:
            self._authorize(request)
            self._check_identity(request)
            urgency = _urgency(request)
            if self._inside >= self._rules.room(urgency):
                raise _Refused(503, Overloaded.code, f"{self._inside} requests are inside already")
            self._inside += 1
            try:
                async with asyncio.timeout(_timeout_s(request, self._rules.default_timeout_s)):
                    body = await _body(request, max_body_bytes(max_samples))
                    asked = replace(_unpacked(unpack, body), urgency=urgency)
                    return Response(await answer(asked), media_type=_JSON)
            finally:
                self._inside -= 1
        except _Refused as refused:
            return self._refuse(refused)
        except TimeoutError:
            return self._refuse(_Refused(504, "deadline_passed", "not answered in the time that was given"))
        except WireInvalid as error:
            return self._refuse(_Refused(500, EngineFailed.code, f"the answer cannot be sent: {error}"))
        except ClientDisconnect:
            return Response(status_code=499)
        except (EngineError, InputError) as error:
            return self._refuse(_Refused(_status_of(error), error.code, error.message, error.param))

    def _refuse(self, refused: _Refused) -> Response:
        self._observer.error("infer", refused.code)
        return _problem(refused)

    def _authorize(self, request: Request) -> None:
        if not self._rules.token:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._rules.token}".encode()):
            raise _Refused(401, "unauthorized", "this worker wants its token: Authorization: Bearer ...")

    def _check_identity(self, request: Request) -> None:
        wanted = request.headers.get(IDENTITY_HEADER, self._about.identity)
        if wanted != self._about.identity:
            raise _Refused(409, "models_differ", f"this worker's models are {self._about.identity}, not {wanted[:64]}")


def _timeout_s(request: Request, default_s: float) -> float:
    given = request.headers.get(TIMEOUT_HEADER)
    if given is None:
        return default_s
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise _Refused(400, "request_invalid", f"{TIMEOUT_HEADER} is whole milliseconds")
    return min(int(given) / 1000, default_s)


def _urgency(request: Request) -> Urgency:
    given = request.headers.get(URGENCY_HEADER, str(Urgency.RECORDING.value))
    if given not in {str(urgency.value) for urgency in Urgency}:
        raise _Refused(400, "request_invalid", f"{URGENCY_HEADER} is a number from 0 to {max(Urgency)}")
    return Urgency(int(given))


def _unpacked(unpack: Callable[[bytes], _T], body: bytes) -> _T:
    try:
        return unpack(body)
    except WireInvalid as error:
        raise _Refused(400, "request_invalid", str(error)) from error


async def _body(request: Request, limit: int) -> bytes:
    """The body, never more of it in memory than the limit. Raises _Refused, ClientDisconnect."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _Refused(413, "request_too_large", f"a request of this kind has at most {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _status_of(error: CrosstalkError) -> int:
    if isinstance(error, (Overloaded, EngineClosed)):
        return 503
    return 400 if isinstance(error, InputError) else 500


def _problem(refused: _Refused) -> Response:
    content = {"error": {"code": refused.code, "message": refused.message, "param": refused.param}}
    headers = {"Retry-After": "1"} if refused.status == 503 else {}
    return Response(json.dumps(content), status_code=refused.status, media_type=_JSON, headers=headers)
