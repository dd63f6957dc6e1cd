"""Recordings' sound: files in a folder or in an S3-compatible store (app/jobs/files.py).

A blob's id is `<sha256 of its content>.<nonce>`: damage can be told, and no two recordings share a blob, so deleting
one is final and needs no counting. A blob appears whole or not at all. All methods block.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import BlobMissing, InputError, OutputError, SetupError, StoreUnavailable
from app.jobs.files import open_files
from app.jobs.types import Blob

_FULL = (errno.ENOSPC, errno.EDQUOT)


class BlobTooLarge(InputError):
    """More bytes came than may be stored."""

    code = "upload_too_large"


class Blobs:
    """A blob store. staging: a local folder for what is on its way in or out (same disk as a folder store, ideally)."""

    def __init__(self, url: str, staging: Path, endpoint: str = "") -> None:
        """url: a path, `file://...` or `s3://bucket/prefix`; endpoint: of a store that is not Amazon's.

        Raises SetupError for a URL that cannot be used here.
        """
        try:
            self._files = open_files(url, endpoint)
        except (ImportError, ValueError) as error:
            hint = "; install crosstalk[s3]" if isinstance(error, ImportError) and url.startswith("s3:") else ""
            message = f"the blob store cannot be used: {error}{hint}"
            raise SetupError(message, param="CROSSTALK_STORE__BLOBS_URL") from error
        self.url = url
        """Where they are."""
        self._staging = staging

    def put_file(self, path: Path) -> Blob:
        """Store a file and take it away from where it is. Raises OutputError (disk full), StoreUnavailable."""
        digest, size = _digest(path)
        blob = Blob(f"{digest}.{secrets.token_hex(8)}", size)
        with _errors("stored"):
            folder = self._files.folder
            if folder is not None:
                self._move_in(path, folder / _name(blob.id))
            else:
                self._files.put(path, _name(blob.id))
                path.unlink(missing_ok=True)
        return blob

    def put_stream(self, chunks: Iterable[bytes], max_bytes: int) -> Blob:
        """Store what comes, with memory for one chunk. Raises BlobTooLarge, OutputError, StoreUnavailable."""
        with _errors("stored"):
            self._staging.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(".part", "blob-", self._staging)
        path, size = Path(name), 0
        try:
            with _errors("stored"), os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise BlobTooLarge(f"the file is larger than the limit of {max_bytes} bytes", param="file")
                    file.write(chunk)
            return self.put_file(path)
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def local(self, blob_id: str) -> Iterator[Path]:
        """The blob as a file on this machine for the time of the block; not to be written to.

        Raises BlobMissing, OutputError (disk full, when it must be fetched), StoreUnavailable.
        """
        with _errors("read"):
            if not self._files.exists(_name(blob_id)):
                raise BlobMissing("the recording's sound is not in the blob store any more")
        folder = self._files.folder
        if folder is not None:
            yield folder / _name(blob_id)
            return
        with tempfile.TemporaryDirectory(prefix="blob-", dir=self._made_staging()) as made:
            path = Path(made) / "audio"
            with _errors("read"):
                self._files.get(_name(blob_id), path)
            yield path

    @contextmanager
    def joined(self, blob_ids: Iterable[str]) -> Iterator[Path]:
        """Several blobs, one behind the other, as a file of this machine that is the caller's for the block.

        Raises BlobMissing, OutputError (disk full), StoreUnavailable.
        """
        with tempfile.TemporaryDirectory(prefix="blob-", dir=self._made_staging()) as folder:
            path = Path(folder) / "whole"
            with _errors("put together"), path.open("wb") as file:
                for blob_id in blob_ids:
                    for chunk in self.read(blob_id):
                        file.write(chunk)
            yield path

    def read(self, blob_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end) in chunks, for playback by range requests. Raises BlobMissing, StoreUnavailable."""
        with _errors("read"):
            try:
                yield from self._files.read(_name(blob_id), start, end)
            except FileNotFoundError as error:
                raise BlobMissing("the recording's sound is not in the blob store any more") from error

    def exists(self, blob_id: str) -> bool:
        """Whether a blob is there. Raises StoreUnavailable."""
        with _errors("read"):
            return self._files.exists(_name(blob_id))

    def delete(self, blob_id: str) -> None:
        """Remove a blob; one that is not there is fine. Raises StoreUnavailable."""
        with _errors("deleted"):
            try:
                self._files.delete(_name(blob_id))
            except FileNotFoundError:
                return

    def older_than(self, age_s: float) -> Iterator[str]:
        """Ids of all blobs of at least that age (by the blob store's own times). Raises StoreUnavailable."""
        limit = time.time() - age_s
        with _errors("read"):
            for name, made_s in self._files.find():
                if made_s <= limit:
                    yield name.rsplit("/", 1)[-1]

    def check(self) -> None:
        """Raises StoreUnavailable when the store cannot be reached."""
        with _errors("read"):
            self._files.check()

    def _made_staging(self) -> Path:
        with _errors("read"):
            self._staging.mkdir(parents=True, exist_ok=True)
        return self._staging

    def _move_in(self, path: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(path)
        try:
            path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # With the nonce: the same content may be on its way twice.
            part = target.with_name(f"{target.name}.part")
            try:
                shutil.copyfile(path, part)
                _sync(part)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            path.unlink()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _name(blob_id: str) -> str:
    return f"{blob_id[:2]}/{blob_id}"


def _digest(path: Path) -> tuple[str, int]:
    with _errors("read"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """The errors of the blob store as ours; fsspec raises OSErrors also for a refused or lost connection."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        if error.errno in _FULL:
            raise OutputError(f"the recording cannot be {what}: {reason}") from error
        raise StoreUnavailable(f"the recording cannot be {what} now: {reason}") from error
