"""State of blocks as JSON values, exact to the bit: what a block's `dump` writes and its `load` reads."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

State = dict[str, Any]
"""JSON values only."""


class BadState(ValueError):
    """A state that no block of this version can have written."""


def array_out(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON values: dtype, shape, and base64 of its little-endian bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "dtype": little.dtype.str,
        "shape": list(array.shape),
        "data": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def array_in(state: Any, dtype: str, dimensions: int) -> NDArray[Any]:  # noqa: ANN401 (JSON values)
    """The array written by `array_out`. Raises BadState unless it has this dtype (as '<f4') and dimensions."""
    try:
        if state["dtype"] != dtype or len(state["shape"]) != dimensions:
            raise BadState(f"an array of {state['dtype']} {state['shape']} where {dtype} is due")
        raw = base64.b64decode(state["data"], validate=True)
        return np.frombuffer(raw, dtype=dtype).reshape(state["shape"]).astype(np.dtype(dtype).newbyteorder("="))
    except (KeyError, TypeError, binascii.Error) as error:
        raise BadState("an array is damaged") from error
    except BadState:
        raise
    except ValueError as error:
        raise BadState("an array's bytes do not fit its shape") from error
