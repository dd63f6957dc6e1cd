"""Settings of the log."""

from __future__ import annotations

from typing import Literal

from app.settings.base import Group


class LogGroup(Group):
    """Logging, always to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is written; debug is that of our own code alone."""

    format: Literal["text", "json"] = "text"
    """text for people, json (one object a line) for machines."""
