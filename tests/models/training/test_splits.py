"""A manifest divided by speaker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.training.commands import main
from models.training.simulate.clips import load_manifest
from models.training.simulate.errors import ManifestInvalid
from models.training.splits import is_held_out, split_manifest


def write_manifest(folder: Path, speakers: int, meetings: bool = False) -> Path:
    folder.mkdir()
    rows = []
    for number in range(3 * speakers):
        (folder / f"{number}.ogg").write_bytes(b"x")
        row = {"file": f"{number}.ogg", "speaker": f"s{number % speakers}", "text": "a", "duration": 1.0}
        rows.append(row | ({"meeting": f"m{number % speakers // 2}", "turn": number} if meetings else {}))
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("meetings", [False, True])
def test_the_parts_are_the_whole_and_share_no_speaker(tmp_path: Path, meetings: bool) -> None:
    path = write_manifest(tmp_path / "clips", 40, meetings)
    train, held_out = tmp_path / "train.jsonl", tmp_path / "dev.jsonl"
    kept, out = split_manifest(path, train, held_out, 0.3)
    parts = load_manifest(train), load_manifest(held_out)
    assert (len(parts[0].clips), len(parts[1].clips)) == (kept, out)
    assert kept > out > 0
    assert not set(parts[0].by_speaker()) & set(parts[1].by_speaker())
    found = {clip.path.resolve() for part in parts for clip in part.clips}
    assert found == {clip.path.resolve() for clip in load_manifest(path).clips}
    if meetings:
        assert not {clip.meeting for clip in parts[0].clips} & {clip.meeting for clip in parts[1].clips}


def test_a_name_stays_on_its_side_when_the_share_grows() -> None:
    names = [f"speaker-{number}" for number in range(200)]
    few, many = ({name for name in names if is_held_out(name, share)} for share in (0.1, 0.3))
    assert few < many


def test_an_empty_part_is_an_error(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "clips", 2)
    with pytest.raises(ManifestInvalid, match="no clips"):
        split_manifest(path, tmp_path / "a.jsonl", tmp_path / "b.jsonl", 0.0)
    assert (
        main(["split", str(path), "--train", str(tmp_path / "a"), "--held-out", str(tmp_path / "b"), "--share", "0"])
        == 1
    )
