"""The state of a live session as JSON: small, no sound, and exact to the bit, so that another process goes on alike.

Arrays are base64 of their little-endian bytes. Blocks give and take plain JSON values with `array_out` and `array_in`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from app.core.state import BadState
from app.errors import InputError

VERSION = 2


class BadSnapshot(InputError):
    """A snapshot that is damaged, of another version, or of a session with other models."""

    code = "snapshot_invalid"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """samples: where the sound has to go on; state: JSON values of every block."""

    samples: int
    state: dict[str, Any]

    def dump(self) -> bytes:
        """UTF-8 JSON."""
        return json.dumps(
            {"crosstalk_live": VERSION, "samples": self.samples, "state": self.state}, separators=(",", ":")
        ).encode()

    @classmethod
    def load(cls, raw: bytes) -> Snapshot:
        """Raises BadSnapshot."""
        try:
            read = json.loads(raw)
        except (ValueError, UnicodeDecodeError) as error:
            raise BadSnapshot("the snapshot is damaged: it is no JSON") from error
        if not isinstance(read, dict) or read.get("crosstalk_live") != VERSION:
            raise BadSnapshot(f"the snapshot is not one of a live session, version {VERSION}")
        samples, state = read.get("samples"), read.get("state")
        if not isinstance(samples, int) or samples < 0 or not isinstance(state, dict):
            raise BadSnapshot("the snapshot is damaged: its position or state is missing")
        return cls(samples, state)


__all__ = ["BadSnapshot", "BadState", "Snapshot"]
