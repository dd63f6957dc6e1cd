"""A recording's sound, whole or one range of it (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi.responses import Response, StreamingResponse

from app.errors import BlobMissing
from app.jobs.store import Store
from app.jobs.types import Job


def audio_response(store: Store, job: Job, header: str | None) -> Response:
    """Blocks for a look whether it is there. Raises BlobMissing. A header that is no single range is ignored."""
    if job.blob is None or not store.blobs.exists(job.blob.id):
        raise BlobMissing("the recording's sound is deleted")
    size = job.blob.size
    span = byte_range(header, size)
    # A file that a user uploaded must never be run as a page of ours.
    headers = {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    if span is not None and span[0] >= span[1]:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    start, end = span or (0, size)
    headers |= {"Content-Length": str(end - start)}
    if span is not None:
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return _stream(store, job.blob.id, (start, end), headers, job.media_type)


def _stream(
    store: Store, blob_id: str, span: tuple[int, int], headers: Mapping[str, str], media_type: str
) -> StreamingResponse:
    whole = "Content-Range" not in headers
    status = HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT
    kind = media_type if media_type.startswith(("audio/", "video/")) else "application/octet-stream"
    return StreamingResponse(store.blobs.read(blob_id, *span), status, dict(headers), kind)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [start, end) that are asked for, empty when they lie outside; None = all."""
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", (header or "").strip())
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size
