"""Prepared sets: what is written is read back, what is incomplete or foreign is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.training.errors import DataInvalid
from models.training.shards import has_shard, read_states, read_windows, write_description
from tests.models.sot.tiny import ENCODER_WIDTH, write_set


def test_windows_are_read_back(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    windows = read_windows(folder)
    assert [window.name for window in windows] == [f"ann-{number}" for number in range(4)]
    assert windows[2].turns[0].text == "yes 2"
    assert read_states(windows[0]).shape == (100, ENCODER_WIDTH)
    assert read_states(windows[0]).dtype == torch.float16
    assert len(read_windows(folder, 3)) == 3
    assert has_shard(folder, 0)
    assert not has_shard(folder, 1)


def test_another_set_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    with pytest.raises(DataInvalid, match="prepared from another recipe"):
        write_description(folder, {"encoder": "other"})


def test_no_set_and_no_shard_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="is not a prepared set"):
        read_windows(tmp_path / "none")
    write_description(tmp_path / "empty", {"encoder": "x"})
    with pytest.raises(DataInvalid, match="no complete shard"):
        read_windows(tmp_path / "empty")


def test_a_missing_or_damaged_shard_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    windows = read_windows(folder)
    shard = folder / "00000.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:50])
    with pytest.raises(DataInvalid, match=r"00000\.safetensors"):
        read_states(windows[0])
    shard.unlink()
    with pytest.raises(DataInvalid, match="is missing"):
        read_windows(folder)
    shard.write_bytes(whole)
    (folder / "00000.jsonl").write_text("{}\n")
    with pytest.raises(DataInvalid, match=r"00000\.jsonl is damaged"):
        read_windows(folder)
