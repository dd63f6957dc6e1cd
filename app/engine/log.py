"""The log of an engine's answers for one recording: what a replay reads, and what a broken run goes on from.

In: records by key (step, index). Out: the same records; the first one written under a key stands for ever. Kinds:
`MemoryLog`, and `FileLog`, a file of JSON lines:

    {"kind": "engine_log", "version": 1}
    {"step": "diarize", "index": 0, "fingerprint": "...", "crc32": 123, "payload": "..."}

A record is one line, written at once and synced. A last line without its end is what a crash leaves: it is cut off at
the next opening. A damaged line before the last is an error.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from filelock import FileLock as ProcessLock
from filelock import Timeout

from app.engine.strict_json import Fields, WireInvalid, parse
from app.errors import EngineClosed, EngineFailed, FileUnreadable, OutputError

_LOG = logging.getLogger(__name__)
VERSION = 1
_KIND = "engine_log"
_HEADER = json.dumps({"kind": _KIND, "version": VERSION}).encode() + b"\n"

Step = Literal["spec", "diarize", "decode"]


@dataclass(frozen=True, slots=True)
class Key:
    """Which answer: `spec` (index 0), or the window or decode request of that index."""

    step: Step
    index: int

    def __str__(self) -> str:
        return f"{self.step} {self.index}"


@dataclass(frozen=True, slots=True)
class Record:
    """An answer as bytes (`wire.py`; ASCII), and the fingerprint of the request that it answers."""

    fingerprint: str
    payload: bytes


class ResultLog(Protocol):
    """Answers of one recording. All methods raise EngineClosed after `aclose`, and EngineFailed when storage fails."""

    async def get(self, key: Key) -> Record | None:
        """The record under a key; None = a gap."""

    async def put(self, key: Key, record: Record) -> Record:
        """Write a record unless there is one; return the one that stands. Durable when this returns."""

    async def aclose(self) -> None:
        """Free what is held. May be called again."""


class MemoryLog:
    """A ResultLog that lives as long as the process."""

    def __init__(self, records: dict[Key, Record] | None = None) -> None:
        """records: kept and written to, so that a second log over them goes on where this one ended."""
        self._records: dict[Key, Record] = {} if records is None else records
        self._closed = False

    async def get(self, key: Key) -> Record | None:
        """See ResultLog."""
        self._check_open()
        return self._records.get(key)

    async def put(self, key: Key, record: Record) -> Record:
        """See ResultLog."""
        self._check_open()
        return self._records.setdefault(key, record)

    async def aclose(self) -> None:
        """See ResultLog."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("the log of answers is closed")


