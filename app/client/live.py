"""A live session as its user sees it: give sound, take events, never mind which server is behind it.

    async with LiveClient(["ws://one:8000/v1/live", "ws://two:8000/v1/live"], LiveOptions()) as client:
        await client.send(pcm)            # waits when more than RetryRules.keep_s is not acknowledged
        await client.stop()               # the end of the sound; the rest comes as events
        async for event in client:        # from another task while sound is sent
            ...

When a connection is lost the client connects to the next URL with the session's token, sends the sound after the last
acknowledgement again, and drops what the server repeats: every `Final` and `Speakers` comes once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from app.client.connection import Connection, Outcome
from app.client.errors import LiveFailed
from app.client.events import Ack, Done, Event, Final, Flushed, Lost, Mark, Problem, Ready, ServerEvent, Speakers
from app.client.options import LiveOptions, RetryRules
from app.client.outbox import Outbox

_MAX_EVENTS = 1000
"""Events that may wait for the user; then the socket is not read until some are taken."""
_MESSAGE_BYTES = 32_768
"""Sound per message: about a second of 16-bit mono, so that controls never wait long behind it."""
_RETRIED = frozenset({"overloaded", "internal_error", "going_away", "snapshot_invalid"})
"""Fatal errors after which another try, or another server, may work."""


class LiveClient:
    """One session. A context manager: leaving it ends the connection, with or without `stop`."""

    def __init__(
        self,
        urls: Sequence[str],
        options: LiveOptions | None = None,
        rules: RetryRules | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        tap: Callable[[str], None] | None = None,
    ) -> None:
        """urls: ws:// or wss:// addresses of servers that share their store; tried in turn.

        tap: gets the text of every server event as it came, those of unknown types too, repeated finals left out
        """
        if not urls:
            raise ValueError("a live client needs at least one URL")
        self._urls = tuple(urls)
        self._options = options or LiveOptions()
        self._rules = rules or RetryRules()
        self._headers = dict(headers or {})
        self._tap = tap
        self._outbox = Outbox(self._options.audio, self._rules.keep_s)
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_MAX_EVENTS)
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._ready: Ready | None = None
        self._revision = 0
        self._max_message_bytes = 0
        self._failure: LiveFailed | None = None
        self._ended = False
        self._stopping = False
        self._runner: asyncio.Task[None] | None = None

    @property
    def session(self) -> Ready | None:
        """What the server said of the session last; None before it stands."""
        return self._ready

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)

    async def send(self, sound: bytes) -> None:
        """Give sound, any number of bytes, in the announced format. Waits while the buffer is full.

        Raises:
            LiveFailed: the session has ended, or `stop` was called.
        """
        view = memoryview(sound)
        while view:
            await self._until(lambda: self._outbox.sound.room > 0)
            self._check_open()
            part = view[: self._outbox.sound.room]
            self._outbox.sound.add(bytes(part))
            view = view[len(part) :]
            self._notify()

    async def flush(self) -> None:
        """Have everything said so far written as final; returns when it is. Raises LiveFailed."""
        identity = f"flush-{next(self._numbers)}"
        await self._ask(("flush", identity), {"type": "flush", "id": identity})

    async def mark(self, identity: str) -> None:
        """Returns when everything sent so far has been written. Raises LiveFailed."""
        await self._ask(("mark", identity), {"type": "mark", "id": identity})

    async def rename(self, speaker: int, name: str) -> None:
        """Name a speaker for everyone, or take the name back (empty). Returns when it is done. Raises LiveFailed."""
        await self._ask(("rename", str(speaker)), {"type": "rename", "speaker": speaker, "name": name})

    async def stop(self) -> None:
        """The end of the sound. Returns at once; `Done` comes when the rest is written. Raises LiveFailed."""
        self._check_open()
        self._stopping = True
        self._outbox.add_control(("stop", ""), {"type": "stop"})
        self._notify()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """All events, the last of which is `Done`. Raises LiveFailed when the session cannot go on."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # whoever asks again gets the end again
        if self._failure is not None:
            raise self._failure

    async def _ask(self, key: tuple[str, str], message: dict[str, object]) -> None:
        self._check_open()
        self._outbox.add_control(key, message)
        self._notify()
        await self._until(lambda: not self._outbox.waits_for(key))

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended or self._stopping:
            raise LiveFailed("closed", "the session has been stopped")

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise LiveFailed("closed", "the session ended before the server answered")
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _run(self) -> None:
        try:
            await self._hold()
        except LiveFailed as error:
            self._failure = error
        finally:
            self._ended = True
            self._notify()
        await self._events.put(None)

    async def _hold(self) -> None:
        """Connections one after the other until the session is done. Raises LiveFailed."""
        clock = asyncio.get_running_loop().time
        wait_s, up_at_s, failures = 0.0, clock(), 0
        for url in itertools.cycle(self._urls):
            connection = Connection(url, self._headers, self._rules)
            outcome = await connection.run(self)
            if outcome.failure is not None:
                raise outcome.failure
            if outcome.done:
                return
            await self._events.put(Lost(url, outcome.reason))
            if outcome.stood:
                wait_s, up_at_s, failures = 0.0, clock(), 0
                continue
            failures += 1
            asked_s = self._asked_to_wait(outcome)
            if clock() - up_at_s + asked_s >= self._rules.give_up_s:
                tried = ", ".join(self._urls)
                raise LiveFailed("server_unreachable", f"no server answers ({tried}): {outcome.reason}")
            if failures % len(self._urls) == 0:
                wait_s = min(self._rules.longest_wait_s, wait_s * 2 or self._rules.first_wait_s)
                await asyncio.sleep(max(wait_s, asked_s))

    def _asked_to_wait(self, outcome: Outcome) -> float:
        """What a full server asks for. Not of who has a session: that goes on at the first server that takes it."""
        return outcome.retry_after_s if self._ready is None else 0.0

    # What a connection asks and tells (app/client/connection.py).

    def start_message(self) -> dict[str, object]:
        """The first message of a connection: a new session, or the one that we have."""
        message = self._options.start_message()
        if self._ready is not None:
            message["resume"] = {"token": self._ready.token, "have_revision": self._revision}
        return message

    async def next_message(self) -> bytes | str:
        """What to send next; waits until there is something."""
        while (item := self._outbox.next(self._max_message_bytes)) is None:
            await self._changed.wait()
        return item

    async def take(self, event: ServerEvent | None, text: str) -> Outcome | None:
        """An event of the current connection; an Outcome when the connection is to end with it."""
        if isinstance(event, Final | Speakers):
            if event.revision <= self._revision:
                return None  # repeated after a resume, and known
            self._revision = event.revision
        if self._tap is not None:
            self._tap(text)
        if event is None:
            return None
        self._note(event)
        await self._events.put(event)
        if isinstance(event, Done):
            return Outcome(done=True)
        if isinstance(event, Problem) and event.fatal and event.code not in _RETRIED:
            return Outcome(failure=LiveFailed(event.code, event.message, param=event.param))
        return None

    def _note(self, event: ServerEvent) -> None:
        """Take over what an event says of our side."""
        if isinstance(event, Ready):
            if self._ready is not None and not event.resumed:
                raise LiveFailed("session_unknown", "the server began a new session instead of resuming ours")
            self._ready = event
            self._max_message_bytes = max(1, min(event.max_message_bytes, _MESSAGE_BYTES))
            self._outbox.rewind(event.from_samples)
        elif isinstance(event, Ack):
            self._outbox.acknowledge(event.samples)
        elif isinstance(event, Mark):
            self._outbox.answered(("mark", event.id))
        elif isinstance(event, Flushed):
            self._outbox.answered(("flush", event.id or ""))
        elif isinstance(event, Speakers):
            for speaker in event.names:
                self._outbox.answered(("rename", str(speaker)))
        self._notify()
