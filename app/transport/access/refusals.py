"""What the guard answers instead of a route: OpenAI's error body, on /v1/listen Deepgram's; sockets stay closed."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from app.transport.problems import Problem, problem_of

_DEEPGRAM = {
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTH",
    HTTPStatus.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
    HTTPStatus.TOO_MANY_REQUESTS: "TOO_MANY_REQUESTS",
}


async def refuse(scope: Scope, receive: Receive, send: Send, error: Exception) -> str:
    """Answer a request or the handshake of a socket; the code that was told."""
    problem = problem_of(error)
    if scope["type"] == "http":
        await problem.response()(scope, receive, send)
        return problem.code
    response = deepgram(problem) if scope["path"] == "/v1/listen" else problem.response()
    await WebSocket(scope, receive, send).send_denial_response(response)
    return problem.code


def deepgram(problem: Problem) -> Response:
    """The same in Deepgram's words."""
    request_id = str(uuid.uuid4())
    code = _DEEPGRAM.get(HTTPStatus(problem.status), problem.code.upper())
    body = {"err_code": code, "err_msg": problem.message, "request_id": request_id}
    message = problem.message.encode("ascii", "replace").decode().replace("\n", " ")
    headers = {"dg-request-id": request_id, "dg-error": message, **problem.headers}
    return JSONResponse(body, problem.status, headers)
