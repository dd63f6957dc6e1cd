"""Where blobs lie, behind a few calls: a file system by fsspec, or an S3-compatible store (app/jobs/s3.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

CHUNK_BYTES = 1024**2


class Files(Protocol):
    """Whole files by name (with '/'). All methods block, and raise FileNotFoundError and other OSErrors."""

    @property
    def folder(self) -> Path | None:
        """Where they are on this machine; None = elsewhere."""
        ...

    def put(self, path: Path, name: str) -> None:
        """Store a file of this machine; it appears whole or not at all."""
        ...

    def get(self, name: str, path: Path) -> None:
        """Write a file to this machine."""
        ...

    def read(self, name: str, start: int, end: int | None) -> Iterator[bytes]:
        """The bytes [start, end) in chunks; an end behind the file's is the file's."""
        ...

    def exists(self, name: str) -> bool:
        """Whether it is there."""
        ...

    def delete(self, name: str) -> None:
        """Remove it; S3 does not tell whether it was there."""
        ...

    def find(self) -> Iterator[tuple[str, float]]:
        """(name, Unix time of the last change) of all."""
        ...

    def check(self) -> None:
        """Fail when the store cannot be reached."""
        ...


class FsspecFiles:
    """Files of a file system that fsspec knows."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        """Raises ImportError, ValueError for a URL that cannot be used here."""
        self._fs, self._root = fsspec.core.url_to_fs(url, **options)

    @property
    def folder(self) -> Path | None:
        """See Files."""
        return Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def put(self, path: Path, name: str) -> None:
        """See Files."""
        self._fs.put_file(str(path), self._path(name))

    def get(self, name: str, path: Path) -> None:
        """See Files."""
        self._fs.get_file(self._path(name), str(path))

    def read(self, name: str, start: int, end: int | None) -> Iterator[bytes]:
        """See Files."""
        with self._fs.open(self._path(name), "rb") as file:
            file.seek(start)
            left = None if end is None else end - start
            while left is None or left > 0:
                chunk = file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk

    def exists(self, name: str) -> bool:
        """See Files."""
        return bool(self._fs.exists(self._path(name)))

    def delete(self, name: str) -> None:
        """See Files."""
        self._fs.rm_file(self._path(name))

    def find(self) -> Iterator[tuple[str, float]]:
        """See Files."""
        if not self._fs.exists(self._root):
            return
        for path, info in self._fs.find(self._root, detail=True).items():
            made = info.get("mtime") or info.get("LastModified") or info.get("created")
            made_s = made if isinstance(made, int | float) else made.timestamp() if made is not None else 0.0
            yield path.removeprefix(self._root).lstrip("/"), made_s

    def check(self) -> None:
        """See Files."""
        self._fs.exists(self._root)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_files(url: str, endpoint: str) -> Files:
    """The files of a path, of a URL that fsspec knows, or of `s3://bucket/prefix`; endpoint: of an S3-compatible store.

    Raises ImportError, ValueError for a URL that cannot be used here.
    """
    if url.startswith("s3://"):
        from app.jobs.s3 import S3Files

        return S3Files(url, endpoint)
    return FsspecFiles(url, {"endpoint_url": endpoint} if endpoint else {})
