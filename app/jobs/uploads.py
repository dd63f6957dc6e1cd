"""Files that come in parts, over hours and over many servers, until a recording is made of them.

Each part is a blob of its own, and the table says which parts make up the file: `received` is the truth. A part counts
when the transaction that adds it finds the upload where the part begins; of two that come at once, the second is
dropped. So nothing is locked, a server that dies loses no more than the part on its way, and any server that shares the
database and the blob store takes the next part. All methods block and raise StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from app.errors import (
    BlobMissing,
    LimitReached,
    UploadConflict,
    UploadIncomplete,
    UploadNotFound,
    UploadOffsetMismatch,
    UploadUsed,
)
from app.jobs import tables
from app.jobs.blobs import Blobs
from app.jobs.rows import new_id
from app.jobs.types import Blob
from app.store import Database

_U, _P = tables.upload, tables.upload_part
MAX_PARTS = 10_000
"""Of one upload: nobody fills the table byte by byte."""


@dataclass(frozen=True, slots=True)
class UploadRules:
    """ttl_s: an upload to which nothing is added for so long goes; max_open: unfinished ones of a tenant;
    part_bytes: what has come is kept at least so often."""

    ttl_s: float = 24 * 3600.0
    max_open: int = 100
    part_bytes: int = 32 * 1024**2


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of `length` bytes, of which the first `received` are kept. metadata: as its client sent it;
    job_id: the recording that was made of it, None = none yet."""

    id: str
    tenant: str
    length: int
    received: int
    parts: int
    file_name: str
    metadata: str
    created_at: float
    expires_at: float
    job_id: str | None

    @property
    def complete(self) -> bool:
        """Whether all of the file is there."""
        return self.received == self.length


