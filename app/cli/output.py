"""Transcripts -> stdout, or files that appear whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.cli.failures import ReaderGone
from app.core.types import TranscriptView
from app.errors import OutputError
from app.formats import FORMATS, ctm, rttm, seglst

_WITH_SESSION: Mapping[str, Callable[..., str]] = {"rttm": rttm.render, "ctm": ctm.render, "seglst": seglst.render}


def render(view: TranscriptView, name: str, source: Path) -> str:
    """The transcript in a format; the formats that name their recording get the file's name without its ending."""
    if name in _WITH_SESSION:
        return _WITH_SESSION[name](view, session_id=source.stem)
    return FORMATS[name].render(view)


def target(directory: Path, source: Path, name: str) -> Path:
    """Where the transcript of `source` goes: `meeting.wav` -> `DIR/meeting.srt`."""
    return directory / f"{source.stem}{FORMATS[name].extension}"


def clashes(sources: Sequence[Path]) -> tuple[Path, Path] | None:
    """Two inputs whose transcripts would get the same name, if there are such."""
    seen: dict[str, Path] = {}
    for source in sources:
        other = seen.setdefault(source.stem, source)
        if other is not source:
            return other, source
    return None


def make_directory(directory: Path) -> None:
    """Raises OutputError when it cannot be made."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: {error.strerror}", param="output") from error


def write_file(path: Path, text: str | bytes) -> None:
    """Write beside the target, sync, then rename: a full disk leaves what was there before. Raises OutputError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as file:
                file.write(_bytes(text))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", param="output") from error


def write_stdout(text: str | bytes) -> None:
    """Write bytes as they are and text as UTF-8, whatever the terminal's locale. Raises OutputError, ReaderGone."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(_bytes(text))
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        _silence_stdout()
        raise ReaderGone from error
    except OSError as error:
        _silence_stdout()
        raise OutputError(f"standard output: {error.strerror}") from error


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _silence_stdout() -> None:
    # The interpreter flushes stdout once more when it ends, and would complain about the same thing again.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
