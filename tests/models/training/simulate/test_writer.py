import hashlib
from collections.abc import Callable
from pathlib import Path

import meeteval
import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE, decode_audio
from models.training.simulate.conversation import Placed
from models.training.simulate.errors import OutputFailed
from models.training.simulate.speech import Utterance
from models.training.simulate.turns import SpokenTurn, read_turns
from models.training.simulate.writer import rttm_of, seglst_of, write_audio, write_text


@pytest.mark.parametrize("suffix", ["flac", "wav"])
def test_audio_comes_back_to_the_last_bit(tmp_path: Path, suffix: str) -> None:
    samples = np.asarray(np.random.default_rng(0).uniform(-1, 1, 23_456), dtype=np.float32)
    path = tmp_path / f"a.{suffix}"
    digest = write_audio(path, samples)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    back = decode_audio(path)
    assert len(back) == len(samples)
    assert np.array_equal(np.round(back * 32768), np.round(samples * np.float32(32767)))
    assert write_audio(tmp_path / f"b.{suffix}", samples) == digest


def test_references_hold_the_same_meeting(tmp_path: Path, make_utterance: Callable[..., Utterance]) -> None:
    placed = [
        Placed(1, make_utterance(2.0, "b", pause=(0.5, 1.25)), 2 * SAMPLE_RATE),
        Placed(0, make_utterance(1.5, "a"), SAMPLE_RATE),
    ]
    (tmp_path / "m.rttm").write_text(rttm_of("m", placed, ["anna", "bob"]))
    (tmp_path / "m.seglst.json").write_text(seglst_of("m", placed, ["anna", "bob"]))
    assert read_turns(tmp_path / "m.rttm")["m"] == [
        SpokenTurn(1.0, 2.5, "anna"),
        SpokenTurn(2.0, 2.5, "bob"),
        SpokenTurn(3.25, 4.0, "bob"),
    ]
    assert read_turns(tmp_path / "m.seglst.json")["m"] == [
        SpokenTurn(1.0, 2.5, "anna", "text of a-1.5"),
        SpokenTurn(2.0, 4.0, "bob", "text of b-2.0"),
    ]
    loaded = meeteval.io.load(tmp_path / "m.seglst.json")
    assert meeteval.wer.tcpwer(loaded, loaded, collar=0)["m"].error_rate == 0
    assert meeteval.io.load(tmp_path / "m.rttm").filenames() == {"m"}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match=r"a\.flac"):
        write_audio(tmp_path / "none" / "a.flac", np.zeros(10, dtype=np.float32))
    with pytest.raises(OutputFailed, match=r"a\.rttm"):
        write_text(tmp_path / "none" / "a.rttm", "")
