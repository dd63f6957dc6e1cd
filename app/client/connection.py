"""One connection of a live session: open it, say `start`, carry messages both ways until it ends.

What it ends with is an `Outcome`: the session is done, failed for good, or only this connection is gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.http11 import Response

from app.client.errors import LiveFailed
from app.client.events import GoAway, Problem, Ready, ServerEvent, parse_event
from app.client.options import RetryRules

_MAX_EVENT_BYTES = 16 * 1024**2
_FATAL_CLOSES: Mapping[int, str] = {
    1003: "frame_invalid",
    1007: "message_invalid",
    1008: "unauthorized",
    1009: "message_too_big",
    4000: "start_expected",
    4001: "idle_timeout",
    4002: "format_invalid",
    4003: "session_unknown",
    4004: "session_elsewhere",
    4006: "max_duration",
    4007: "option_invalid",
}
"""Close codes after which another try gives the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a connection ended. stood: the session stood on it; reason: why it was lost, for people; retry_after_s: when
    the server says that it may go better."""

    done: bool = False
    failure: LiveFailed | None = None
    stood: bool = False
    reason: str = ""
    retry_after_s: float = 0.0


class Owner(Protocol):
    """The session that the connection serves."""

    def start_message(self) -> dict[str, object]:
        """The first message."""

    async def next_message(self) -> bytes | str:
        """What to send next."""

    async def take(self, event: ServerEvent | None, text: str) -> Outcome | None:
        """An event (None: unknown) and its text; an Outcome ends the connection. Raises LiveFailed."""


class Connection:
    """Carries the session's messages over one socket."""

    def __init__(self, url: str, headers: Mapping[str, str], rules: RetryRules) -> None:
        self._url = url
        self._headers = headers
        self._rules = rules
        self._stood = False

    async def run(self, owner: Owner) -> Outcome:
        """Open, serve, close. Raises nothing that a network can do."""
        try:
            # A server that has stopped reading, because too much waits, answers no pings either: its heartbeats, which
            # are read in any case, say that it lives.
            async with connect(
                self._url,
                additional_headers=self._headers,
                open_timeout=self._rules.answer_timeout_s,
                close_timeout=1,
                max_size=_MAX_EVENT_BYTES,
                ping_interval=None,
                compression=None,
            ) as socket:
                return await self._serve(socket, owner)
        except LiveFailed as error:
            return Outcome(failure=error)
        except InvalidURI as error:
            return Outcome(failure=LiveFailed("url_invalid", str(error), param="url"))
        except InvalidStatus as error:
            return self._refused(error.response)
        except (OSError, TimeoutError, WebSocketException) as error:
            return Outcome(stood=self._stood, reason=str(error) or type(error).__name__)

    async def _serve(self, socket: ClientConnection, owner: Owner) -> Outcome:
        await socket.send(json.dumps(owner.start_message(), ensure_ascii=False))
        async with asyncio.timeout(self._rules.answer_timeout_s):
            outcome = await self._receive(socket, owner, until_ready=True)
        if outcome is not None:
            return outcome
        self._stood = True
        async with asyncio.TaskGroup() as group:
            sender = group.create_task(self._send(socket, owner))
            outcome = await self._receive(socket, owner)
            sender.cancel()
        return outcome or Outcome(stood=True, reason="the connection ended")

    async def _send(self, socket: ClientConnection, owner: Owner) -> None:
        try:
            while True:
                await socket.send(await owner.next_message())
        except ConnectionClosed:
            return  # the reader meets the same and knows the reason

    async def _receive(self, socket: ClientConnection, owner: Owner, *, until_ready: bool = False) -> Outcome | None:
        """Take events until the connection ends, or only until the session stands (then None)."""
        problem: Problem | None = None
        try:
            while True:
                async with asyncio.timeout(self._rules.silence_s):
                    text = await socket.recv()
                if isinstance(text, bytes):
                    raise LiveFailed("protocol_error", "the server sent a binary message")
                event = parse_event(text)
                problem = event if isinstance(event, Problem) else None
                outcome = await owner.take(event, text)
                if outcome is not None:
                    return outcome
                if isinstance(event, GoAway) and event.reason == "drain":
                    return Outcome(stood=True, reason="the server is going away")
                if until_ready and isinstance(event, Ready):
                    return None
        except ConnectionClosed as error:
            return self._closed(error, problem)
        except TimeoutError:
            return Outcome(stood=self._stood, reason=f"the server said nothing for {self._rules.silence_s:g} s")
        except LiveFailed as error:
            return Outcome(failure=error)

    def _closed(self, error: ConnectionClosed, problem: Problem | None) -> Outcome:
        code = error.rcvd.code if error.rcvd is not None else 1006
        reason = (error.rcvd.reason if error.rcvd is not None else "") or (problem.message if problem else "")
        if code in _FATAL_CLOSES:
            name = problem.code if problem else _FATAL_CLOSES[code]
            return Outcome(failure=LiveFailed(name, reason or f"the server closed the session ({code})"))
        retry_after_s = (problem.retry_after_s if problem else None) or 0.0
        why = f"closed with {code}{': ' + reason if reason else ''}"
        return Outcome(stood=self._stood, reason=why, retry_after_s=retry_after_s)

    def _refused(self, response: Response) -> Outcome:
        """An HTTP status instead of a WebSocket: 5xx and 429 may pass, the others will not."""
        status, told = response.status_code, response.headers.get("Retry-After", "")
        reason = f"{self._url} answers HTTP {status}"
        if status >= 500 or status == 429:
            return Outcome(reason=reason, retry_after_s=float(told) if told.isdecimal() else 0.0)
        return Outcome(failure=LiveFailed("unauthorized" if status in {401, 403} else "url_invalid", reason))
