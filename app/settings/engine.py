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
    """CPU threads for one computation; 0 = as many as there are cores."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the decoder's weights; auto = float32 on a CPU, on a GPU float16 (moss, vibevoice: bfloat16)."""

    decoder: str = "cascade"
    """Which decoder writes the words: cascade, sot, moss or vibevoice (docs/decoders.md)."""

    decoder_model: str = ""
    """Other weights than the decoder's own: for sot a folder with a checkpoint (empty = the one that comes along),
    for moss and vibevoice a folder or REPOSITORY@COMMIT in the hub's cache on this machine."""

    decoder_window_s: Annotated[float, Field(ge=30, le=600)] = 30.0
    """Seconds of sound that moss and vibevoice hear at once; longer windows take more memory and answer later."""

    quantize: bool = False
    """8-bit integer weights for the decoder's linear layers, on a CPU: faster, slightly less exact."""

    max_diarize_batch: PositiveInt = 8
    """Windows of sound in one diarization batch, gathered over all sessions."""

    max_decode_batch: PositiveInt = 8
    """Requests in one decoding batch, gathered over all sessions."""

    max_wait_ms: Annotated[float, Field(ge=0)] = 20.0
    """How long a batch waits for company, in milliseconds."""

    max_waiting: PositiveInt = 256
    """Requests that may wait for the models before further ones are refused as overload."""
