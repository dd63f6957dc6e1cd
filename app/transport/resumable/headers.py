"""The headers of tus 1.0 (tus.io/protocols/resumable-upload): read, checked, written."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Request

from app.errors import OptionInvalid
from app.jobs.uploads import Upload
from app.transport.problems import HttpProblem, always_send

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
PART_TYPE = "application/offset+octet-stream"
MAX_METADATA_CHARACTERS = 4_000
ASKED = ("Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset")
TOLD = (*ASKED, "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Upload-Expires")
"""What pages of other origins must be allowed to send and to read."""
_SAID = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}

Offset = Annotated[
    int, Header(alias="Upload-Offset", ge=0, le=2**53, description="The byte of the file at which the body begins.")
]
Length = Annotated[int | None, Header(alias="Upload-Length", ge=0, le=2**53, description="Bytes of the whole file.")]
Metadata = Annotated[
    str,
    Header(
        alias="Upload-Metadata",
        max_length=MAX_METADATA_CHARACTERS,
        description="`filename` and others: a name, a space and base64 of the value; commas between.",
    ),
]
Version = Annotated[str, Header(alias="Tus-Resumable", description=f"`{VERSION}`.")]


def check_version(request: Request, tus_resumable: Version = "") -> None:
    """Whether the client speaks our version of tus; for GET, which is not part of it, it need not say so.

    Every answer from here on names the version. Raises HttpProblem.
    """
    always_send(request, {**_SAID, "Tus-Version": VERSION})
    said_none = "Tus-Resumable" not in request.headers
    if tus_resumable != VERSION and not (said_none and request.method == "GET"):
        raise HttpProblem(
            HTTPStatus.PRECONDITION_FAILED,
            "tus_version_unsupported",
            f"uploads in parts follow tus {VERSION}; send it as Tus-Resumable",
            "Tus-Resumable",
        )


def said(upload: Upload) -> dict[str, str]:
    """What the answers about an upload carry."""
    headers = _SAID | {
        "Upload-Offset": str(upload.received),
        "Upload-Length": str(upload.length),
        "Upload-Expires": formatdate(upload.expires_at, usegmt=True),
    }
    return headers | ({"Upload-Metadata": upload.metadata} if upload.metadata else {})


def offered(max_bytes: int) -> dict[str, str]:
    """What the server can, for OPTIONS."""
    return _SAID | {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(max_bytes)}


def read_metadata(header: str) -> Mapping[str, str]:
    """Key -> value; values that are no text keep what is readable. Raises OptionInvalid."""
    found: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, value = pair.strip().partition(" ")
        if not re.fullmatch(r"[\x21-\x7e]+", key) or key in found:
            raise OptionInvalid("Upload-Metadata is pairs of a name and base64", param="Upload-Metadata")
        try:
            found[key] = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError) as error:
            raise OptionInvalid(f"Upload-Metadata: {key[:60]} is not base64", param="Upload-Metadata") from error
    return found
