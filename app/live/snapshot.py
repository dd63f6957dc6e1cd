"""The state of a live session as JSON: small, no sound, and exact to the bit, so that another process goes on alike.

Arrays are base64 of their little-endian bytes. Blocks give and take plain JSON values with `array_out` and `array_in`.

Whoever changes what a block dumps raises `VERSION` and adds to `_UPGRADES` how a state of the version before becomes
one of the new, so that servers of two builds may stand side by side while one takes the other's place. The tests resume
what each of these versions has written (`tests/live/snapshots`). An older or a newer snapshot, and one of other models,
is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.state import BadState
from app.errors import InputError

VERSION = 3


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
        version = read.get("crosstalk_live") if isinstance(read, dict) else None
        if not isinstance(version, int) or (version != VERSION and version not in _UPGRADES):
            known = ", ".join(map(str, (*_UPGRADES, VERSION)))
            raise BadSnapshot(f"the snapshot has version {version!r}, and this server reads {known}")
        samples, state = read.get("samples"), read.get("state")
        if not isinstance(samples, int) or samples < 0 or not isinstance(state, dict):
            raise BadSnapshot("the snapshot is damaged: its position or state is missing")
        try:
            for number in range(version, VERSION):
                _UPGRADES[number](state)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise BadSnapshot(f"the snapshot of version {version} is damaged") from error
        return cls(samples, state)


def _from_2(state: dict[str, Any]) -> None:
    """A voice of the reviser had its window and local speaker, where it now has a number and whom it is not."""
    reviser = state["blocks"]["reviser"]
    cells = [(*cell[:4], int(cell[4]), int(cell[5])) for cell in reviser["cells"]]
    reviser["numbers"] = len(cells)
    reviser["cells"] = [
        [*cell[:4], number if cell[4] >= 0 else -1, _others(cells[:number], cell)] for number, cell in enumerate(cells)
    ]


def _others(before: list[tuple[Any, ...]], cell: tuple[Any, ...]) -> list[int]:
    """Numbers of the voices that were another local speaker's in the same window."""
    return [n for n, it in enumerate(before) if it[4] == cell[4] >= 0 and it[5] != cell[5]]


_UPGRADES: Mapping[int, Callable[[dict[str, Any]], None]] = {2: _from_2}
"""How the state of a version becomes one of the next."""


__all__ = ["BadSnapshot", "BadState", "Snapshot"]
