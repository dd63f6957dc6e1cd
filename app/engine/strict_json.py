"""Reading JSON strictly: every key once, of the right type, nothing left over. Bytes in, Python values out.

A `Fields` is one JSON object while it is being read; errors name the place (`decoded.turns[3].words[0]`).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from app.core.types import FloatArray

_T = TypeVar("_T")


class WireInvalid(ValueError):
    """Bytes that are not the message asked for, or a value that has no message."""


def parse(where: str, data: bytes) -> Fields:
    """The one JSON object in `data`, ASCII. Raises WireInvalid."""
    try:
        raw: object = json.loads(data.decode("ascii"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise WireInvalid(f"{where}: not a message: {error}") from error
    return Fields(where, raw)


def _refuse_constant(name: str) -> float:
    raise WireInvalid(f"{name} is no number of a message")


def integer(where: str, raw: object) -> int:
    """A JSON integer (true and false are none). Raises WireInvalid."""
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise WireInvalid(f"{where} must be an integer, is {shown(raw)}")
    return raw


def text(where: str, raw: object) -> str:
    """A JSON string. Raises WireInvalid."""
    if not isinstance(raw, str):
        raise WireInvalid(f"{where} must be text, is {shown(raw)}")
    return raw


def number(where: str, raw: object) -> float:
    """A finite JSON number with a decimal point or an exponent. Raises WireInvalid."""
    # JSON has no infinity, but 1e999 reads as one.
    if not isinstance(raw, float) or not math.isfinite(raw):
        raise WireInvalid(f"{where} must be a number with a decimal point, is {shown(raw)}")
    return raw


def boolean(where: str, raw: object) -> bool:
    """true or false. Raises WireInvalid."""
    if not isinstance(raw, bool):
        raise WireInvalid(f"{where} must be true or false, is {shown(raw)}")
    return raw


def shown(raw: object) -> str:
    """A value for a message, cut to 60 characters."""
    whole = repr(raw)
    return whole if len(whole) <= 60 else f"{whole[:60]}..."


def array_fields(array: FloatArray, rank: int) -> dict[str, object]:
    """A float32 array as a JSON object, bit for bit. Raises WireInvalid for another type or number of dimensions."""
    if array.dtype != np.float32 or array.ndim != rank:
        raise WireInvalid(f"an array must be {rank}-D float32, is {array.ndim}-D {array.dtype}")
    return {"shape": list(array.shape), "f32": base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")}


def _array(where: str, raw: object, rank: int) -> FloatArray:
    fields = Fields(where, raw)
    shape = fields.entries("shape", integer)
    encoded = fields.text("f32")
    fields.done()
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireInvalid(f"{where} is not base64: {error}") from error
    if len(shape) != rank or min(shape) < 0 or math.prod(shape) * 4 != len(content):
        raise WireInvalid(f"{where}: {len(content)} bytes of float32 do not fill a {rank}-D array of shape {shape}")
    try:
        return np.frombuffer(content, dtype="<f4").astype(np.float32).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise WireInvalid(f"{where}: no array of shape {shape}: {error}") from error


class Fields:
    """The keys of one JSON object, each read once; `done` refuses what is left."""

    def __init__(self, where: str, raw: object) -> None:
        if not isinstance(raw, dict):
            raise WireInvalid(f"{where} must be an object, is {shown(raw)}")
        self._where = where
        self._left: dict[str, object] = dict(raw)

    def one(self, key: str, load: Callable[[str, object], _T]) -> _T:
        """What `load(where, raw)` makes of a key's value. Each of these methods raises WireInvalid."""
        if key not in self._left:
            raise WireInvalid(f"{self._where}: {key!r} is missing")
        return load(f"{self._where}.{key}", self._left.pop(key))

    def integer(self, key: str) -> int:
        """An integer."""
        return self.one(key, integer)

    def text(self, key: str) -> str:
        """A string."""
        return self.one(key, text)

    def boolean(self, key: str) -> bool:
        """true or false."""
        return self.one(key, boolean)

    def text_or_none(self, key: str) -> str | None:
        """A string or null."""
        return self.one(key, lambda where, raw: None if raw is None else text(where, raw))

    def array(self, key: str, rank: int) -> FloatArray:
        """A float32 array of `rank` dimensions, as `array_fields` writes it."""
        return self.one(key, lambda where, raw: _array(where, raw, rank))

    def entries(self, key: str, load: Callable[[str, object], _T]) -> list[_T]:
        """A list, each entry made by `load`."""
        raw = self.one(key, lambda _where, raw: raw)
        if not isinstance(raw, list):
            raise WireInvalid(f"{self._where}.{key} must be a list, is {shown(raw)}")
        return [load(f"{self._where}.{key}[{i}]", item) for i, item in enumerate(raw)]

    def done(self) -> None:
        """Refuse keys that were not read."""
        if self._left:
            raise WireInvalid(f"{self._where}: unknown keys {', '.join(sorted(self._left))}")
