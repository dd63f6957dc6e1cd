"""What goes wrong -> an HTTP status and OpenAI's error body, in one table.

The body is `{"error": {"message", "type", "param", "code"}}`, which OpenAI's clients read; also for 404 and 405.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.errors import (
    AccessError,
    AudioTooLong,
    BlobMissing,
    CrosstalkError,
    EngineClosed,
    EngineFailed,
    EngineUnavailable,
    IdempotencyConflict,
    InputError,
    JobNotFound,
    JobStateInvalid,
    KeyInvalid,
    KeyNotFound,
    LimitReached,
    OutputError,
    Overloaded,
    QueueFull,
    RevisionConflict,
    SetupError,
    ShareNotFound,
    SpeakerNotFound,
    StoreFull,
    StoreUnavailable,
    UploadConflict,
    UploadNotFound,
)
from app.observers import Observer, Unobserved

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"

STATUS_OF: dict[type[CrosstalkError], HTTPStatus] = {
    AudioTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    InputError: HTTPStatus.BAD_REQUEST,
    OutputError: HTTPStatus.INSUFFICIENT_STORAGE,
    SetupError: HTTPStatus.SERVICE_UNAVAILABLE,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    BlobMissing: HTTPStatus.GONE,
    JobNotFound: HTTPStatus.NOT_FOUND,
    SpeakerNotFound: HTTPStatus.NOT_FOUND,
    UploadNotFound: HTTPStatus.NOT_FOUND,
    UploadConflict: HTTPStatus.CONFLICT,
    JobStateInvalid: HTTPStatus.CONFLICT,
    QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    IdempotencyConflict: HTTPStatus.CONFLICT,
    RevisionConflict: HTTPStatus.PRECONDITION_FAILED,
    KeyInvalid: HTTPStatus.UNAUTHORIZED,
    KeyNotFound: HTTPStatus.NOT_FOUND,
    ShareNotFound: HTTPStatus.NOT_FOUND,
    LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    AccessError: HTTPStatus.FORBIDDEN,
    EngineClosed: HTTPStatus.SERVICE_UNAVAILABLE,
    EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    EngineFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    CrosstalkError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status of an error is that of the nearest class in its ancestry."""


class HttpProblem(Exception):
    """Something that only HTTP knows: a body too large, a request in the wrong shape, a server that is full."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.headers = headers or {}
        self.status = status
        self.code = code
        self.message = message
        self.param = param


class ClientGone(Exception):
    """The client closed the connection before the answer; nobody will read what is sent."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the wire shows it."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """OpenAI's error body."""
        kind = "invalid_request_error" if self.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        return JSONResponse(self.body(), status_code=self.status, headers=dict(self.headers))


def problem_of(error: Exception, retry_after_s: int = 10) -> Problem:
    """How `error` is shown. What is not known here is a 500 that gives nothing away; the caller logs it."""
    if isinstance(error, CrosstalkError):
        status = next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
        param = error.param or ("file" if isinstance(error, InputError) else None)
        headers = dict(_retry(status, retry_after_s))
        if isinstance(error, LimitReached | QueueFull):
            headers["Retry-After"] = str(error.retry_after_s)
        elif isinstance(error, KeyInvalid):
            headers["WWW-Authenticate"] = "Bearer"
        return Problem(status, error.code, error.message, param, headers)
    if isinstance(error, HttpProblem):
        headers = {**error.headers, **_retry(error.status, retry_after_s)}
        return Problem(error.status, error.code, error.message, error.param, headers)
    if isinstance(error, TimeoutError):
        return Problem(HTTPStatus.GATEWAY_TIMEOUT, "timeout", "the transcription took longer than this server allows")
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the server failed; its log says why")


def install(app: FastAPI, retry_after_s: int, observer: Observer | None = None) -> None:
    """Answer every error of `app` with OpenAI's body, and tell of it."""
    watching = observer or Unobserved()

    def told(problem: Problem) -> Response:
        watching.error("http", problem.code)
        return problem.response()

    def known(request: Request, error: Exception) -> Response:
        problem = problem_of(error, retry_after_s)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # What is not expected is answered outside of the layer that knows the request's id (observed.py).
            about = {"request_id": getattr(request.state, "request_id", None)}
            _log.error("%s [%s]", problem.message, problem.code, exc_info=error, extra=about)
        return _with_headers(request, told(problem))

    def by_framework(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        code = status.phrase.lower().replace(" ", "_").replace("-", "_")
        return told(Problem(status, code, str(error.detail), headers=error.headers or {}))

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "option_invalid", str(first["msg"]), param)
        return _with_headers(request, told(problem))

    def gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=499)

    for kind in (CrosstalkError, HttpProblem, TimeoutError, Exception):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ClientGone, gone)


def always_send(request: Request, headers: Mapping[str, str]) -> None:
    """Headers that the answer has also when it is an error."""
    request.state.always_sent = headers


def _with_headers(request: Request, response: Response) -> Response:
    response.headers.update(getattr(request.state, "always_sent", {}))
    if request_id := getattr(request.state, "request_id", ""):
        response.headers[REQUEST_ID_HEADER] = request_id
    return response


def _retry(status: int, retry_after_s: int) -> Mapping[str, str]:
    return {"Retry-After": str(retry_after_s)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
