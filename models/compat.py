"""What must be settled before `pyannote.audio`, `transformers` or `torchaudio` is imported. No data passes here.

Call `prepare()` first. A package that imports them does so in its own `__init__.py`, which runs before its modules.

Three things, each left alone where it is not needed:

- pyannote.audio reports usage figures to its authors unless told otherwise at import. Crosstalk tells it otherwise.
- A torchaudio built for CUDA cannot load its compiled libraries beside a CPU-only torch, and then refuses to import at
  all, and transformers with it. That part is not needed here (fbank and resampling are Python), so torchaudio is
  given the state it has when the libraries are absent.
- pyannote.audio warns at import when torchcodec cannot load. Crosstalk decodes audio with PyAV and hands over waveforms
  in memory.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NoReturn

_LOG = logging.getLogger(__name__)
_EXTENSION = "torchaudio._extension"
_TELEMETRY = "PYANNOTE_METRICS_ENABLED"
_TORCHCODEC_WARNING = r"\s*torchcodec is not installed correctly"


def prepare() -> None:
    """Make importing torchaudio, transformers and pyannote.audio safe. May be called any number of times.

    The user's own setting of PYANNOTE_METRICS_ENABLED is kept. Where torchaudio's libraries load, it is untouched.
    """
    os.environ.setdefault(_TELEMETRY, "0")
    warnings.filterwarnings("ignore", message=_TORCHCODEC_WARNING, category=UserWarning)
    if "torchaudio" not in sys.modules:
        _import_torchaudio()


def _import_torchaudio() -> None:
    """Import torchaudio as it is, or, if its compiled part fails, without that part."""
    try:
        importlib.import_module("torchaudio")
    except (OSError, RuntimeError, ImportError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "torchaudio":
            raise
        reason = error.__cause__ or error
        _LOG.info("torchaudio runs without its compiled part, which does not fit this torch: %s", reason)
    else:
        return
    stand_in = _pure_python_extension()
    sys.modules[_EXTENSION] = stand_in
    with ExitStack() as unless_done:
        unless_done.callback(sys.modules.pop, _EXTENSION)
        module = importlib.import_module("torchaudio")
        unless_done.pop_all()
    module.__dict__["_extension"] = stand_in


def _pure_python_extension() -> types.ModuleType:
    """A module with the names and values of `torchaudio._extension` (2.11) as they are when no library file exists."""
    module = types.ModuleType(_EXTENSION, "Stand-in: torchaudio without its compiled part.")
    module.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=_fail_if_no_align,
        _check_cuda_version=_check_cuda_version,
        _load_lib=_load_lib,
    )
    return module


def _fail_if_no_align(func: Callable[..., Any]) -> Callable[..., NoReturn]:
    """Decorator: the function needs the compiled part, so calling it fails with that reason."""

    @functools.wraps(func)
    def refused(*_args: object, **_kwargs: object) -> NoReturn:
        raise RuntimeError(f"{func.__name__} needs torchaudio's compiled part, which does not load beside this torch")

    return refused


def _check_cuda_version() -> None:
    """No compiled part, so no CUDA version to compare with torch's."""


def _load_lib(_lib: str) -> bool:
    """No library is loaded."""
    return False
