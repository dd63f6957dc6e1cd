"""A live server without models, by the book of docs/live-protocol.md: every whole word of sound becomes a final.

A "word" is WORD_BYTES bytes; its text is their checksum, so that a byte lost, doubled or moved shows in the text.
Several servers share a `Store`, as replicas do. Behaviour is scripted by `Faults`.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

WORD_BYTES = 1600


@dataclass
class Session:
    """What survives a server."""

    received: bytearray = field(default_factory=bytearray)
    finals: list = field(default_factory=list)
    revision: int = 0
    connections: int = 0
    starts: list = field(default_factory=list)


@dataclass
class Store:
    sessions: dict[str, Session] = field(default_factory=dict)


@dataclass
class Faults:
    """drop_after: the connection is cut, without a goodbye, when so many words stand (each number once).
    forget_words: so many of the newest words are not in the store when a connection ends.
    goaway_after: `goaway` (drain) when so many words stand.
    unreadable: so many times a session that comes back is refused, as if another build had written its state.
    """

    drop_after: list[int] = field(default_factory=list)
    goaway_after: list[int] = field(default_factory=list)
    forget_words: int = 0
    unreadable: int = 0
    repeat: bool = False
    ack: bool = True


def segment(number: int, text: str) -> dict:
    return {
        "id": f"s{number}",
        "speaker": number % 2,
        "start": number * 0.05,
        "end": number * 0.05 + 0.05,
        "text": text,
        "words": [{"text": text, "start": number * 0.05, "end": number * 0.05 + 0.05, "confidence": 0.9, "later": 1}],
        "flags": [],
        "overlaps": False,
        "later": "unknown fields are to be ignored",
    }


def words_of(sound: bytes) -> list[str]:
    """The texts that the server writes for all of `sound`, the tail included."""
    return [f"{zlib.crc32(sound[at : at + WORD_BYTES]):08x}" for at in range(0, len(sound), WORD_BYTES)]


class Server:
    """One replica."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults
        self.connected = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, socket) -> None:
        start = json.loads(await socket.recv())
        resume = start.get("resume")
        if resume is None:
            name = f"session-{len(self.store.sessions)}"
            session = self.store.sessions[name] = Session()
            have = 0
        else:
            name, have = resume["token"], resume["have_revision"]
            session = self.store.sessions.get(name)
            if session is None:
                await socket.close(4003, "unknown")
                return
            if self.faults.unreadable:
                self.faults.unreadable -= 1
                await self._say(socket, session, "error", code="snapshot_invalid", message="another build", fatal=True)
                await socket.close(1012, "snapshot_invalid")
                return
        session.connections += 1
        self.connected.set()
        session.starts.append(start)
        if session.connections > 1 and self.faults.forget_words:
            kept = max(0, len(session.finals) - self.faults.forget_words)
            kept = max(kept, sum(1 for revision, _ in session.finals if revision <= have))
            del session.finals[kept:]
            del session.received[kept * WORD_BYTES :]
            session.revision = max((revision for revision, _ in session.finals), default=session.revision)
        await self._say(
            socket,
            session,
            "ready",
            session=name,
            token=name,
            share="x",
            resumed=resume is not None,
            version=1,
            sample_rate=16000,
            from_samples=len(session.received) // 2,
            limits={"max_message_bytes": 1000, "max_ahead_s": 9, "idle_timeout_s": 9, "max_duration_s": 9},
        )
        for revision, value in session.finals:
            if revision > have or self.faults.repeat:
                await socket.send(json.dumps({"type": "final", "revision": revision, "segment": value}))
        with suppress(ConnectionClosed):
            await self._serve(socket, session)

    async def _serve(self, socket, session: Session) -> None:
        async for message in socket:
            await self.gate.wait()
            if isinstance(message, bytes):
                session.received += message
                await self._write(socket, session)
                if await self._fault(socket, session):
                    return
                continue
            value = json.loads(message)
            kind = value["type"]
            if kind == "mark":
                await self._say(socket, session, "mark", id=value["id"])
            elif kind == "flush":
                await self._write(socket, session, tail=True)
                await self._say(socket, session, "flushed", id=value["id"])
            elif kind == "rename":
                session.revision += 1
                await self._say(socket, session, "speakers", segments={}, names={str(value["speaker"]): value["name"]})
            elif kind == "stop":
                await self._write(socket, session, tail=True)
                await self._say(socket, session, "done", duration_s=1.0, segments=len(session.finals), warnings=[])
                await socket.close(1000)
                return

    async def _write(self, socket, session: Session, *, tail: bool = False) -> None:
        whole = len(session.received) // WORD_BYTES
        if tail and len(session.received) % WORD_BYTES:
            whole += 1
        while len(session.finals) < whole:
            number = len(session.finals)
            text = words_of(bytes(session.received[number * WORD_BYTES : (number + 1) * WORD_BYTES]))[0]
            session.revision += 1
            session.finals.append((session.revision, segment(number, text)))
            await self._say(socket, session, "final", segment=session.finals[-1][1])
            await self._say(socket, session, "partial", segments=[])
            safe = max(0, len(session.finals) - self.faults.forget_words)
            if self.faults.ack:
                await self._say(socket, session, "ack", samples=safe * WORD_BYTES // 2)

    async def _fault(self, socket, session: Session) -> bool:
        words = len(session.finals)
        if self.faults.drop_after and words >= self.faults.drop_after[0]:
            self.faults.drop_after.pop(0)
            socket.transport.abort()
            return True
        if self.faults.goaway_after and words >= self.faults.goaway_after[0]:
            self.faults.goaway_after.pop(0)
            await self._say(socket, session, "goaway", reason="drain", within_s=1.0)
            await socket.close(1001)
            return True
        return False

    async def _say(self, socket, state: Session, kind: str, **fields) -> None:
        await socket.send(json.dumps({"type": kind, "revision": state.revision, "later": True} | fields))


@asynccontextmanager
async def running(store: Store, faults: Faults | None = None):
    """(url, Server) of a replica on a free port."""
    server = Server(store, faults or Faults())
    async with serve(server.handle, "127.0.0.1", 0, close_timeout=0.5) as listening:
        port = listening.sockets[0].getsockname()[1]
        try:
            yield f"ws://127.0.0.1:{port}/v1/live", server
        finally:
            server.gate.set()
