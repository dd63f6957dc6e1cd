from pathlib import Path

import numpy as np
import pytest

from models.training.simulate.errors import SettingsInvalid
from models.training.simulate.settings import Settings, bounds, draw, load_settings, settings_from


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_speakers", "0"), ("num_speakers", "2.5"), ("num_speakers", "4-2"), ("num_speakers", "few"),
        ("overlap", "0.9"), ("overlap", "lots"), ("duration_s", 1.0), ("duration_s", "long"), ("telephone", 1.5),
        ("seed", -1), ("seed", True), ("stems", 1), ("audio_format", "mp3"), ("prefix", "a/b"), ("rt60_s", "3"),
        ("opus_kbps", "500"), ("max_simultaneous", 1), ("num_meetings", 0), ("noise_snr_db", "loud"),
        ("gain_spread_db", -1.0), ("max_silence_s", 0.5),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(key: str, value: object) -> None:
    with pytest.raises(SettingsInvalid, match=key):
        settings_from({key: value})


def test_unknown_keys_are_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsInvalid, match=r"overlaps, speakers.*num_speakers"):
        settings_from({"speakers": 2, "overlaps": 0.3})


def test_numbers_serve_where_dials_are_wanted() -> None:
    settings = settings_from({"num_speakers": 3, "overlap": 0.3, "duration_s": 60})
    assert settings == Settings(num_speakers="3", overlap="0.3", duration_s=60.0)


def test_dials() -> None:
    rng = np.random.default_rng(0)
    assert draw("7", rng) == 7.0
    assert {draw("0,0.3", rng) for _ in range(50)} == {0.0, 0.3}
    values = [draw("10-30", rng) for _ in range(200)]
    assert 10 <= min(values) < 12 < 28 < max(values) <= 30
    assert bounds("10-30") == (10.0, 30.0)


def test_speaker_numbers_cycle_or_are_drawn() -> None:
    rng = np.random.default_rng(0)
    assert [Settings(num_speakers="2,2,3").speakers_of(index, rng) for index in range(4)] == [2, 2, 3, 2]
    assert {Settings(num_speakers="2-4").speakers_of(0, rng) for _ in range(60)} == {2, 3, 4}
    assert Settings(overlap="natural").overlap_of(rng) is None
    assert Settings(overlap="0.15").overlap_of(rng) == 0.15


def test_files_are_read_and_broken_ones_named(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text('seed = 3\nnum_speakers = "2-4"\n')
    assert settings_from(load_settings(tmp_path / "good.toml")) == Settings(seed=3)
    (tmp_path / "bad.toml").write_text("seed = \n")
    with pytest.raises(SettingsInvalid, match=r"bad\.toml"):
        load_settings(tmp_path / "bad.toml")
    with pytest.raises(SettingsInvalid, match=r"none\.toml"):
        load_settings(tmp_path / "none.toml")
