"""What an engine is built from: plain values, so that choosing one loads no model. For `build.py` and `worker.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.engine.local import BatchRules


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How the models run; which answers they give is in their weights.

    weights_dir: folder of the weights, None = `models/weights` of this installation
    device: auto (a GPU when there is one), cpu, cuda, cuda:1, ...
    num_threads: CPU threads of one computation, 0 = half the cores, as two run side by side
    dtype: auto (float32 on a CPU, float16 on a GPU, bfloat16 there for moss and vibevoice), float32, float16 or
        bfloat16; of the decoder alone
    quantize: 8-bit linear layers of the decoder, on a CPU; None = where they cost no accuracy (target, cascade)
    candidates: texts drawn where the decoder is not sure, beside the likeliest one; of all, the one that agrees best
        with the others is taken (target)
    decoder: who writes the words: target, cascade, sot, moss or vibevoice
    decoder_model: a checkpoint's folder for sot; a folder or REPOSITORY@COMMIT of the hub for moss and vibevoice
    decoder_window_s: seconds of sound that moss or vibevoice hears at once
    """

    weights_dir: Path | None = None
    device: str = "auto"
    num_threads: int = 0
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    quantize: bool | None = None
    candidates: int = 4
    decoder: str = "target"
    decoder_model: str = ""
    decoder_window_s: float = 30.0


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Of an engine that calls inference workers; what they mean stands in `remote.PoolRules` and
    `http_client.HttpRules`."""

    urls: tuple[str, ...] = ()
    token: str = ""
    identity: str = ""
    timeout_s: float = 180.0
    call_timeout_s: float = 60.0
    check_s: float = 2.0
    check_timeout_s: float = 5.0
    start_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine, and how.

    kind: local = models in this process; http = in workers at `http.pool.urls`; replay = no models, only the answers
        in `log`
    log: file of an earlier run's answers for the same recording. Needed for replay; else, None = none is kept;
        with one the run goes on at the file's first gap and adds to it
    """

    kind: Literal["local", "http", "replay"] = "local"
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    batching: BatchRules = field(default_factory=BatchRules)
    http: HttpSettings = field(default_factory=HttpSettings)
    log: Path | None = None
