"""Settings of the models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.settings.base import Group, PositiveInt


class EngineGroup(Group):
    """How the models run. Nothing here changes what a model is: that is read from its weights."""

    device: str = "auto"
    """Where the models run: auto (a GPU when there is one), cpu, cuda, cuda:1, ..."""

    num_threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads for one computation; 0 = half the cores, as diarization and decoding run side by side."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the decoder's weights; auto = float32 on a CPU, float16 on a GPU."""

    decoder: str = "cascade"
    """Which decoder writes the words."""

    quantize: bool | None = None
    """8-bit integer weights for the decoder's linear layers, on a CPU: faster, slightly less exact. Null, the default,
    means on a CPU with the decoder `cascade`, where they cost no accuracy."""

    max_diarize_batch: PositiveInt = 8
    """Windows of sound in one diarization batch, gathered over all sessions."""

    max_decode_batch: PositiveInt = 8
    """Requests in one decoding batch, gathered over all sessions."""

    max_wait_ms: Annotated[float, Field(ge=0)] = 20.0
    """How long a batch waits for company, in milliseconds."""

    max_waiting: PositiveInt = 256
    """Requests that may wait for the models before further ones are refused as overload."""
