"""Rows of the tables -> values, and the cursors of lists."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import uuid
from typing import Any

import sqlalchemy as sa

from app.errors import OptionInvalid
from app.jobs.types import Blob, Delivery, DeliveryState, Failure, Job, JobEvent, JobOptions, JobProgress, JobState

_ROW_ID = re.compile(r"[a-z]{3}_[0-9a-f]{32}")


def new_id(prefix: str) -> str:
    """An id nobody can guess: `rec_` and 32 hexadecimal digits."""
    return f"{prefix}_{uuid.uuid4().hex}"


def job_of(row: sa.RowMapping) -> Job:
    """A row of `job`."""
    return Job(
        id=row["id"],
        tenant=row["tenant"],
        state=JobState(row["state"]),
        priority=row["priority"],
        options=JobOptions.from_json(row["options"]),
        file_name=row["file_name"],
        media_type=row["media_type"],
        blob=None if row["blob"] is None else Blob(row["blob"], row["blob_size"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        progress=progress_of(row),
        attempts=row["attempts"],
        fence=row["fence"],
        generation=row["generation"],
        cancel_requested=row["cancel_requested"],
        failure=None if row["error_code"] is None else Failure(row["error_code"], row["error_message"] or ""),
        language=row["language"],
        warnings=tuple(json.loads(row["warnings"])),
        revision=row["revision"],
        trace=row["trace"] or "",
        key_id=row["key_id"] or "",
        counted=row["counted"] or 0,
    )


def progress_of(row: sa.RowMapping) -> JobProgress:
    """The progress columns of a row of `job`."""
    return JobProgress(row["stage"], row["diarized"], row["decoded"], row["total"], row["speed"], row["left_s"])


def event_of(row: sa.RowMapping) -> JobEvent:
    """A row of `event`."""
    data: dict[str, Any] = json.loads(row["data"])
    return JobEvent(row["id"], row["kind"], data, row["created_at"])


def delivery_of(row: sa.RowMapping) -> Delivery:
    """A row of `delivery`."""
    return Delivery(**{**row, "state": DeliveryState(row["state"])})


def write_cursor(created_at: float, row_id: str) -> str:
    """Where a page ended, as text that means nothing to a client."""
    return base64.urlsafe_b64encode(json.dumps([created_at, row_id]).encode()).decode()


def read_cursor(cursor: str) -> tuple[float, str]:
    """Inverse of `write_cursor`. Raises OptionInvalid."""
    try:
        created_at, row_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if not (math.isfinite(float(created_at)) and _ROW_ID.fullmatch(row_id)):
            raise ValueError("forged")
        return float(created_at), row_id
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise OptionInvalid("the cursor is not one that this server gave", param="cursor") from error
