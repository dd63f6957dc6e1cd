"""The guard: an ASGI layer that every request and socket passes before a route, its body or parameters are looked at.

Where it comes from (Origin, Host), who asks (a key, a token, a link), whether that may have this (needs.py), how often,
how much. What passes has `identity` in its state; what does not is answered here. Afterwards it notes changes in the
audit log, and it closes streams whose key has been revoked meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from http import HTTPStatus

from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Access, Identity
from app.access.types import ANYBODY
from app.errors import CrosstalkError, StoreError
from app.observers import Observer, Unobserved
from app.transport.access import refusals
from app.transport.access.bodies import limited
from app.transport.access.credentials import credentials_of, take_token
from app.transport.access.needs import SOCKET, Found, Need, find
from app.transport.access.origins import check_host, check_origin
from app.transport.access.rules import GuardRules
from app.transport.problems import HttpProblem

_log = logging.getLogger(__name__)
_NOBODY = Identity(scopes=frozenset())


def identity_of(connection: HTTPConnection) -> Identity:
    """Who asks, as the guard found out."""
    who = connection.scope["state"]["identity"]
    assert isinstance(who, Identity)
    return who


def access_of(connection: HTTPConnection) -> Access:
    """The server's keys, tokens, links and logs."""
    access = connection.scope["app"].state.access
    assert isinstance(access, Access)
    return access


class Guard:
    """See the module."""

    def __init__(self, app: ASGIApp, rules: GuardRules, observer: Observer | None = None) -> None:
        self._app = app
        self._rules = rules
        self._observer = observer or Unobserved()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        token, scope["query_string"] = take_token(scope.get("query_string", b""))
        async with AsyncExitStack() as stack:
            try:
                need, who, params = await self._admit(scope, token, stack)
            except (CrosstalkError, HttpProblem) as error:
                code = await refusals.refuse(scope, receive, send, error)
                self._observer.error("http", code)
                return
            scope.setdefault("state", {})["identity"] = who
            if scope["type"] == "http" and not need.sound:
                receive = limited(scope, receive, self._rules.max_body_bytes)
            passage = _Passage(send)
            if need.stream and who.key_id:
                watching = asyncio.create_task(self._watch(scope, who, passage))
                stack.callback(watching.cancel)
            await self._app(scope, receive, passage.send)
        if need.audit and passage.done:
            await _note(scope, who, need.audit, passage.location or "/".join(params.values()))

    async def _admit(
        self, scope: Scope, token: str | None, stack: AsyncExitStack
    ) -> tuple[Need, Identity, dict[str, str]]:
        """Raises AccessError, StoreError, HttpProblem."""
        headers = Headers(scope=scope)
        method = SOCKET if scope["type"] == "websocket" else str(scope["method"])
        method = "GET" if method == "HEAD" else method
        if method != "GET":
            check_origin(headers, self._rules.origins)
        found = find(scope["path"])
        need = None if found is None else found.needs.get(method)
        params = {} if found is None else dict(found.params)
        if not self._rules.required:
            if not self._rules.any_host:
                check_host(headers, self._rules.hosts)
            # A path or method without an entry goes on to the router, which says 404 or 405.
            return need or Need(), ANYBODY, params
        if need is not None and (need.public or (need.share and QueryParams(scope["query_string"]).get("share"))):
            return need, _NOBODY, params
        who = await self._identify(scope, headers, token, stack)
        if need is None:
            raise _no_route(found, scope)
        if need.scope is not None:
            who.need(need.scope)
        if need.sound:
            await _access(scope).check_minutes(who)
        return need, who, params

    async def _identify(self, scope: Scope, headers: Headers, token: str | None, stack: AsyncExitStack) -> Identity:
        """Who asks, counted in. Raises AccessError, StoreError."""
        access = _access(scope)
        credentials, _ = credentials_of(headers)
        who = await access.identify(token if credentials is None else credentials.key, scope["path"])
        access.limiter.enter(who, time.monotonic())
        stack.callback(access.limiter.leave, who)
        return who

    async def _watch(self, scope: Scope, who: Identity, passage: _Passage) -> None:
        """Look at the key again and again; end the connection when it works no more."""
        while True:
            await asyncio.sleep(self._rules.recheck_s)
            try:
                valid = await _access(scope).still_valid(who)
            except StoreError as error:
                _log.warning("a key cannot be looked at again now: %s", error.message)
                continue
            if not valid:
                await passage.end(socket=scope["type"] == "websocket")
                return


class _Passage:
    """The answer on its way out: whether it went well, what it made, and a way to end it.

    location: the last part of the answer's Location
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False
        self.done = False
        self.location = ""

    async def send(self, message: Message) -> None:
        """Pass a message on. Raises OSError, which is what a connection that is gone gives, once it was ended."""
        if self._ended:
            raise OSError("the key of this connection works no more")
        if message["type"] == "http.response.start":
            self.done = message["status"] < HTTPStatus.BAD_REQUEST
            location = Headers(raw=message.get("headers", [])).get("location", "")
            self.location = location.rpartition("/")[2]
        await self._send(message)

    async def end(self, *, socket: bool) -> None:
        """Nothing more goes out; a socket is closed."""
        self._ended = True
        if socket:
            await self._send({"type": "websocket.close", "code": 1008, "reason": "the key works no more"})


def _access(scope: Scope) -> Access:
    access: Access = scope["app"].state.access
    return access


def _no_route(found: Found | None, scope: Scope) -> HttpProblem:
    if found is None or scope["type"] == "websocket":
        return HttpProblem(HTTPStatus.NOT_FOUND, "not_found", "there is nothing here")
    # RFC 9110, section 15.5.6.
    allow = {"Allow": ", ".join(sorted(set(found.needs) - {SOCKET}))}
    message = "this is not possible here"
    return HttpProblem(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, headers=allow)


async def _note(scope: Scope, who: Identity, action: str, target: str) -> None:
    try:
        await asyncio.to_thread(_access(scope).audit.record, who.key_id, who.tenant, action, target)
    except StoreError as error:
        # The act is done and answered; the log line of `record` has it all the same.
        _log.error("the audit log cannot be written: %s", error.message)
