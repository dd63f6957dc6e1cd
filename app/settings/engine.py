"""Settings of the models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.settings.base import Group, PositiveFloat, PositiveInt


class EngineGroup(Group):
    """How the models run. Nothing here changes what a model is: that is read from its weights."""

    kind: Literal["local", "http"] = "local"
    """local = the models run in this process; http = in inference workers (`crosstalk infer`) at `urls`."""

    urls: tuple[str, ...] = ()
    """Inference workers, as a JSON list of URLs; a name with several addresses stands for a worker per address."""

    token: Annotated[str, Field(repr=False)] = ""
    """What inference workers want to see of their callers, and callers show them; empty = nothing."""

    identity: str = ""
    """Models that workers must run, as `/v1/infer/about` tells it; empty = those of the first that answers."""

    request_timeout_s: PositiveFloat = 180.0
    """Longest time for one request to the workers, waiting and repeating included, in seconds."""

    call_timeout_s: PositiveFloat = 60.0
    """Longest time for one call to one worker, in seconds; then another one is asked."""

    check_s: PositiveFloat = 2.0
    """How often every worker is asked whether it is well, in seconds."""

    check_timeout_s: PositiveFloat = 5.0
    """How long its answer may take, in seconds; after two silences in a row its calls go to others."""

    start_timeout_s: PositiveFloat = 60.0
    """How long a first worker is waited for at start, in seconds."""

    max_inside: PositiveInt = 512
    """Requests that an inference worker takes at once; further ones go to other workers."""

    device: str = "auto"
    """Where the models run: auto (a GPU when there is one), cpu, cuda, cuda:1, ..."""

    num_threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads for one computation; 0 = half the cores, as diarization and decoding run side by side."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the decoder's weights; auto = float32 on a CPU, on a GPU float16 (moss, vibevoice: bfloat16)."""

    decoder: str = "target"
    """Which decoder writes the words: target, cascade, sot, moss or vibevoice (docs/decoders.md)."""

    decoder_model: str = ""
    """Other weights than the decoder's own: for sot and target a folder with a checkpoint (empty = the one that comes
    along), for moss and vibevoice a folder or REPOSITORY@COMMIT in the hub's cache on this machine."""

    decoder_window_s: Annotated[float, Field(ge=30, le=600)] = 30.0
    """Seconds of sound that moss and vibevoice hear at once; longer windows take more memory and answer later."""

    quantize: bool | None = None
    """8-bit integer weights for the decoder's linear layers, on a CPU: faster, slightly less exact. Null, the default,
    means on a CPU with the decoders `target` and `cascade`, where they cost no accuracy."""

    candidates: Annotated[int, Field(ge=0, le=16)] = 4
    """Texts that the decoder `target` draws for what it is not sure of, beside the likeliest one; of all of them the
    one that agrees best with the others is taken. 0 = only the likeliest one: faster, more words in error."""

    max_diarize_batch: PositiveInt = 8
    """Windows of sound in one diarization batch, gathered over all sessions."""

    max_decode_batch: PositiveInt = 8
    """Requests in one decoding batch, gathered over all sessions."""

    max_wait_ms: Annotated[float, Field(ge=0)] = 20.0
    """How long a batch waits for company, in milliseconds."""

    max_waiting: PositiveInt = 256
    """Requests that may wait for the models before further ones are refused as overload."""

    patience_s: PositiveFloat = 20.0
    """How long requests of live sessions may pass over one of a recording, in seconds; then one batch of recordings
    goes first, and the next after as long again."""
