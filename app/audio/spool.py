"""The meeting's sound on disk, so that any stretch can be read again when its turn to be decoded comes.

In: frames, one after the other. Out: samples of any span. 16-bit PCM in a file without a name: 115 MB an hour, gone
with the process whatever happens to it. Rounding to 16 bits adds noise 98 dB below full scale, far under any room's;
sound that came as 16 bits at 16 kHz comes back bit for bit.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from app.core.types import FloatArray, Frames
from app.errors import OutputError

_FULL_SCALE = 32768.0
_SAMPLE_BYTES = 2


class Spool:
    """File-backed samples at 16 kHz. One thread may append while others read.

    directory: where the file lies (made if missing), None = the system's folder for temporary files.
    Raises OutputError where it cannot be made.
    """

    def __init__(self, directory: Path | None = None) -> None:
        try:
            if directory is not None:
                directory.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - lives as long as self
        except OSError as error:
            raise OutputError(f"no file for the sound can be made: {error.strerror}") from error
        self._length = 0

    @property
    def length(self) -> int:
        """Samples stored."""
        return self._length

    def append(self, frames: Frames) -> None:
        """Store frames that start where the last ones ended. Raises ValueError (hole or overlap, closed), OutputError
        (disk full); after either the spool is as before."""
        if frames.start != self._length:
            raise ValueError(f"frames start at {frames.start}, the spool ends at {self._length}")
        pcm = np.clip(np.rint(frames.samples * np.float32(_FULL_SCALE)), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
        self._write(memoryview(pcm.tobytes()), self._length * _SAMPLE_BYTES)
        self._length += len(pcm)

    def read(self, start: int, end: int) -> FloatArray:
        """Samples of [start, end), clipped to what is stored: (samples,) float32 in [-1, 1).

        Raises ValueError (a negative start, an end before it, closed), OutputError (failing disk).
        """
        if not 0 <= start <= end:
            raise ValueError(f"no span: [{start}, {end})")
        end = min(end, self._length)
        if start >= end:
            return np.zeros(0, np.float32)
        data = self._read((end - start) * _SAMPLE_BYTES, start * _SAMPLE_BYTES)
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)

    def close(self) -> None:
        """Give the disk space back. Idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: memoryview, offset: int) -> None:
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            raise OutputError(f"the sound cannot be stored: {error.strerror}") from error

    def _read(self, size: int, offset: int) -> bytes:
        parts = []
        try:
            while size:
                part = os.pread(self._file.fileno(), size, offset)
                if not part:
                    raise OutputError("the stored sound is incomplete")
                parts.append(part)
                size, offset = size - len(part), offset + len(part)
        except OSError as error:
            raise OutputError(f"the stored sound cannot be read: {error.strerror}") from error
        return b"".join(parts)
