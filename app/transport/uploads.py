"""The body of a multipart request -> its fields, and its file on disk. Nothing larger than one field is ever in memory.

Parsing is python-multipart's; this file puts limits on it (RFC 7578).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.errors import OutputError
from app.transport.problems import ClientGone, HttpProblem

if TYPE_CHECKING:  # the library defines it for type checkers alone
    from python_multipart.multipart import MultipartCallbacks

FILE_FIELD = "file"
MAX_FIELDS = 1_000
_PLAIN_FORM = b"application/x-www-form-urlencoded"
STALE_AFTER_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """max_file_bytes: of the file; max_field_bytes: of any other field; stall_timeout_s: longest silence."""

    max_file_bytes: int
    max_field_bytes: int
    stall_timeout_s: float

    @property
    def max_fields_bytes(self) -> int:
        """Of all other fields together: room for four large ones (four voices), the most that OpenAI's wire has."""
        return 4 * self.max_field_bytes

    @property
    def max_body_bytes(self) -> int:
        return self.max_file_bytes + 2 * self.max_fields_bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A request read to its end. fields: (name, value) in the order sent; file: on disk, None when none was sent."""

    fields: tuple[tuple[str, str], ...]
    file: Path | None
    file_name: str


@asynccontextmanager
async def receive_form(request: Request, limits: UploadLimits, directory: Path) -> AsyncIterator[Form]:
    """Read a multipart body; its file lies in `directory` until the context ends.

    Raises HttpProblem (too large, malformed, stalled), OutputError when the file cannot be written, ClientGone.
    """
    boundary = _boundary(request)
    _check_declared_size(request, limits)
    path, sink = await asyncio.to_thread(make_file, directory)
    try:
        with storing(sink):
            parts = _Parts(limits)
            await _read(request, parts, boundary, sink)
        yield Form(tuple(parts.fields), path if parts.has_file else None, parts.file_name)
    finally:
        # Not awaited in a thread: a request that is being cancelled must not leave its file behind.
        path.unlink(missing_ok=True)


@asynccontextmanager
async def receive_any_form(request: Request, limits: UploadLimits, directory: Path) -> AsyncIterator[Form]:
    """The same, also of a form without a file that is sent as `application/x-www-form-urlencoded`."""
    if not may_hold_file(request):
        yield Form(await _plain_fields(request, limits), None, "")
        return
    async with receive_form(request, limits, directory) as form:
        yield form


def may_hold_file(request: Request) -> bool:
    """Whether the body is a form of the kind that can hold a file."""
    kind, _ = parse_options_header(request.headers.get("content-type"))
    return kind != _PLAIN_FORM


def sweep(directory: Path, older_than_s: float = STALE_AFTER_S) -> int:
    """Delete uploads that a killed server left behind; returns how many. Fresh ones may belong to another process."""
    removed = 0
    for path in directory.glob("upload-*.part") if directory.is_dir() else ():
        if time.time() - path.stat().st_mtime > older_than_s:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def make_file(directory: Path) -> tuple[Path, BinaryIO]:
    """A new file for what comes in; `sweep` knows its name. Raises OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(".part", "upload-", directory)
    except OSError as error:
        raise OutputError(f"the upload cannot be stored: {error.strerror}") from error
    return Path(name), os.fdopen(descriptor, "wb")


@contextmanager
def storing(sink: BinaryIO) -> Iterator[None]:
    """For as long as a file is written to; it is closed then, which writes what was buffered. Raises OutputError."""
    try:
        with sink:
            yield
    except OSError as error:
        raise OutputError(f"the upload cannot be stored: {error.strerror}") from error


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise HttpProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            f"the body must be multipart/form-data, not {kind.decode('latin-1') or 'nothing'}",
        )
    if not options.get(b"boundary"):
        raise _malformed("the Content-Type names no boundary")
    return options[b"boundary"]


def _check_declared_size(request: Request, limits: UploadLimits) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.max_body_bytes:
        raise too_large(FILE_FIELD, limits.max_file_bytes)