class Uploads:
    """Uploads of all tenants. Where a `tenant` is given, another tenant's upload is UploadNotFound."""

    def __init__(self, database: Database, blobs: Blobs, empty_trash: Callable[[str], None]) -> None:
        """empty_trash: deletes a blob that is in the trash."""
        self._database = database
        self._blobs = blobs
        self._empty_trash = empty_trash

    def create(self, tenant: str, length: int, file_name: str, metadata: str, rules: UploadRules) -> Upload:
        """An upload of which nothing has come yet. Raises LimitReached when the tenant has too many open ones."""
        with self._database.write() as connection:
            now = float(connection.execute(sa.select(self._database.now)).scalar_one())
            mine = (_U.c.tenant == tenant, _U.c.expires_at > now, _U.c.job_id.is_(None))
            found = connection.execute(sa.select(sa.func.count()).select_from(_U).where(*mine)).scalar_one()
            if found >= rules.max_open:
                raise LimitReached(f"there are {found} unfinished uploads already; end or use some of them")
            made = Upload(new_id("upl"), tenant, length, 0, 0, file_name, metadata, now, now + rules.ttl_s, None)
            connection.execute(sa.insert(_U).values({name: getattr(made, name) for name in Upload.__slots__}))
        return made

    def get(self, upload_id: str, tenant: str | None = None) -> Upload:
        """Raises UploadNotFound, also when its time is over."""
        with self._database.read() as connection:
            return self._found(connection, upload_id, tenant)

    def append(self, upload_id: str, start: int, blob: Blob, ttl_s: float) -> Upload:
        """Add a part that begins at byte `start`; the blob is the upload's from here on, or deleted by an error.

        Raises UploadNotFound, UploadOffsetMismatch (another part was faster), UploadUsed, UploadConflict.
        """
        try:
            with self._database.write() as connection:
                found = self._found(connection, upload_id, None, lock=True)
                check_open(found, start)
                if start + blob.size > found.length:
                    raise UploadConflict(f"upload {upload_id} ends at byte {found.length}")
                if found.parts >= MAX_PARTS:
                    raise UploadConflict(
                        f"upload {upload_id} came in {MAX_PARTS} parts already; begin anew with larger"
                    )
                connection.execute(sa.insert(_P).values(upload_id=upload_id, start=start, blob=blob.id))
                values = {
                    "received": start + blob.size,
                    "parts": found.parts + 1,
                    "expires_at": self._database.now + ttl_s,
                }
                changed = sa.update(_U).where(_U.c.id == upload_id).values(values).returning(_U)
                return _upload(connection.execute(changed).mappings().one())
        except (UploadNotFound, UploadConflict):
            self._blobs.delete(blob.id)
            raise

    @contextmanager
    def whole(self, upload: Upload) -> Iterator[Path]:
        """The file on this machine, the caller's for the block.

        Raises UploadIncomplete, and BlobMissing when a part went into a blob store that this server does not share.
        """
        if not upload.complete:
            raise UploadIncomplete(f"of upload {upload.id} {upload.received} of {upload.length} bytes have come")
        with self._database.read() as connection:
            parts = (
                connection.execute(sa.select(_P.c.blob).where(_P.c.upload_id == upload.id).order_by(_P.c.start))
                .scalars()
                .all()
            )
        with ExitStack() as held:
            try:
                path = held.enter_context(self._blobs.joined(parts))
            except BlobMissing as error:
                message = f"a part of upload {upload.id} is not in the blob store; all servers must share one"
                raise BlobMissing(message, param="upload") from error
            yield path

    def used(self, upload_id: str, job_id: str) -> None:
        """A recording was made of it: the parts go, the row stays to answer for it until its time is over.

        It goes at once where the recording is deleted already.
        """
        this, job = _U.c.id == upload_id, tables.job.c.id
        with self._database.write() as connection:
            parts = self._to_trash(connection, upload_id)
            if connection.execute(sa.select(job).where(job == job_id).with_for_update()).scalar() is None:
                connection.execute(sa.delete(_U).where(this))
            else:
                connection.execute(sa.update(_U).where(this).values(job_id=job_id))
        self._empty(parts)

    def delete(self, upload_id: str, tenant: str | None = None) -> None:
        """Forget an upload and its parts. Raises UploadNotFound."""
        with self._database.write() as connection:
            self._found(connection, upload_id, tenant, lock=True)
            parts = self._to_trash(connection, upload_id)
            connection.execute(sa.delete(_U).where(_U.c.id == upload_id))
        self._empty(parts)

    def expire(self, limit: int) -> int:
        """Forget uploads whose time is over; how many."""
        over = sa.select(_U.c.id).where(_U.c.expires_at <= self._database.now).limit(limit)
        with self._database.read() as connection:
            if connection.execute(over.limit(1)).scalar() is None:
                return 0
        with self._database.write() as connection:
            ids = connection.execute(over.with_for_update(skip_locked=True)).scalars().all()
            parts = [part for upload_id in ids for part in self._to_trash(connection, upload_id)]
            connection.execute(sa.delete(_U).where(_U.c.id.in_(ids)))
        self._empty(parts)
        return len(ids)

    def _found(self, connection: sa.Connection, upload_id: str, tenant: str | None, *, lock: bool = False) -> Upload:
        statement = sa.select(_U).where(_U.c.id == upload_id, _U.c.expires_at > self._database.now)
        if tenant is not None:
            statement = statement.where(_U.c.tenant == tenant)
        row = connection.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()
        if row is None:
            raise UploadNotFound(f"there is no upload {upload_id}, or its time is over", param="upload")
        return _upload(row)

    def _to_trash(self, connection: sa.Connection, upload_id: str) -> list[str]:
        parts = list(connection.execute(sa.select(_P.c.blob).where(_P.c.upload_id == upload_id)).scalars())
        self._database.insert_or_ignore(connection, tables.trash, [{"blob": part} for part in parts])
        connection.execute(sa.delete(_P).where(_P.c.upload_id == upload_id))
        return parts

    def _empty(self, parts: list[str]) -> None:
        for part in parts:
            self._empty_trash(part)


def check_open(upload: Upload, start: int) -> None:
    """Whether the next part may begin at byte `start`. Raises UploadUsed, UploadOffsetMismatch."""
    if upload.job_id is not None:
        raise UploadUsed(f"recording {upload.job_id} was made of upload {upload.id}")
    if start != upload.received:
        raise UploadOffsetMismatch(
            f"upload {upload.id} goes on at byte {upload.received}, not {start}", param="Upload-Offset"
        )


def _upload(row: sa.RowMapping) -> Upload:
    return Upload(**row)
