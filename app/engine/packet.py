"""Engine requests <-> the body of a call to an inference worker: a small header, then the raw sound.

    offset  size  content
    0       4     b"XTI1": what this is, and its version
    4       1     number format of the sound: 0 = float32, 1 = int16 (a sample is its value / 32768), little-endian
    5       3     zero
    8       4     length of the header in bytes, little-endian
    12      ...   the header: the request's message of `wire.py` with empty sound
    ...     ...   the sound, to the end

Sound goes as int16 where that loses nothing, which halves it. Answers are the messages of `wire.py` as they are: next
to the sound they are small.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from app.core.types import DecodeRequest, FloatArray, Window
from app.engine.strict_json import WireInvalid
from app.engine.wire import dump_request, dump_window, load_request, load_window

MEDIA_TYPE = "application/x-crosstalk-infer"
MAGIC = b"XTI1"
MAX_HEADER_BYTES = 1 << 20

_PREFIX = struct.Struct("<4sB3xI")
_EMPTY = np.zeros(0, dtype=np.float32)
_SCALE = np.float32(32768)


def pack_window(window: Window) -> bytes:
    """A window as a body. Raises WireInvalid when its samples are not 1-D float32."""
    return _pack(dump_window(replace(window, samples=_EMPTY)), window.samples)


def unpack_window(body: bytes) -> Window:
    """Inverse of `pack_window`. Raises WireInvalid."""
    header, samples = _unpack(body)
    return replace(load_window(header), samples=samples)


def pack_request(request: DecodeRequest) -> bytes:
    """A decode request as a body. Raises WireInvalid when its samples are not 1-D float32."""
    return _pack(dump_request(replace(request, samples=_EMPTY)), request.samples)


def unpack_request(body: bytes) -> DecodeRequest:
    """Inverse of `pack_request`. Raises WireInvalid."""
    header, samples = _unpack(body)
    return replace(load_request(header), samples=samples)


def max_body_bytes(samples: int) -> int:
    """The largest body with so many samples of sound."""
    return _PREFIX.size + MAX_HEADER_BYTES + 4 * samples


def _pack(header: bytes, samples: FloatArray) -> bytes:
    if samples.dtype != np.float32 or samples.ndim != 1:
        raise WireInvalid(f"sound must be 1-D float32, is {samples.ndim}-D {samples.dtype}")
    whole = _as_int16(samples)
    sound = samples.astype("<f4", copy=False) if whole is None else whole
    return b"".join((_PREFIX.pack(MAGIC, whole is not None, len(header)), header, sound.tobytes()))


def _as_int16(samples: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]] | None:
    """The sound as int16, None where that would not give back the same bits."""
    if not np.isfinite(samples).all():
        return None
    scaled = samples * _SCALE
    if len(scaled) and (scaled.min() < -32768 or scaled.max() > 32767):
        return None
    whole = scaled.astype("<i2")
    # Compared as bits: -0.0 is not 0.0 for a log of answers.
    same = np.array_equal((whole.astype(np.float32) / _SCALE).view(np.uint32), samples.view(np.uint32))
    return whole if same else None


def _unpack(body: bytes) -> tuple[bytes, FloatArray]:
    if len(body) < _PREFIX.size:
        raise WireInvalid(f"a body has at least {_PREFIX.size} bytes, this one {len(body)}")
    magic, number_format, header_bytes = _PREFIX.unpack_from(body)
    if magic != MAGIC:
        raise WireInvalid(f"the body begins with {magic!r}, not {MAGIC!r}")
    start = _PREFIX.size + header_bytes
    if header_bytes > MAX_HEADER_BYTES or start > len(body):
        raise WireInvalid(f"the header is said to have {header_bytes} bytes; the body has {len(body)}")
    size = {0: 4, 1: 2}.get(number_format)
    if size is None or (len(body) - start) % size:
        raise WireInvalid(f"{len(body) - start} bytes are no sound of number format {number_format}")
    if number_format == 1:
        samples = np.frombuffer(body, "<i2", offset=start).astype(np.float32) / _SCALE
    else:
        samples = np.frombuffer(body, "<f4", offset=start).astype(np.float32)
    return body[_PREFIX.size : start], samples