async def read_body(request: Request, limits: UploadLimits, max_bytes: int) -> bytes:
    """A body that is no upload, whole. Raises HttpProblem (too large, stalled), ClientGone."""
    body = bytearray()
    try:
        async with asyncio.timeout(limits.stall_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise too_large("the body", max_bytes)
    except TimeoutError as error:
        raise stalled() from error
    except ClientDisconnect as error:
        raise ClientGone from error
    return bytes(body)


async def _plain_fields(request: Request, limits: UploadLimits) -> tuple[tuple[str, str], ...]:
    body = await read_body(request, limits, limits.max_fields_bytes)
    try:
        text = body.decode("ascii")
        return tuple(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise _malformed(str(error)) from error


async def _read(request: Request, parts: _Parts, boundary: bytes, sink: BinaryIO) -> None:
    stream = request.stream()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        while True:
            async with asyncio.timeout(parts.limits.stall_timeout_s):
                chunk = await anext(stream, b"")
            if not chunk:
                break
            parser.write(chunk)
            if parts.pending:
                await asyncio.to_thread(sink.write, parts.take_pending())
        parser.finalize()
    except TimeoutError as error:
        raise stalled() from error
    except ClientDisconnect as error:
        raise ClientGone from error
    except FormParserError as error:
        raise _malformed(str(error)) from error
    if not parts.complete:
        raise _malformed("the body ends before its closing boundary")


class _Parts:
    """Gathers what the parser reports. The file's bytes wait in `pending` until the caller has written them."""

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        self.fields: list[tuple[str, str]] = []
        self.has_file = False
        self.file_name = ""
        self.complete = False
        self.pending = bytearray()
        self._header = (bytearray(), bytearray())
        self._disposition = ""
        self._name = ""
        self._in_file = False
        self._value = bytearray()
        self._fields_bytes = 0
        self._file_bytes = 0

    def callbacks(self) -> MultipartCallbacks:
        """The parser's callbacks by its names."""
        return {
            "on_part_begin": self._on_part_begin,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_end": self._on_end,
        }

    def take_pending(self) -> bytes:
        data = bytes(self.pending)
        self.pending.clear()
        return data

    def _on_part_begin(self) -> None:
        self._disposition = ""
        self._value = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value.decode("latin-1")
        name.clear()
        value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise _malformed("a part has no name")
        self._name = options[b"name"].decode("utf-8", "replace")
        # Some clients send the file without a file name; by its field name it is the file all the same.
        self._in_file = self._name == FILE_FIELD
        if self._in_file:
            if self.has_file:
                raise _malformed("more than one file was sent", FILE_FIELD)
            self.has_file = True
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        elif len(self.fields) >= MAX_FIELDS:
            raise _malformed(f"more than {MAX_FIELDS} fields were sent")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self._in_file:
            self._file_bytes += size
            if self._file_bytes > self.limits.max_file_bytes:
                raise too_large(FILE_FIELD, self.limits.max_file_bytes)
            self.pending += data[start:end]
            return
        self._fields_bytes += size
        if len(self._value) + size > self.limits.max_field_bytes or self._fields_bytes > self.limits.max_fields_bytes:
            raise too_large(self._name, self.limits.max_field_bytes)
        self._value += data[start:end]

    def _on_part_end(self) -> None:
        if not self._in_file:
            self.fields.append((self._name, self._value.decode("utf-8", "replace")))

    def _on_end(self) -> None:
        self.complete = True


def stalled() -> HttpProblem:
    """What a client that sends no more is answered with."""
    return HttpProblem(HTTPStatus.REQUEST_TIMEOUT, "upload_stalled", "the upload stopped half-way")


def _malformed(message: str, param: str | None = None) -> HttpProblem:
    return HttpProblem(HTTPStatus.BAD_REQUEST, "body_malformed", f"the body cannot be read: {message}", param)


def too_large(field: str, limit_bytes: int) -> HttpProblem:
    """What a body or a field beyond its limit is answered with."""
    message = f"{field!r} is larger than the limit of {limit_bytes} bytes"
    return HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "upload_too_large", message, field)
