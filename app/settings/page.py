"""Every setting with its variable, values, default and meaning -> docs/settings.md; and what is set now, as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.settings.file import FOR_ENVIRONMENT_ONLY
from app.settings.load import Loaded, Settings, group_of, in_environment, variable_of

_HEAD = """# Settings

Made by `crosstalk settings page`; a test holds it up to date.

A setting is given in the environment (`CROSSTALK_SERVER__PORT=9000`) or in a TOML file that `CROSSTALK_CONFIG` names.
Options of a command win over the environment, the environment over the file, the file over the default. A name that is
no setting is refused, wherever it stands. In the environment a list is JSON (`'["https://a.example"]'`), and a group
may be given as a whole (`CROSSTALK_LOG='{"level": "debug"}'`). `crosstalk settings show` tells what is set and by what;
secrets are masked.

```toml
data_dir = "/var/lib/crosstalk"

[server]
host = "0.0.0.0"

[access]
required = true
```
"""
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "unset"}
_URL_PASSWORD = re.compile(r"(?<=://)[^/@\\s]*:[^/@\\s]*@")


def page() -> str:
    """The page in Markdown."""
    schema = Settings.model_json_schema()
    parts = [_HEAD, "## For everything\n", _table(Settings, schema, "")]
    for name, field in Settings.model_fields.items():
        group = group_of(field)
        if group is not None:
            below = schema["$defs"][group.__name__]
            about = " ".join((group.__doc__ or "").split())
            parts += [f"## `[{name}]`\n", f"{about}\n", _table(group, below, f"{name}.")]
    return "\n".join(parts)


def shown(loaded: Loaded) -> str:
    """Every setting as a line `key = value  # where from`; secrets are masked."""
    lines = [f"{key} = {value}  # {_origin(key, loaded)}\n" for key, value in _values(loaded.settings, "")]
    return "".join(lines)


def _origin(key: str, loaded: Loaded) -> str:
    if in_environment(key):
        return "environment"
    return f"file {loaded.file}" if key in loaded.in_file else "default"


def _values(model: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _values(value, f"{prefix}{name}.")
        elif not field.repr and value:
            yield f"{prefix}{name}", '"***"'
        else:
            text = json.dumps(value, ensure_ascii=False, default=str)
            yield f"{prefix}{name}", _URL_PASSWORD.sub("***@", text)


def _table(model: type[BaseModel], schema: Mapping[str, Any], prefix: str) -> str:
    lines = ["| setting | in the environment | values | default | meaning |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if group_of(field) is None:
            lines.append(_row(f"{prefix}{name}", field, schema["properties"][name]))
    return "\n".join(lines) + "\n"


def _row(key: str, field: FieldInfo, schema: Mapping[str, Any]) -> str:
    about = " ".join((field.description or "").split())
    if key in FOR_ENVIRONMENT_ONLY:
        about += " In the environment only."
    default = "unset" if field.default in (None, "") else f"`{json.dumps(field.default, default=str)}`"
    values = _kind(schema)
    if not field.repr:
        values += ", secret"
    return f"| `{key}` | `{variable_of(key)}` | {values} | {default} | {about} |".replace("\n", " ")


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if schema["type"] == "array":
        return "list of " + _kind(schema["items"])
    if schema.get("format") == "path":
        return "path"
    return _TYPES[schema["type"]] + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    said = (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))
    bounds = [f"{sign} {schema[name]:g}" for name, sign in said if name in schema]
    return " " + " and ".join(bounds) if bounds else ""
