"""The routes of `/v1/uploads`: make an upload, ask how far it is, send what is missing, drop it (tus 1.0)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from app.errors import OptionInvalid, UploadNotFound
from app.jobs.uploads import Upload, check_open
from app.transport.access.routes import IdentityDep
from app.transport.deps import ServicesDep
from app.transport.problems import HttpProblem
from app.transport.recordings.upload import file_name
from app.transport.resumable import headers
from app.transport.resumable.receive import receive_part
from app.transport.uploads import too_large

_ID = re.compile(r"upl_[0-9a-f]{32}")
_BYTES = {"type": "string", "format": "binary"}
_PART = {"requestBody": {"required": True, "content": {headers.PART_TYPE: {"schema": _BYTES}}}}

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
_checked = [Depends(headers.check_version)]


class UploadBody(BaseModel):
    """A file that comes in parts. recording: what was made of it, null = nothing yet; times in Unix seconds."""

    id: str
    length_bytes: int
    received_bytes: int
    file_name: str
    created_at: float
    expires_at: float
    recording: str | None


def known_upload(upload_id: str, services: ServicesDep, who: IdentityDep) -> Upload:
    """The upload that a path names, of the tenant who asks. Raises UploadNotFound."""
    if not _ID.fullmatch(upload_id):
        raise UploadNotFound("there is no such upload")
    return services.store.uploads.get(upload_id, who.tenant)


UploadDep = Annotated[Upload, Depends(known_upload)]


@router.options("", status_code=204)
def describe_uploads(services: ServicesDep, response: Response) -> None:
    """Which version and extensions of tus there are, and the largest file."""
    response.headers.update(headers.offered(services.upload_limits.max_file_bytes))


@router.post("", status_code=201, dependencies=_checked)
def create_upload(
    services: ServicesDep,
    who: IdentityDep,
    response: Response,
    upload_length: headers.Length = None,
    upload_metadata: headers.Metadata = "",
    upload_concat: Annotated[str, Header(include_in_schema=False)] = "",
) -> UploadBody:
    """Begin a file that comes in parts; its parts go to the `Location` of the answer."""
    if upload_concat:
        raise OptionInvalid("uploads that are put together of others are not supported", param="Upload-Concat")
    if upload_length is None:
        raise OptionInvalid("the length of the file must be known: send Upload-Length", param="Upload-Length")
    if upload_length > services.upload_limits.max_file_bytes:
        raise too_large("Upload-Length", services.upload_limits.max_file_bytes)
    services.store.jobs.check_room(who.tenant)
    known = headers.read_metadata(upload_metadata)
    name = file_name(known.get("filename", known.get("name", "")))
    made = services.store.uploads.create(who.tenant, upload_length, name, upload_metadata, services.uploads)
    response.headers.update({"Location": f"/v1/uploads/{made.id}", **headers.said(made)})
    return _body(made)


@router.head("/{upload_id}", dependencies=_checked, response_class=Response)
def ask_upload(upload: UploadDep) -> Response:
    """How much of the file has come: the header `Upload-Offset`."""
    return Response(headers=headers.said(upload))


@router.get("/{upload_id}", dependencies=_checked)
def get_upload(upload: UploadDep, response: Response) -> UploadBody:
    """The same as JSON."""
    response.headers.update(headers.said(upload))
    return _body(upload)


@router.patch("/{upload_id}", status_code=204, dependencies=_checked, openapi_extra=_PART)
async def add_part(
    upload: UploadDep,
    services: ServicesDep,
    request: Request,
    response: Response,
    upload_offset: headers.Offset,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
) -> None:
    """Send the file from byte `Upload-Offset` on, all of the rest or some; what came before a break is kept."""
    if content_type.partition(";")[0].strip().lower() != headers.PART_TYPE:
        message = f"a part is sent as {headers.PART_TYPE}"
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message, "Content-Type")
    check_open(upload, upload_offset)
    after = await receive_part(request, services, upload)
    response.headers.update(headers.said(after))


@router.delete("/{upload_id}", status_code=204, dependencies=_checked)
def end_upload(upload: UploadDep, services: ServicesDep) -> None:
    """Drop an upload and what has come of it; a recording that was made of it stays."""
    services.store.uploads.delete(upload.id)


def _body(upload: Upload) -> UploadBody:
    return UploadBody(
        id=upload.id,
        length_bytes=upload.length,
        received_bytes=upload.received,
        file_name=upload.file_name,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        recording=upload.job_id,
    )
