"""How connections end that say what is no WebSocket, or no message of ours; and that all codes are documented."""

from __future__ import annotations

import asyncio
import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.transport.fuzz.mutants import wire
from tests.transport.live.talk import opened

ROOT = Path(__file__).parents[3]
CODES = {
    "no mask": (wire(1, b"{}", masked=False), 1002),
    "reserved bits": (wire(1, b"{}", rsv=4), 1002),
    "unknown opcode": (wire(3, b""), 1002),
    "a continuation of nothing": (wire(0, b"x"), 1002),
    "a message within another": (wire(2, b"x", fin=False) + wire(1, b"{}"), 1002),
    "a ping that is cut up": (wire(9, b"x", fin=False), 1002),
    "a ping that is too long": (wire(9, bytes(126)), 1002),
    "a code that nobody may send": (wire(8, struct.pack("!H", 1005)), 1002),
    "half a code": (wire(8, b"\x03"), 1002),
    "no UTF-8": (wire(1, b"\xff\xfe"), 1007),
    "a close whose reason is no UTF-8": (wire(8, b"\x03\xe8\xff\xff"), 1007),
    "no message of ours": (wire(1, b"null"), 1007),
    "a message that is too big": (wire(2, b"", claim=1 << 40), 1009),
}


@pytest.mark.parametrize("name", CODES)
def test_what_is_not_the_protocol(url, name):
    data, code = CODES[name]

    async def talk():
        async with connect(f"{url.replace('http', 'ws')}/v1/live", proxy=None, compression=None) as socket:
            await opened(socket)
            socket.transport.write(data)
            async with asyncio.timeout(30):
                with suppress(ConnectionClosed):
                    while True:
                        await socket.recv()
            return socket.close_code

    assert asyncio.run(talk()) == code


def test_the_documentation_names_every_code_that_is_sent():
    page = (ROOT / "docs/live-protocol.md").read_text().partition("## Close codes")[2].partition("## State machine")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d{4}) \|", page, re.M)}
    sent = {code for _, code in CODES.values()}
    for file in (ROOT / "app/transport/live").glob("*.py"):
        sent |= {int(it) for it in re.findall(r"\b(?:10[01]\d|400\d)\b", file.read_text())}
    sent -= {1005, 1006}  # what libraries say of ends without a code
    assert sent == documented
