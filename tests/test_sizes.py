"""Files and functions stay small enough to be read: 400 and 60 lines at most."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
FILES = sorted(path for folder in ("app", "models", "tests") for path in (ROOT / folder).rglob("*.py"))


def long_functions(source: str) -> list[str]:
    """Functions beyond the limit, decorators not counted."""
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_and_its_functions_are_short(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE_LINES
    assert long_functions(source) == []


def test_the_check_can_fail():
    assert long_functions("def long():\n" + "    x = 1\n" * 60) == ["long: 61 lines"]
    assert long_functions("def short():\n" + "    x = 1\n" * 59) == []
    assert len(FILES) > 50
