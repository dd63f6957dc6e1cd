"""A plan carried out against a server: what it was told, and how it ended. Fails where nothing comes in time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.transport.fuzz.mutants import Plan, Raw

LIMIT_S = 120.0
"""Far beyond every time-out of the server: what takes longer hangs."""
_END = {"live": {"type": "stop"}, "listen": {"type": "CloseStream"}}
CUT = 1006


@dataclass(slots=True)
class Visit:
    """status: of a refused handshake; closed: code of the end, 1006 without one; mine: the client ended it; cut: the
    end came while it was sending; sent, mutants: frames"""

    plan: Plan
    status: int = 0
    body: str = ""
    closed: int = 0
    reason: str = ""
    mine: bool = False
    cut: bool = False
    sent: int = 0
    mutants: int = 0
    told: list[str] = field(default_factory=list)

    def events(self) -> list[dict]:
        """What the server said."""
        return [json.loads(text) for text in self.told]


async def visit(url: str, kind: str, plan: Plan) -> Visit:
    """One connection from its handshake to its end."""
    made = Visit(plan)
    address = f"{url}{'&' if '?' in url else '?'}{plan.query}" if plan.query else url
    try:
        async with asyncio.timeout(LIMIT_S):
            socket = await connect(address, proxy=None, compression=None, ping_interval=None, close_timeout=30)
            reading = asyncio.create_task(_read(socket, made))
            try:
                await _send(socket, kind, made, reading)
            finally:
                await reading
    except InvalidStatus as refused:
        made.status = refused.response.status_code
        made.body = bytes(refused.response.body or b"").decode()
    return made


async def _read(socket: ClientConnection, made: Visit) -> None:
    try:
        while True:
            made.told.append(str(await socket.recv()))
    except ConnectionClosed as closed:
        made.closed = closed.rcvd.code if closed.rcvd else CUT
        made.reason = closed.rcvd.reason if closed.rcvd else ""
        await socket.wait_closed()


async def _send(socket: ClientConnection, kind: str, made: Visit, reading: asyncio.Task[None]) -> None:
    try:
        for frame, mutant in made.plan.frames:
            if reading.done():
                made.cut = True
                return
            if isinstance(frame, Raw):
                socket.transport.write(frame.data)
            else:
                await socket.send(frame)
            made.sent += 1
            made.mutants += mutant
            await asyncio.sleep(0)
        if made.plan.end == "abort":
            made.mine = True
            socket.transport.abort()
        elif made.plan.end == "close":
            made.mine = True
            await socket.close(made.plan.code)
        else:
            await socket.send(json.dumps(_END[kind]))
    except ConnectionClosed:
        made.cut = True
