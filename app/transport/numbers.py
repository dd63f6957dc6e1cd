"""Whole numbers as JSON has them: 5.0 is one, true and "5" are not."""

from __future__ import annotations

from pydantic import BeforeValidator


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""For models that are strict. Stands behind the limits of the number, or JSON Schema would not have these."""
