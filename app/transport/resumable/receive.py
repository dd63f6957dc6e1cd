"""The body of a part -> blobs of the upload. What has come is kept, also when the connection breaks in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request

from app.jobs.uploads import Upload
from app.transport.deps import Services
from app.transport.problems import ClientGone
from app.transport.uploads import make_file, stalled, storing, too_large

_WRITE_BYTES = 1024**2


class _End(Enum):
    """Why a blob is full."""

    MORE = "more may come"
    DONE = "the body is over"
    GONE = "the client is gone"
    STALLED = "the client is silent"


async def receive_part(request: Request, services: Services, upload: Upload) -> Upload:
    """Add the body to the upload; the upload after it. Memory for one MiB, whatever comes.

    Raises HttpProblem (longer than the rest of the file, stalled), ClientGone, UploadNotFound, UploadConflict,
    OutputError, StoreError. What came before stays but for a body that is too long.
    """
    room = upload.length - upload.received
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > room:
        raise too_large("the part", room)
    stream, end = request.stream(), _End.MORE
    while end is _End.MORE:
        upload, end = await _keep_some(stream, services, upload)
    if end is _End.GONE:
        raise ClientGone
    if end is _End.STALLED:
        raise stalled()
    return upload


async def _keep_some(stream: AsyncIterator[bytes], services: Services, upload: Upload) -> tuple[Upload, _End]:
    path, sink = await asyncio.to_thread(make_file, services.upload_dir)
    try:
        with storing(sink):
            size, end = await _fill(stream, sink, services, upload.length - upload.received)
        if size == 0:
            return upload, end
        blob = await asyncio.to_thread(services.store.blobs.put_file, path)
        ttl_s = services.uploads.ttl_s
        upload = await asyncio.to_thread(services.store.uploads.append, upload.id, upload.received, blob, ttl_s)
        return upload, end
    finally:
        # Not awaited in a thread: a request that is being cancelled must not leave its file behind.
        path.unlink(missing_ok=True)


async def _fill(stream: AsyncIterator[bytes], sink: BinaryIO, services: Services, room: int) -> tuple[int, _End]:
    """Bytes written, and why no more. Raises HttpProblem when more come than have room."""
    size, waiting, end = 0, bytearray(), _End.MORE
    while size < services.uploads.part_bytes:
        try:
            async with asyncio.timeout(services.upload_limits.stall_timeout_s):
                chunk = await anext(stream, b"")
        except TimeoutError:
            end = _End.STALLED
            break
        except ClientDisconnect:
            end = _End.GONE
            break
        if not chunk:
            end = _End.DONE
            break
        size += len(chunk)
        if size > room:
            raise too_large("the part", room)
        waiting += chunk
        if len(waiting) >= _WRITE_BYTES:
            await asyncio.to_thread(sink.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(sink.write, bytes(waiting))
    return size, end
