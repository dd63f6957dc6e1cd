"""Reader of the GGUF format (versions 2 and 3): a file in, its metadata and its tensors out, mapped from disk.

The layout is that of the public specification (ggml-org/ggml, docs/gguf.md). Metadata of a vocabulary is hundreds of
thousands of short strings; they are read straight from the mapped bytes, which takes a tenth of a second.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from models.errors import BadCheckpoint

_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"
_ALIGNED_BYTES = 32


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor as it lies in the file. `shape` is in numpy's order; `data` are its quantized bytes."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    data: NDArray[np.uint8]

    def floats(self) -> NDArray[np.float32]:
        """The numbers that the bytes stand for. Raises BadCheckpoint for a type that cannot be read."""
        rows = prod(self.shape[:-1])
        try:
            values = dequantize(self.data.reshape(rows, -1), self.kind)
        except NotImplementedError as error:
            raise BadCheckpoint(f"tensor {self.name} is of type {self.kind.name}, which cannot be read") from error
        return np.array(values, dtype=np.float32).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class GgufFile:
    """All of a GGUF file. Metadata values are numbers, strings, or lists of these."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]


class _Cursor:
    def __init__(self, data: memoryview, path: Path) -> None:
        self.data = data
        self.offset = 0
        self._path = path

    def number(self, code: str) -> Any:  # noqa: ANN401  whatever the code stands for
        try:
            (value,) = struct.unpack_from("<" + code, self.data, self.offset)
        except struct.error as error:
            raise self.bad("it is cut short") from error
        self.offset += struct.calcsize("<" + code)
        return value

    def text(self) -> str:
        begin = self.offset + 8
        self.offset = begin + int(self.number("Q"))
        if self.offset > len(self.data):
            raise self.bad("it is cut short")
        return str(self.data[begin : self.offset], "utf-8", "replace")

    def value(self, kind: int) -> Any:  # noqa: ANN401  metadata is of any type
        if kind == _STRING:
            return self.text()
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind != _ARRAY:
            raise self.bad(f"metadata of the unknown type {kind}")
        inner, count = self.number("I"), self.number("Q")
        read: Callable[[], Any] = self.text if inner == _STRING else lambda: self.value(inner)
        return [read() for _ in range(count)]

    def bad(self, why: str) -> BadCheckpoint:
        return BadCheckpoint(f"{self._path} is not a GGUF file that can be read: {why}")


def read_gguf(path: Path) -> GgufFile:
    """Read the metadata and map the tensors.

    Raises:
        BadCheckpoint: the file is cut short, of another version, or holds a type that cannot be read.
        OSError: the file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise BadCheckpoint(f"{path} is not a GGUF file that can be read: it is empty")
    mapped = np.memmap(path, dtype=np.uint8, mode="r")
    cursor = _Cursor(memoryview(mapped), path)  # type: ignore[arg-type]  # numpy's arrays are buffers
    if bytes(mapped[:4]) != b"GGUF":
        raise cursor.bad("it does not begin with the letters GGUF")
    cursor.offset = 4
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise cursor.bad(f"it is of version {version}")
    n_tensors, n_values = cursor.number("Q"), cursor.number("Q")
    metadata = {cursor.text(): cursor.value(cursor.number("I")) for _ in range(n_values)}
    tables = [_table(cursor) for _ in range(n_tensors)]
    aligned = int(metadata.get(_ALIGNMENT, _ALIGNED_BYTES))
    begin = -(-cursor.offset // aligned) * aligned
    tensors = {}
    for name, shape, kind, offset in tables:
        block, block_bytes = GGML_QUANT_SIZES[kind]
        size_bytes = prod(shape) // block * block_bytes
        data = mapped[begin + offset : begin + offset + size_bytes]
        if len(data) != size_bytes:
            raise cursor.bad(f"tensor {name} is cut short")
        tensors[name] = GgufTensor(name, shape, kind, data)
    return GgufFile(metadata, tensors)


def _table(cursor: _Cursor) -> tuple[str, tuple[int, ...], GGMLQuantizationType, int]:
    """Name, shape, type and place of one tensor. The file gives dimensions from the innermost to the outermost."""
    name = cursor.text()
    shape = tuple(int(cursor.number("Q")) for _ in range(cursor.number("I")))[::-1]
    number = cursor.number("I")
    try:
        kind = GGMLQuantizationType(number)
    except ValueError as error:
        raise cursor.bad(f"tensor {name} is of the unknown type {number}") from error
    return name, shape, kind, int(cursor.number("Q"))
