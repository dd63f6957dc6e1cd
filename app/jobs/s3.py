"""Blobs in an S3-compatible store, by obstore (extra `s3`): large files go up in parts, and come down as a stream.

Keys and region are Amazon's own settings: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, roles of machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from app.jobs.files import CHUNK_BYTES

if TYPE_CHECKING:  # the library defines it for type checkers alone
    from obstore import OffsetRange
    from obstore.store import ClientConfig, RetryConfig


class S3Files:
    """See Files. What is asked for under a prefix that does not exist is simply not there: S3 knows no folders."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        """url: `s3://bucket/prefix`; endpoint: of a store that is not Amazon's. Raises ValueError."""
        try:
            # No limit for a whole transfer, which may be large, but for silence in it.
            client: ClientConfig = {"timeout": "12h", "read_timeout": "30s"}
            retry: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
            if endpoint:
                client |= {"allow_http": endpoint.startswith("http://")}
                self._store = S3Store.from_url(url, endpoint=endpoint, client_options=client, retry_config=retry)
            else:
                self._store = S3Store.from_url(url, client_options=client, retry_config=retry)
        except BaseError as error:
            raise ValueError(str(error)) from error

    @property
    def folder(self) -> Path | None:
        """See Files."""
        return None

    def put(self, path: Path, name: str) -> None:
        """See Files."""
        with _as_os_errors():
            self._store.put(name, path)

    def get(self, name: str, path: Path) -> None:
        """See Files."""
        with path.open("wb") as file:
            for chunk in self.read(name, 0, None):
                file.write(chunk)

    def read(self, name: str, start: int, end: int | None) -> Iterator[bytes]:
        """See Files."""
        if end is not None and end <= start:
            return
        with _as_os_errors():
            part: tuple[int, int] | OffsetRange = {"offset": start} if end is None else (start, end)
            whole = start == 0 and end is None
            answer = self._store.get(name, options=None if whole else {"range": part})
            for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def exists(self, name: str) -> bool:
        """See Files."""
        try:
            with _as_os_errors():
                self._store.head(name)
        except FileNotFoundError:
            return False
        return True

    def delete(self, name: str) -> None:
        """See Files."""
        with _as_os_errors():
            self._store.delete(name)

    def find(self) -> Iterator[tuple[str, float]]:
        """See Files."""
        with _as_os_errors():
            for page in self._store.list():
                for it in page:
                    yield it["path"], it["last_modified"].timestamp()

    def check(self) -> None:
        """See Files."""
        with _as_os_errors():
            next(iter(self._store.list(chunk_size=1)), None)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError("not in the blob store") from error
    except BaseError as error:
        # Their text goes on with the whole answer of the store.
        raise OSError(str(error).strip().splitlines()[0][:300]) from error
