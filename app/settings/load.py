"""All settings of a process, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.errors import SetupError
from app.settings.access import AccessGroup
from app.settings.base import Group
from app.settings.engine import EngineGroup
from app.settings.jobs import JobsGroup, StoreGroup, WebhooksGroup
from app.settings.live import LiveGroup
from app.settings.log import LogGroup
from app.settings.metrics import MetricsGroup
from app.settings.server import LimitsGroup, ServerGroup

PREFIX = "CROSSTALK_"
DELIMITER = "__"


class SettingsInvalid(SetupError):
    """A setting is unknown or has a value that cannot be used. `param` is the environment variable at fault."""

    code = "settings_invalid"


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


def load_settings(overrides: Mapping[str, Mapping[str, object]] | None = None) -> Settings:
    """The settings of this process: environment over defaults, and `overrides` (group -> key -> value) over both.

    An override of None means "not given". Raises SettingsInvalid naming the variable or option at fault.
    """
    known = set(setting_names())
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise SettingsInvalid(f"unknown setting {variable}; {_suggestion(variable.upper(), known)}", param=variable)
    try:
        settings = Settings()
        for group, values in (overrides or {}).items():
            settings = _overridden(settings, group, values)
    except ValidationError as error:
        raise _invalid(error) from error
    except SettingsError as error:
        raise SettingsInvalid(f"a setting is not JSON: {error}") from error
    return settings


def setting_names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """Every environment variable that is a setting, groups included."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from setting_names(field.annotation, variable + DELIMITER)


def _overridden(settings: Settings, group: str, values: Mapping[str, object]) -> Settings:
    given = {key: value for key, value in values.items() if value is not None}
    current: BaseModel = getattr(settings, group)
    try:
        changed = type(current).model_validate(current.model_dump() | given)
    except ValidationError as error:
        raise _invalid(error, (group,)) from error
    return settings.model_copy(update={group: changed})


def _invalid(error: ValidationError, within: tuple[str, ...] = ()) -> SettingsInvalid:
    first = error.errors(include_url=False)[0]
    place = (*within, *(str(part) for part in first["loc"]))
    variable = PREFIX + DELIMITER.join(place).upper()
    return SettingsInvalid(f"{variable}: {first['msg']} (is {first['input']!r})", param=variable)


def _suggestion(variable: str, known: set[str]) -> str:
    close = get_close_matches(variable, known, n=1)
    return f"did you mean {close[0]}?" if close else "the settings are listed in app/settings"
