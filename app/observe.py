"""Logging set-up: one line a message on stderr, as text for people or as JSON for machines.

Called once at an entry point, never at import.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from app.context import NAMES, AddContext
from app.redact import Redact

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class OwnDebug(logging.Filter):
    """Debug lines of our own code only: those of other libraries hold what goes over the wire, words and keys."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it may be written."""
        return record.levelno >= logging.INFO or record.name.partition(".")[0] in ("app", "models")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, request_id, session_id, job_id (null where
    there is none), the record's extras, and the traceback. The names stay; further ones may come."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: getattr(record, name, None) for name in NAMES}
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """One line for people; the ids stand at its end where there are any."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without traceback."""
        ids = [(name.removesuffix("_id"), getattr(record, name, None)) for name in NAMES]
        shown = " ".join(f"{name}={value}" for name, value in ids if value)
        line = super().formatMessage(record)
        return f"{line} [{shown}]" if shown else line


def set_up_logging(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (stderr by default).

    level: debug, info, warning or error; debug is that of our own code alone. style: text or json. Called again, it
    replaces what it set up before.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    if style == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter())
    handler.addFilter(OwnDebug())
    handler.addFilter(AddContext())
    handler.addFilter(Redact())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Uvicorn brings handlers of its own; its messages go the same way as ours.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
