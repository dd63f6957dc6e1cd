"""What `crosstalk live` does: sound -> client -> captions or JSON lines, until the last word is written."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.audio import open_recording
from app.audio.pcm16 import pcm16_of
from app.cli.captions import Captions
from app.cli.microphone import open_microphone
from app.cli.output import write_stdout
from app.client import LiveClient, LiveFailed, LiveOptions
from app.client.auth import bearer
from app.client.pacing import send_paced
from app.settings import Settings
from app.wiring import audio_limits

_PIECE_BYTES = 3200
"""A tenth of a second: so soon Ctrl-C ends a file."""


@dataclass(frozen=True, slots=True)
class Show:
    """speed: of a file, 0 = as fast as accepted; as_json: the server's events instead of captions; api_key: None = no
    key is shown."""

    speed: float
    as_json: bool
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the sound comes from, and how to end it early."""

    sound: AsyncIterator[bytes]
    stop: Callable[[], None]


async def run_live(
    urls: tuple[str, ...], options: LiveOptions, file: Path | None, show: Show, settings: Settings
) -> None:
    """One session from its first sound to its last word.

    Raises:
        InputError: the file cannot be used. MicrophoneUnavailable, LiveFailed, ReaderGone.
        KeyboardInterrupt: asked to end a second time, before the last words had come.
    """
    with ExitStack() as held:
        source = held.enter_context(_source(file, settings))
        held.enter_context(_interrupts(source.stop))
        captions = None if show.as_json else held.enter_context(Captions())
        tap = _json_line if show.as_json else None
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(LiveClient(urls, options, headers=bearer(show.api_key), tap=tap))
            speed = 0.0 if file is None else show.speed
            feeding = asyncio.create_task(_feed(client, source.sound, options, speed))
            stack.push_async_callback(_ended, feeding)
            async for event in client:
                if captions is not None:
                    captions.show(event)
            await feeding


async def _feed(client: LiveClient, sound: AsyncIterator[bytes], options: LiveOptions, speed: float) -> None:
    """Send until the sound ends, then say so; also when it ends because the file is damaged."""
    try:
        try:
            await send_paced(client, sound, options.audio, speed)
        finally:
            await client.stop()
    except LiveFailed:
        return  # whoever reads the events is told the same


async def _ended(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextmanager
def _source(file: Path | None, settings: Settings) -> Iterator[_Source]:
    if file is None:
        with open_microphone() as microphone:
            yield _Source(microphone.sound(), microphone.stop)
        if microphone.lost_s:
            sys.stderr.write(f"warning: {microphone.lost_s:.1f} s of sound were left out: nobody took them\n")
        return
    with open_recording(file, audio_limits(settings)) as recording:
        ended = asyncio.Event()
        yield _Source(_until(ended, pcm16_of(recording)), ended.set)
    for warning in recording.warnings:
        sys.stderr.write(f"{file}: warning: {warning}\n")


async def _until(ended: asyncio.Event, sound: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for data in sound:
        for at in range(0, len(data), _PIECE_BYTES):
            if ended.is_set():
                return
            yield data[at : at + _PIECE_BYTES]


@contextmanager
def _interrupts(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C ends the sound, the second everything."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        stop()
        if asked > 1 and task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGINT, ask)
    try:
        yield
    except asyncio.CancelledError:
        if asked > 1:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _json_line(text: str) -> None:
    write_stdout(text + "\n")
