"""Snapshots over the builds: what the build before has written is gone on from, anything else is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.core.live_commit import CommitRules
from app.core.times import SAMPLE_RATE
from app.core.types import Segment, Word
from app.live.rules import LiveRules
from app.live.snapshot import VERSION, BadSnapshot, Snapshot
from tests.live.test_live_session import finals, live

STORED = sorted((Path(__file__).parent / "snapshots").glob("version-*.json"))
"""A snapshot of each version, of the same session at the same place, as a build of that version wrote it."""


def spoken(segments: list[Segment]) -> list[tuple[int, Word]]:
    """Every word with its speaker."""
    return [(segment.speaker, word) for segment in segments for word in segment.words]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_what_an_earlier_build_has_written_is_gone_on_from(path: Path) -> None:
    snapshot = Snapshot.load(path.read_bytes())
    assert snapshot.state["done"] > 120_000
    rules = LiveRules(commit=CommitRules(open_samples=2 * SAMPLE_RATE))  # as they were when it was written
    rest = finals(live(resume=snapshot, rules=rules))
    assert len(rest) >= 3
    # Where the builds cut a turn that goes on may differ, and so the numbers of the segments; never what was said.
    words = spoken(rest)
    assert words == spoken(finals(live(rules=rules)))[-len(words) :]


def test_every_version_that_can_be_read_is_tested() -> None:
    assert [path.stem for path in STORED] == [f"version-{number}" for number in range(2, VERSION)]


def test_voices_of_one_window_stay_apart_over_the_builds() -> None:
    """Version 2 knew a voice's window and local speaker; what follows from them is kept."""
    state = json.loads(STORED[0].read_text())
    reviser = state["state"]["blocks"]["reviser"]
    reviser["cells"] = [[*reviser["cells"][0][:4], *told] for told in ((7, 0), (7, 1), (-1, 0), (8, 1))]
    read = Snapshot.load(json.dumps(state).encode()).state["blocks"]["reviser"]
    assert [cell[4:] for cell in read["cells"]] == [[0, []], [1, [0]], [-1, []], [3, []]]
    assert read["numbers"] == 4


@pytest.mark.parametrize("version", [1, VERSION + 1, None, "2", [2]])
def test_any_other_version_is_refused(version: object) -> None:
    state = json.loads(STORED[0].read_text()) | {"crosstalk_live": version}
    with pytest.raises(BadSnapshot, match=r"version .* and this server reads"):
        Snapshot.load(json.dumps(state).encode())


def test_a_damaged_one_of_an_earlier_version_is_refused() -> None:
    state = json.loads(STORED[0].read_text())
    state["state"]["blocks"]["reviser"]["cells"] = [[1, 2]]
    with pytest.raises(BadSnapshot, match="version 2 is damaged"):
        Snapshot.load(json.dumps(state).encode())
