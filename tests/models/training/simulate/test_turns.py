import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.simulate.errors import TimingInvalid
from models.training.simulate.turns import SpokenTurn, overlap_amount, read_turns, render_rttm

SPAN = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(SPAN, max_size=12))
def test_overlap_equals_counting_every_unit_of_time(spans: list[tuple[int, int]]) -> None:
    active = np.zeros(100, dtype=int)
    for start, end in spans:
        active[start:end] += 1
    amount = overlap_amount(spans)
    assert (amount.speech, amount.overlapped) == (np.sum(active >= 1), np.sum(active >= 2))
    assert amount.share == pytest.approx(np.sum(active >= 2) / max(1, np.sum(active >= 1)))


def test_rttm_comes_back_as_it_was_written(tmp_path: Path) -> None:
    turns = [SpokenTurn(2.5, 3.75, "b"), SpokenTurn(0.125, 3.0, "a")]
    (tmp_path / "m.rttm").write_text(render_rttm("meeting", turns))
    assert read_turns(tmp_path / "m.rttm") == {"meeting": sorted(turns)}


def test_seglst_is_read_by_session(tmp_path: Path) -> None:
    rows = [
        {"session_id": name, "speaker": "a", "start_time": 1, "end_time": 2, "words": "hi", "extra": 0} for name in "xy"
    ]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    assert read_turns(tmp_path / "m.json") == {name: [SpokenTurn(1.0, 2.0, "a", "hi")] for name in "xy"}


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.rttm", "SPEAKER m 1 zero 1 <NA> <NA> a <NA> <NA>\n", "line 1"),
        ("a.rttm", "SPEAKER m 1 0.5\n", "line 1"),
        ("a.rttm", "\n", "no turns"),
        ("a.json", "{", "not JSON"),
        ("a.json", "{}", "list"),
        ("a.json", '[{"session_id": "m"}]', "entry 0"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, text: str, named: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(TimingInvalid, match=named):
        read_turns(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TimingInvalid, match=r"none\.rttm"):
        read_turns(tmp_path / "none.rttm")
