"""A file -> a session's updates: what the command line, REST and the benchmark do alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.audio import AudioLimits, Spool, aopen_recording
from app.core.types import Frames, TranscriptView
from app.engine.base import Engine
from app.session import Finished, Session, SessionOptions, Update

Heard = Callable[[int], Awaitable[None]]
"""Told how many samples (16 kHz) were decoded, as they are; what it raises ends the work."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Who does the work and where: the engine, what is accepted, and the folder for sound while a session runs."""

    engine: Engine
    limits: AudioLimits
    spools: Path


async def follow(
    place: Workplace, path: Path, options: SessionOptions, channel: int | None = None, heard: Heard | None = None
) -> AsyncIterator[Update]:
    """Transcribe a file, or one channel of it, and give the updates.

    What was wrong with the recording stands in the finished transcript's warnings. Raises what the recording, the
    engine and the disk raise (app/errors.py), and what `heard` raises.
    """
    recording = await aopen_recording(path, place.limits, channel=channel)
    with recording, Spool(place.spools) as spool:
        async for update in Session(place.engine, options, spool).run(_counted(recording.aframes(), heard)):
            if isinstance(update, Finished):
                warnings = (*update.view.warnings, *(str(warning) for warning in recording.warnings))
                yield Finished(replace(update.view, warnings=warnings))
            else:
                yield update


async def transcribe_file(
    place: Workplace,
    path: Path,
    options: SessionOptions,
    on_update: Callable[[Update], None] | None = None,
    channel: int | None = None,
    heard: Heard | None = None,
) -> TranscriptView:
    """The same to its end; `on_update` sees every update as it comes."""
    view: TranscriptView | None = None
    async for update in follow(place, path, options, channel, heard):
        if on_update is not None:
            on_update(update)
        if isinstance(update, Finished):
            view = update.view
    if view is None:
        raise RuntimeError("a session ended without its transcript")
    return view


async def _counted(frames: AsyncIterator[Frames], heard: Heard | None) -> AsyncIterator[Frames]:
    async for part in frames:
        if heard is not None:
            await heard(len(part.samples))
        yield part
