"""A server of our own for a benchmark: a subprocess on a free port of the loopback, gone with the context."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from app.errors import SetupError

COMMAND = (sys.executable, "-m", "app.cli", "serve")
_ADDRESS = re.compile(rb"listening on http://([0-9.]+:\d+)")
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """address: host:port."""

    address: str
    pid: int

    @property
    def live_url(self) -> str:
        return f"ws://{self.address}/v1/live"

    def rss_bytes(self) -> int:
        """Memory that the server and its children hold now."""
        root = psutil.Process(self.pid)
        return sum(int(process.memory_info().rss) for process in (root, *root.children(recursive=True)))

    def cpu_s(self) -> float:
        """Processor seconds that the server has used."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def own_server(
    environment: Mapping[str, str], command: Sequence[str] = COMMAND, start_timeout_s: float = 120.0
) -> AsyncIterator[ServerProcess]:
    """Start it, wait until it listens, stop it. Raises SetupError with its last lines when it does not start."""
    process = await asyncio.create_subprocess_exec(
        *command, "--host", "127.0.0.1", "--port", "0", env=dict(environment), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    lines: list[bytes] = []
    try:
        try:
            async with asyncio.timeout(start_timeout_s):
                address = await _address(process.stderr, lines)
        except TimeoutError:
            raise SetupError(f"the server did not listen within {start_timeout_s:g} s") from None
        if address is None:
            raise SetupError(f"the server did not start: {b' '.join(lines[-3:]).decode(errors='replace')}")
        draining = asyncio.create_task(_drain(process.stderr))
        try:
            yield ServerProcess(address, process.pid)
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
    finally:
        await _stop(process)


async def _address(stream: asyncio.StreamReader, lines: list[bytes]) -> str | None:
    async for line in stream:
        lines.append(line.strip())
        found = _ADDRESS.search(line)
        if found:
            return found[1].decode()
    return None


async def _drain(stream: asyncio.StreamReader) -> None:
    """Keep reading, so that the server never waits for its log to be read; problems are passed on."""
    async for line in stream:
        if b"ERROR" in line or b"Traceback" in line or b"WARNING" in line:
            sys.stderr.write(line.decode(errors="replace"))


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
