"""One manifest -> two of different speakers, for corpora that come without a development part.

A speaker's part follows from a hash of the name alone, so it stays the same when a corpus grows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from models.training.simulate.clips import Clip, load_manifest
from models.training.simulate.errors import ManifestInvalid


def split_manifest(path: Path, train: Path, held_out: Path, share: float) -> tuple[int, int]:
    """Write two manifests whose speakers together are those of the first; the clips stay where they are.

    Args:
        path: the manifest to divide. Clips of one `meeting` stay together.
        train, held_out: the files to write, in folders that exist.
        share: of the speakers (of the meetings, where clips have one) that are held out, between 0 and 1.

    Returns:
        Number of clips in each.

    Raises:
        ManifestInvalid: unusable, or so few speakers that one part would be empty.
    """
    parts: tuple[list[Clip], list[Clip]] = ([], [])
    for clip in load_manifest(path).clips:
        parts[is_held_out(clip.meeting or clip.speaker, share)].append(clip)
    if not all(parts):
        raise ManifestInvalid(f"manifest {path} cannot be divided with share {share}: one part would have no clips")
    for target, clips in zip((train, held_out), parts, strict=True):
        _write(target, clips)
    return len(parts[0]), len(parts[1])


def is_held_out(name: str, share: float) -> bool:
    """Whether a speaker (or meeting) of this name belongs to the held-out part."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return number < share * 2**64


def _write(target: Path, clips: Iterable[Clip]) -> None:
    rows = []
    for clip in clips:
        row: dict[str, object] = {
            "file": str(clip.path.resolve()),
            "speaker": clip.speaker,
            "text": clip.text,
            "duration": clip.duration_s,
        }
        if clip.meeting is not None:
            row |= {"meeting": clip.meeting, "turn": clip.turn}
        rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text("".join(rows), encoding="utf-8")
    os.replace(partial, target)
