"""JSON values -> text with one record per line: readable, and a third of the lines of plain indentation."""

from __future__ import annotations

import json


def pretty(value: object, indent: str = "") -> str:
    """JSON text in which dicts and lists that hold only scalars stay on one line.

    Raises ValueError on NaN and infinity.
    """
    if isinstance(value, dict) and any(_nested(item) for item in value.values()):
        rows = [f"{_line(key)}: {pretty(item, indent + '  ')}" for key, item in value.items()]
        return _block("{}", rows, indent)
    if isinstance(value, list) and any(_nested(item) for item in value):
        return _block("[]", [pretty(item, indent + "  ") for item in value], indent)
    return _line(value)


def _nested(item: object) -> bool:
    return isinstance(item, dict | list)


def _block(brackets: str, rows: list[str], indent: str) -> str:
    body = ",\n".join(f"{indent}  {row}" for row in rows)
    return f"{brackets[0]}\n{body}\n{indent}{brackets[1]}"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
