from pathlib import Path

import pytest

from models.training.simulate.errors import OutputFailed
from models.training.simulate.plot import measure, overlap_lengths_s, plot_files
from models.training.simulate.timing import Transition, load_table
from models.training.simulate.turns import SpokenTurn, render_rttm

TALK = [SpokenTurn(0, 4, "a"), SpokenTurn(1, 2, "b"), SpokenTurn(1.5, 2.5, "c"), SpokenTurn(3.5, 6, "b")]


def test_overlaps_are_measured() -> None:
    assert overlap_lengths_s(TALK) == [1.5, 0.5]
    timing = measure("talk", [TALK, TALK])
    assert timing.shares == [pytest.approx(2 / 6)] * 2
    assert timing.gaps_s[Transition.BACKCHANNEL] == [-3.0, -2.5] * 2


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_text(render_rttm("a", TALK))
    plot_files([tmp_path / "a.rttm"], [tmp_path / "a.rttm"], load_table(), tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputFailed, match="none"):
        plot_files([tmp_path / "a.rttm"], [], load_table(), tmp_path / "none" / "out.png")
