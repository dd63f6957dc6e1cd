"""A live server without models, by the book of docs/live-protocol.md: it hears a scripted meeting as sound comes in.

The clock is the sound: a word of the script is shown as soon as sound up to its end has come, and its segment is final
a second after its end. `FakeLive.drop()` cuts every connection without a goodbye, as a network does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from app.transport import pages

RIGHT_CONTEXT_S = 1.0
SPEED = 3
"""The scripted people speak so much faster than the sound that stands for them: tests need not wait for real time."""


@dataclass(frozen=True)
class Said:
    """A segment of the script."""

    speaker: int
    start: float
    end: float
    text: str


MEETING = (
    Said(0, 0.3, 2.6, "Good morning everyone, shall we look at the numbers first?"),
    Said(1, 2.9, 5.4, "Yes, and then the plan for the spring release."),
    Said(0, 5.2, 7.0, "Before that, one question about the budget."),
    Said(2, 5.6, 7.4, "Sorry, I was late, did you start?"),
    Said(1, 7.8, 9.5, "Just now."),
)


@dataclass
class Session:
    """What survives a connection."""

    name: str
    received: int = 0
    revision: int = 0
    events: list = field(default_factory=list)
    names: dict = field(default_factory=dict)
    finals: dict = field(default_factory=dict)
    starts: list = field(default_factory=list)
    marks: list = field(default_factory=list)
    viewers: list = field(default_factory=list)


class FakeLive:
    """The server; `app` is its ASGI app, with the real pages."""

    def __init__(self, script: Sequence[Said] = MEETING, speed: float = SPEED) -> None:
        self.speed = speed
        self.script = script
        self.sessions: dict[str, Session] = {}
        self.refuse = False
        self._sockets: list[WebSocket] = []
        self.app = FastAPI(openapi_url=None)
        self.app.include_router(pages.make_router())
        self.app.add_api_route("/v1/models", lambda: {"data": []}, methods=["GET"])
        self.app.add_api_websocket_route("/v1/live", self._live)
        self.app.add_api_websocket_route("/v1/live/{name}/view", self._view)

    def segment(self, index: int, until_s: float = 1e9) -> dict:
        """A segment of the script as the wire shows it, with the words that end by `until_s`."""
        said = self.script[index]
        words = said.text.split()
        step = (said.end - said.start) / len(words)
        timed = [
            {"text": word, "start": said.start + i * step, "end": said.start + (i + 1) * step, "confidence": 0.9}
            for i, word in enumerate(words)
        ]
        timed = [word for word in timed if word["end"] <= until_s + 1e-6]
        other = [it for it in self.script if it.speaker != said.speaker]
        return {
            "id": f"s{index}",
            "speaker": said.speaker,
            "start": said.start,
            "end": timed[-1]["end"] if timed else said.start,
            "text": " ".join(word["text"] for word in timed),
            "words": timed,
            "flags": [],
            "overlaps": any(it.start < said.end and said.start < it.end for it in other),
        }

    async def drop(self) -> None:
        """Cut all connections."""
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            await socket.close(1012)

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()
        if self.refuse:
            await socket.close(1013)
            return
        start = json.loads(await socket.receive_text())
        resume = start.get("resume")
        if resume and resume["token"] not in self.sessions:
            await socket.close(4003, "unknown session")
            return
        name = resume["token"] if resume else f"session-{len(self.sessions)}"
        session = self.sessions.setdefault(name, Session(name))
        session.starts.append(start)
        self._sockets.append(socket)
        await self._ready(socket, session, resume)
        try:
            await self._serve(socket, session)
        except (WebSocketDisconnect, RuntimeError):
            return  # cut by the page or by `drop`

    async def _ready(self, socket: WebSocket, session: Session, resume: dict | None) -> None:
        limits = {"max_message_bytes": 65536, "max_ahead_s": 30, "idle_timeout_s": 60, "max_duration_s": 36000}
        ready = {"type": "ready", "version": 1, "session": session.name, "token": session.name, "share": "s/h&a=re"}
        ready |= {"resumed": resume is not None, "from_samples": session.received, "sample_rate": 16000}
        await socket.send_json(ready | {"limits": limits, "revision": session.revision})
        for event in session.events:
            if resume and event["revision"] > resume["have_revision"]:
                await socket.send_json(event)

    async def _serve(self, socket: WebSocket, session: Session) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                session.received += len(message["bytes"]) // 2
                await self._hear(socket, session, session.received / 16000 * self.speed)
                continue
            value = json.loads(message["text"])
            if value["type"] == "rename":
                session.names[str(value["speaker"])] = value["name"]
                await self._say(session, socket, "speakers", segments={}, names={str(value["speaker"]): value["name"]})
            elif value["type"] == "flush":
                await self._hear(socket, session, session.received / 16000 * self.speed, tail=True)
                await self._say(session, socket, "flushed", id=value["id"])
            elif value["type"] == "stop":
                await self._hear(socket, session, session.received / 16000 * self.speed, tail=True)
                done = {
                    "duration_s": session.received / 16000 * self.speed,
                    "segments": len(session.finals),
                    "warnings": [],
                }
                await self._say(session, socket, "done", **done)
                await socket.close(1000)
                return

    async def _hear(self, socket: WebSocket, session: Session, now_s: float, *, tail: bool = False) -> None:
        tentative = []
        for index, said in enumerate(self.script):
            segment = self.segment(index, now_s)
            if segment["id"] in session.finals or not segment["words"]:
                continue
            if tail or said.end + RIGHT_CONTEXT_S <= now_s:
                session.finals[segment["id"]] = segment
                await self._say(session, socket, "final", segment=segment)
            else:
                tentative.append(segment | {"id": f"open-{index}"})
        await self._say(session, socket, "partial", segments=tentative)
        await self._say(session, socket, "ack", samples=max(0, session.received - 16000))

    async def _view(self, socket: WebSocket, name: str, share: str) -> None:
        await socket.accept()
        if share != "s/h&a=re" or name not in self.sessions:
            await socket.close(4003, "no such session")
            return
        session = self.sessions[name]
        common = {"revision": session.revision}
        await socket.send_json({"type": "ready", "version": 1, "session": name, "sample_rate": 16000} | common)
        finals = list(session.finals.values())
        await socket.send_json({"type": "snapshot", "segments": finals, "names": session.names} | common)
        session.viewers.append(socket)
        self._sockets.append(socket)
        try:
            while True:
                await socket.receive_text()
        except (WebSocketDisconnect, RuntimeError):
            if socket in session.viewers:
                session.viewers.remove(socket)

    async def _say(self, session: Session, socket: WebSocket, kind: str, **fields) -> None:
        lasting = kind in {"final", "speakers"}
        session.revision += lasting
        event = {"type": kind, "revision": session.revision} | fields
        if lasting:
            session.events.append(event)
        await socket.send_json(event)
        if kind in {"final", "speakers", "partial", "done"}:
            for viewer in list(session.viewers):
                await viewer.send_json(event)