class FileLog:
    """A ResultLog in a file. Holds the places of the records in memory, not the records.

    writable: one holder at a time, over all processes (`<path>.lock`). Read-only needs no permission to write and
    passes over a torn last line.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """Open a log, or start one where there is none (writable only).

        Raises:
            FileUnreadable: the file is missing (read-only) or cannot be read.
            OutputError: the file cannot be made or written, or it is held already.
            EngineFailed: the file is no log of this version, or a line before its last is damaged.
        """
        self._path = path
        self._writable = writable
        self._mutex = threading.Lock()
        self._places: dict[Key, tuple[int, int]] = {}
        with ExitStack() as held:
            if writable:
                held.callback(_hold(path).release)
            self._file = held.enter_context(_open(path, writable))
            self._end = self._scan()
            self._held = held.pop_all()

    async def get(self, key: Key) -> Record | None:
        """See ResultLog."""
        return await asyncio.to_thread(self._get, key)

    async def put(self, key: Key, record: Record) -> Record:
        """See ResultLog."""
        return await asyncio.to_thread(self._put, key, record)

    async def aclose(self) -> None:
        """See ResultLog."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the file, once a record being written is done. May be called again."""
        with self._mutex:
            self._held.close()

    def _get(self, key: Key) -> Record | None:
        with self._mutex:
            self._check_open()
            place = self._places.get(key)
            return None if place is None else self._read(key, place)

    def _put(self, key: Key, record: Record) -> Record:
        with self._mutex:
            self._check_open()
            place = self._places.get(key)
            if place is not None:
                return self._read(key, place)
            if not self._writable:
                raise EngineFailed(f"{self._path} is open read-only; {key} cannot be added")
            line = _line(key, record)
            self._append(line)
            self._places[key] = (self._end - len(line), len(line))
            return record

    def _check_open(self) -> None:
        if self._file.closed:
            raise EngineClosed(f"the log of answers {self._path} is closed")

    def _read(self, key: Key, place: tuple[int, int]) -> Record:
        start, size = place
        try:
            self._file.seek(start)
            line = self._file.read(size)
            found, record = _parse_line(line)
        except (OSError, WireInvalid) as error:
            raise EngineFailed(f"{self._path}: the record of {key} cannot be read any more: {error}") from error
        if found != key:
            raise EngineFailed(f"{self._path}: the record of {key} was replaced by one of {found}")
        return record

    def _append(self, line: bytes) -> None:
        """Write a whole line or nothing."""
        try:
            self._file.seek(self._end)
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._cut(self._end)
            raise EngineFailed(f"{self._path} cannot be written: {error.strerror or error}") from error
        self._end += len(line)

    def _cut(self, end: int) -> None:
        try:
            self._file.truncate(end)
        except OSError as error:
            # What is left behind is a torn last line, and the next record is written over it.
            _LOG.warning("%s: a half-written record could not be cut off: %s", self._path, error)

    def _scan(self) -> int:
        """Find all records; return where the next one goes. Starts or repairs the file where it is writable."""
        end = 0
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    self._note(line, end)
                except WireInvalid as error:
                    if lines.read(1):
                        raise EngineFailed(f"{self._path} is damaged at byte {end}: {error}") from error
                    self._mend(end, error)
                    break
                end += len(line)
        if end == 0 and self._writable:
            self._end = 0
            self._append(_HEADER)
            end = self._end
        return end

    def _note(self, line: bytes, start: int) -> None:
        """Take one line into the index. Raises WireInvalid."""
        if not line.endswith(b"\n"):
            raise WireInvalid("the line has no end")
        if start == 0:
            _check_header(line)
            return
        key, _ = _parse_line(line)
        self._places.setdefault(key, (start, len(line)))

    def _mend(self, end: int, error: WireInvalid) -> None:
        """Cut off a last line that is not whole. Where it is the only line, it must be the beginning of a header."""
        self._file.seek(end)
        if end == 0 and not _HEADER.startswith(self._file.read(len(_HEADER) + 1)):
            raise EngineFailed(f"{self._path} is no log of answers of version {VERSION}: {error}") from error
        _LOG.warning("%s: the last record is not whole and is left out: %s", self._path, error)
        if self._writable:
            self._file.truncate(end)


def _hold(path: Path) -> ProcessLock:
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be made: its folder is missing")
    lock = ProcessLock(path.with_name(path.name + ".lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"{path} is in use already") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    return lock


def _open(path: Path, writable: bool) -> io.FileIO:
    """The file, unbuffered, made where it is missing and may be."""
    try:
        if writable:
            path.touch()
        return io.FileIO(path, "r+b" if writable else "rb")
    except FileNotFoundError as error:
        raise FileUnreadable(f"{path} is missing") from error
    except OSError as error:
        kind = OutputError if writable else FileUnreadable
        raise kind(f"{path} cannot be opened: {error.strerror or error}") from error


def _check_header(line: bytes) -> None:
    fields = parse("header", line)
    kind, version = fields.text("kind"), fields.integer("version")
    fields.done()
    if (kind, version) != (_KIND, VERSION):
        raise WireInvalid(f"kind {kind!r}, version {version}; this program reads {_KIND!r}, version {VERSION}")


def _line(key: Key, record: Record) -> bytes:
    fields = {
        "step": key.step,
        "index": key.index,
        "fingerprint": record.fingerprint,
        "crc32": zlib.crc32(record.payload),
        "payload": record.payload.decode("ascii"),
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _parse_line(line: bytes) -> tuple[Key, Record]:
    """Raises WireInvalid."""
    fields = parse("record", line)
    key = Key(fields.one("step", _step), fields.integer("index"))
    record = Record(fields.text("fingerprint"), _ascii(fields))
    crc32 = fields.integer("crc32")
    fields.done()
    if crc32 != zlib.crc32(record.payload):
        raise WireInvalid(f"the payload of {key} does not have its checksum")
    return key, record


def _step(where: str, raw: object) -> Step:
    if raw == "spec" or raw == "diarize" or raw == "decode":
        return raw
    raise WireInvalid(f"{where} must be spec, diarize or decode, is {raw!r}")


def _ascii(fields: Fields) -> bytes:
    try:
        return fields.text("payload").encode("ascii")
    except UnicodeEncodeError as error:
        raise WireInvalid(f"the payload is not ASCII: {error}") from error
