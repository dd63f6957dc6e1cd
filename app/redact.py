"""Log lines without secrets: what stands in URLs (`token=`, `share=`) or looks like a key of ours is masked."""

from __future__ import annotations

import logging
import re

_SECRETS = re.compile(r"((?:token|share)=)[^&\s\"']+|(ct[kt]_[0-9a-f]{16}_)[0-9A-Za-z_-]{43}")


def masked(text: str) -> str:
    """The text with its secrets masked; a key's id stays."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2]}***", text)


class Redact(logging.Filter):
    """On the handler of the log, so that other libraries' lines pass it too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Masks; lets everything pass."""
        text = record.getMessage()
        shown = masked(text)
        if shown != text:
            record.msg, record.args = shown, ()
        return True
