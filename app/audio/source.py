"""A path -> bytes for FFmpeg, with nothing else within its reach.

FFmpeg never sees the path: given one it would follow `http:`, `concat:` and the like, and guess the format from the
name. It gets this object, which reads one regular file and counts what it reads.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import AudioEmpty, AudioUnreadable, FileUnreadable

_SPARE_BYTES = 64 << 20


class SourceFile:
    """An open regular file, as PyAV wants it: read, seek, tell. Symbolic links are followed.

    Made of a path, or of the number of a file that is open already and is closed with this.
    Raises FileUnreadable (missing, folder, pipe, device, no permission, failing disk), AudioEmpty (zero bytes).
    """

    name = "recording"

    def __init__(self, place: Path | int) -> None:
        self._fd = place if isinstance(place, int) else -1
        try:
            if isinstance(place, Path):
                # Looked at before it is opened, since opening a device can have effects; O_NONBLOCK for a pipe put in
                # its place meanwhile, which would wait for a writer for ever.
                _check_regular(os.stat(place))
                self._fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            opened = os.fstat(self._fd)
            _check_regular(opened)
        except FileUnreadable:
            self.close()
            raise
        except (OSError, ValueError) as error:
            raise FileUnreadable(f"the file cannot be opened: {_reason(error)}") from error
        self.size = opened.st_size
        self._position = 0
        self._allowance = 0
        self.progressed()
        if self.size == 0:
            self.close()
            raise AudioEmpty("the file is empty")

    def fileno(self) -> int:
        """Its number; it stays this object's to close."""
        return self._fd

    def progressed(self) -> None:
        """Sound came out: again the file may be read twice over. What needs more is running in circles."""
        self._allowance = 2 * self.size + _SPARE_BYTES

    def read(self, size: int) -> bytes:
        """The next bytes; empty at the end. Raises FileUnreadable, AudioUnreadable (reading in circles)."""
        data = self.peek(self._position, size)
        self._position += len(data)
        self._allowance -= len(data)
        if self._allowance < 0:
            raise AudioUnreadable("the file is damaged: its index leads in circles")
        return data

    def peek(self, position: int, size: int) -> bytes:
        """Bytes from anywhere, for looks at the structure. Raises FileUnreadable."""
        try:
            return os.pread(self._fd, size, position)
        except OSError as error:
            raise FileUnreadable(f"the file cannot be read: {_reason(error)}") from error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As io's seek, but an impossible position gives FFmpeg's negative error code, which it handles by itself."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}.get(whence)
        if base is None or not 0 <= base + offset < 1 << 62:
            return -errno.EINVAL
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Position of the next read."""
        return self._position

    def close(self) -> None:
        """Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileUnreadable("the path is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise FileUnreadable("the path is not a regular file (a pipe, socket or device)")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
