"""All settings of a process, read from the environment and from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from app.settings.access import AccessGroup
from app.settings.base import Group
from app.settings.engine import EngineGroup
from app.settings.file import CONFIG, SettingsInvalid, Values, merged, read_file
from app.settings.jobs import JobsGroup, StoreGroup, WebhooksGroup
from app.settings.live import LiveGroup
from app.settings.log import LogGroup
from app.settings.metrics import MetricsGroup
from app.settings.server import LimitsGroup, ServerGroup
from app.settings.traces import TracesGroup

PREFIX = "CROSSTALK_"
DELIMITER = "__"


class Settings(BaseSettings):
    """All settings. Made by `load_settings`; tests build `Settings(...)` directly."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Path("data")
    """Everything that Crosstalk writes while it works lies under this folder."""

    weights_dir: Path | None = None
    """Folder of the models' weights; unset = `models/weights` of this installation."""

    debug: bool = False
    """Show Python tracebacks of errors on the command line."""

    api_key: Annotated[str, Field(repr=False)] = ""
    """API key that the client commands (`live`, `submit`, `status`) show to a server."""

    engine: EngineGroup = EngineGroup()
    limits: LimitsGroup = LimitsGroup()
    server: ServerGroup = ServerGroup()
    store: StoreGroup = StoreGroup()
    jobs: JobsGroup = JobsGroup()
    live: LiveGroup = LiveGroup()
    webhooks: WebhooksGroup = WebhooksGroup()
    access: AccessGroup = AccessGroup()
    log: LogGroup = LogGroup()
    metrics: MetricsGroup = MetricsGroup()
    traces: TracesGroup = TracesGroup()


@dataclass(frozen=True, slots=True)
class Loaded:
    """settings: of this process; file: where a part of them stands, None = nowhere; in_file: keys (`server.port`) that
    it sets."""

    settings: Settings
    file: Path | None = None
    in_file: frozenset[str] = frozenset()


def load_settings(overrides: Mapping[str, Mapping[str, object]] | None = None) -> Settings:
    """The settings of this process: `overrides` (group -> key -> value) over the environment, that over the file that
    CROSSTALK_CONFIG names, that over the defaults.

    An override of None means "not given". Raises SettingsInvalid naming the variable, key or option at fault.
    """
    settings = load_all().settings
    for group, values in (overrides or {}).items():
        settings = _overridden(settings, group, values)
    return settings


def load_all() -> Loaded:
    """The settings of this process, and where they come from. Raises SettingsInvalid."""
    known = {*setting_names(), CONFIG}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise SettingsInvalid(f"unknown setting {variable}; {_suggestion(variable.upper(), known)}", param=variable)
    name = os.environ.get(CONFIG, "")
    file = Path(name) if name else None
    values = read_file(file, dict(setting_keys())) if file is not None else {}
    in_file = frozenset(_flat(values))
    try:
        settings = Settings(**merged(values, EnvSettingsSource(Settings)()))  # type: ignore[arg-type]
    except ValidationError as error:
        raise _invalid(error, place=lambda key: _place(key, file, in_file)) from error
    except SettingsError as error:
        raise SettingsInvalid(f"a setting is not JSON: {error}") from error
    return Loaded(settings, file, in_file)


def setting_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every setting as it stands in a file (`server.port`), and whether it is a group."""
    for name, field in model.model_fields.items():
        group = group_of(field)
        yield f"{prefix}{name}", group is not None
        if group is not None:
            yield from setting_keys(group, f"{prefix}{name}.")


def setting_names() -> Iterator[str]:
    """Every environment variable that is a setting, groups included."""
    return (variable_of(key) for key, _ in setting_keys())


def variable_of(key: str) -> str:
    """`server.port` -> CROSSTALK_SERVER__PORT."""
    return PREFIX + key.replace(".", DELIMITER).upper()


def group_of(field: FieldInfo) -> type[Group] | None:
    """The group that a field holds; None for a single setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Group) else None


def in_environment(key: str) -> bool:
    """Whether the environment sets it, alone or in its group's JSON."""
    there = {name.upper(): value for name, value in os.environ.items()}
    if variable_of(key) in there:
        return True
    group, _, name = key.partition(".")
    try:
        return bool(name) and name in json.loads(there.get(variable_of(group), "{}"))
    except ValueError:
        return False


def _flat(values: Values, prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _overridden(settings: Settings, group: str, values: Mapping[str, object]) -> Settings:
    given = {key: value for key, value in values.items() if value is not None}
    current: BaseModel = getattr(settings, group)
    try:
        changed = type(current).model_validate(current.model_dump() | given)
    except ValidationError as error:
        raise _invalid(error, lambda key: variable_of(f"{group}.{key}")) from error
    return settings.model_copy(update={group: changed})


def _place(key: str, file: Path | None, in_file: Container[str]) -> str:
    return f"{key} in {file}" if key in in_file and not in_environment(key) else variable_of(key)


def _invalid(error: ValidationError, place: Callable[[str], str]) -> SettingsInvalid:
    first = error.errors(include_url=False)[0]
    # What follows the setting's own name is a place within its value.
    names = [part for part in first["loc"] if isinstance(part, str)]
    key = ".".join(names)
    shown = place(key)
    given = "" if key in secret_keys() else f" (is {first['input']!r})"
    return SettingsInvalid(f"{shown}: {first['msg']}{given}", param=shown.split(" ")[0])


def secret_keys(model: type[BaseModel] = Settings, prefix: str = "") -> set[str]:
    """Settings that are shown to nobody, as they stand in a file."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group is not None:
            found |= secret_keys(group, f"{prefix}{name}.")
        elif not field.repr:
            found.add(f"{prefix}{name}")
    return found


def _suggestion(variable: str, known: set[str]) -> str:
    close = get_close_matches(variable, known, n=1)
    return f"did you mean {close[0]}?" if close else "`crosstalk settings page` lists the settings"
