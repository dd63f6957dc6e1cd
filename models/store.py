"""Weight files on disk: the path of a file whose bytes are those pinned in the registry, or a clear error.

Loaders call `require`. Hashing 280 MB at every start would cost a second, so the size, time of change and sha256 of
each verified file are kept in `verified.json` beside the weights; a file whose size or time differs is hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TypeAlias

from models.errors import WeightsMismatch, WeightsMissing, WeightsStorage
from models.registry import Registry, WeightFile

_LOG = logging.getLogger(__name__)
_VERIFIED = "verified.json"

STORAGE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.EEXIST}
)
"""What an OSError carries when the disk, not a source, is at fault."""

Stamp: TypeAlias = tuple[int, int, str]
"""(size in bytes, time of change in ns, sha256) of a verified file."""


def require(registry: Registry, name: str, weights_dir: Path) -> Path:
    """The path of the weight file `name`, verified.

    Raises:
        RegistryError: the registry holds no such name.
        WeightsMissing: the file is not on disk.
        WeightsMismatch: the file is on disk with other bytes.
        WeightsStorage: the file cannot be read.
    """
    weight = registry.one(name)
    path = weight.path(weights_dir)
    found = verified_sha256(weight, weights_dir)
    if found is None:
        raise WeightsMissing(weight.name, path)
    if found not in weight.accepted_sha256:
        raise WeightsMismatch(weight.name, str(path), weight.sha256, found)
    return path


def is_present(weight: WeightFile, weights_dir: Path) -> bool:
    """Whether the file is on disk with bytes that the registry accepts. Raises WeightsStorage when unreadable."""
    return verified_sha256(weight, weights_dir) in weight.accepted_sha256


def verified_sha256(weight: WeightFile, weights_dir: Path) -> str | None:
    """The sha256 of the file on disk, from `verified.json` where it stands unchanged; None when there is no file."""
    path = weight.path(weights_dir)
    try:
        if not path.is_file():
            return None
        stat = path.stat()
        key = str(weight.file)
        stamp = _read_verified(weights_dir).get(key)
        if stamp is not None and stamp[:2] == (stat.st_size, stat.st_mtime_ns):
            return stamp[2]
        found = sha256_of(path)
    except OSError as error:
        raise WeightsStorage(f"weights {weight.name!r} cannot be read: {error}") from error
    if found in weight.accepted_sha256:
        _remember(weights_dir, key, (stat.st_size, stat.st_mtime_ns, found))
    return found


def sha256_of(path: Path) -> str:
    """Hash of a file, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_verified(weights_dir: Path) -> dict[str, Stamp]:
    """The kept stamps; empty when there are none or the file is damaged, as they can always be made again."""
    try:
        raw = json.loads((weights_dir / _VERIFIED).read_text(encoding="utf-8"))
        return {str(key): (int(item[0]), int(item[1]), str(item[2])) for key, item in raw.items()}
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return {}


def _remember(weights_dir: Path, key: str, stamp: Stamp) -> None:
    """Keep a stamp. Weights on a read-only volume are served as well, so a failure to write is only logged."""
    stamps = {**_read_verified(weights_dir), key: stamp}
    part = weights_dir / f".{_VERIFIED}.{os.getpid()}.part"
    try:
        part.write_text(json.dumps(stamps, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(weights_dir / _VERIFIED)
    except OSError as error:
        _LOG.debug("%s is not kept: %s", _VERIFIED, error)
