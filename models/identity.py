"""Which models were loaded: a hash over their weight files and the settings that change answers.

Two machines whose hashes are equal give interchangeable answers. The registry notes which of its files were asked for,
so that a decoder that needs further weights need not say so twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.registry import Registry, WeightFile
from models.store import sha256_of


@dataclass(frozen=True, slots=True)
class WatchedRegistry(Registry):
    """A registry that notes what is taken from it. used: name -> the file"""

    used: dict[str, WeightFile] = field(default_factory=dict)

    @classmethod
    def of(cls, registry: Registry) -> WatchedRegistry:
        """A watched copy."""
        return cls(registry.files, registry.profiles, registry.public)

    def one(self, name: str) -> WeightFile:
        """See Registry."""
        weight = Registry.one(self, name)
        self.used[name] = weight
        return weight


def identity_of_weights(used: dict[str, WeightFile], files: Iterable[Path], how: Sequence[str]) -> str:
    """Hash over weights of the registry, further files by name and content, and `how` they run; 32 characters.

    A weight file stands for its main sha256: what another source gives is registered as the same weights.
    """
    lines = [f"weights {name} {weight.sha256}" for name, weight in used.items()]
    lines += [f"file {path.name} {sha256_of(path)}" for path in files if path.is_file()]
    return hashlib.sha256("\n".join([*sorted(lines), *how]).encode()).hexdigest()[:32]


def described(source: str) -> tuple[str, ...]:
    """A public model by where it is from: a pinned commit as it is named, a folder by its files and their sizes.

    Such weights are tens of gigabytes: hashing them would make every start minutes longer.
    """
    folder = Path(source)
    if not folder.is_dir():
        return (source,)
    files = (path for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(f"{path.relative_to(folder)} {path.stat().st_size}" for path in files))
