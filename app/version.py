"""The version of Crosstalk that is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """As in pyproject.toml; `0+source` when the code runs from a folder that was never installed."""
    try:
        return version("crosstalk")
    except PackageNotFoundError:
        return "0+source"
