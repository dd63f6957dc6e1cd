"""Reader of CTranslate2's binary model format (version 6): a file in, named arrays out, mapped from disk uncopied.

Layout, little-endian, as CTranslate2's public model specification writes it:

    u32 format version
    str name of the model specification      (str = u16 length with the closing zero byte, then the bytes)
    u32 revision of the specification
    u32 number of variables, then each:      str name, u8 rank, rank x u32 dimensions, u8 type, u32 bytes, data
    u32 number of aliases, then each:        str alias, str name of the variable that it stands for
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from models.errors import BadCheckpoint

BINARY_VERSION = 6
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_TYPES: Mapping[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
_MAX_RANK = 8


@dataclass(frozen=True, slots=True)
class Ct2Model:
    """What a CTranslate2 file holds. `variables` are read-only views of the file; an alias shares its target's view."""

    spec: str
    revision: int
    variables: Mapping[str, Array]
    aliases: Mapping[str, str]


class _Cursor:
    """A place in the mapped file; every read is checked against its end."""

    def __init__(self, data: Array, path: Path) -> None:
        self._data = data
        self._path = path
        self.offset = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)).tobytes())
        return int(value)

    def text(self) -> str:
        raw = self.take(self.number("H")).tobytes()
        if not raw.endswith(b"\0"):
            raise self.bad("a name has no closing zero byte")
        try:
            return raw[:-1].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.bad("a name is not text") from error

    def take(self, size_bytes: int) -> Array:
        begin, self.offset = self.offset, self.offset + size_bytes
        if self.offset > len(self._data):
            raise self.bad(f"it ends at byte {len(self._data)}, where {self.offset} were expected")
        return self._data[begin : self.offset]

    def at_end(self) -> bool:
        return self.offset == len(self._data)

    def bad(self, why: str) -> BadCheckpoint:
        return BadCheckpoint(f"{self._path} is not a CTranslate2 model: {why}")


def read_ct2(path: Path) -> Ct2Model:
    """Read the table of contents and map the data.

    Raises:
        BadCheckpoint: the file is cut short, of another version, or holds a type or a name that it cannot hold.
        OSError: the file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise BadCheckpoint(f"{path} is not a CTranslate2 model: it is empty")
    cursor = _Cursor(np.memmap(path, dtype=np.uint8, mode="r"), path)
    version = cursor.number("I")
    if version != BINARY_VERSION:
        raise cursor.bad(f"format version {version}, where {BINARY_VERSION} is read")
    spec, revision = cursor.text(), cursor.number("I")
    variables: dict[str, Array] = {}
    for _ in range(cursor.number("I")):
        name, array = _variable(cursor)
        if name in variables:
            raise cursor.bad(f"variable {name} stands twice")
        variables[name] = array
    aliases = {cursor.text(): cursor.text() for _ in range(cursor.number("I"))}
    for alias, target in aliases.items():
        if target not in variables or alias in variables:
            raise cursor.bad(f"alias {alias} of {target} does not name a variable")
    if not cursor.at_end():
        raise cursor.bad("bytes follow its end")
    return Ct2Model(spec, revision, variables, aliases)


def _variable(cursor: _Cursor) -> tuple[str, Array]:
    name = cursor.text()
    rank = cursor.number("B")
    if rank > _MAX_RANK:
        raise cursor.bad(f"variable {name} has {rank} dimensions")
    shape = tuple(cursor.number("I") for _ in range(rank))
    kind, size_bytes = cursor.number("B"), cursor.number("I")
    if kind not in _TYPES:
        raise cursor.bad(f"variable {name} has the unknown type {kind}")
    dtype = _TYPES[kind]
    if size_bytes != prod(shape) * dtype.itemsize:
        raise cursor.bad(f"variable {name} of shape {shape} has {size_bytes} bytes")
    return name, cursor.take(size_bytes).view(dtype).reshape(shape)
