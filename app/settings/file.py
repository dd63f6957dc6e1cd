"""A settings file (TOML) -> values by group and key, every key checked to be a setting."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from app.errors import SetupError


class SettingsInvalid(SetupError):
    """A setting is unknown or has a value that cannot be used. `param` is the environment variable, or the key of the
    settings file, at fault."""

    code = "settings_invalid"


Values = Mapping[str, object]
"""Key -> value, or the name of a group -> Values."""


def read_file(path: Path, known: Mapping[str, bool]) -> Values:
    """What the file sets. known: key as `server.port`, and whether it is a group.

    Raises SettingsInvalid when it cannot be read, is not TOML, or sets something that is no setting.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"the settings file {path} cannot be read: {error.strerror}", param=CONFIG) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"the settings file {path} is not TOML: {error}", param=CONFIG) from error
    for key, is_group in _keys(values):
        if key in FOR_ENVIRONMENT_ONLY:
            variable = f"CROSSTALK_{key.upper()}"
            raise SettingsInvalid(f"{key} in {path} would come too late: set {variable}", param=key)
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "`crosstalk settings page` lists the settings"
            raise SettingsInvalid(f"unknown setting {key} in {path}; {hint}", param=key)
        if known[key] != is_group:
            what = "a group of settings" if known[key] else "one setting, not a group"
            raise SettingsInvalid(f"{key} in {path}: it is {what}", param=key)
    return values


CONFIG = "CROSSTALK_CONFIG"
"""The environment variable that names the file."""

FOR_ENVIRONMENT_ONLY = frozenset({"debug"})
"""Needed before a file is read."""


def merged(under: Values, over: Values) -> dict[str, object]:
    """The values of both; where both set a key, that of `over`."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _keys(values: Values, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every key with its group before it, and whether it is a group itself."""
    for name, value in values.items():
        yield f"{prefix}{name}", isinstance(value, dict)
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
