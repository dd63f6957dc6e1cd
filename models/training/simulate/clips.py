"""First step of the simulator: a manifest of single-speaker clips in, typed records and decoded sound out.

`manifest.jsonl`: one JSON object per line with `file` (relative to the manifest), `speaker`, `text`, `duration` (in
seconds), and optionally `meeting` and `turn` (clips of one scripted conversation, in order). Other keys are allowed and
ignored, since manifests carry facts about the speakers that the simulator does not need.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from models.training.simulate.errors import ClipUnreadable, ManifestInvalid, SpeakersShared

SAMPLE_RATE = 16_000
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance of one speaker, as the manifest has it. `meeting`, `turn`: its place in a scripted conversation."""

    file: str
    path: Path
    speaker: str
    text: str
    duration_s: float
    meeting: str | None = None
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """All clips of one manifest, in its order. `sha256` is that of the manifest file."""

    name: str
    sha256: str
    clips: tuple[Clip, ...]

    def by_speaker(self) -> dict[str, tuple[Clip, ...]]:
        """Clips of each speaker, speakers sorted by name, clips in the manifest's order."""
        found: dict[str, list[Clip]] = {}
        for clip in self.clips:
            found.setdefault(clip.speaker, []).append(clip)
        return {speaker: tuple(found[speaker]) for speaker in sorted(found)}


def load_manifest(path: Path) -> Manifest:
    """Read and check a manifest. A line that repeats an earlier one exactly is dropped.

    Raises:
        ManifestInvalid: unreadable file, broken line, missing or wrong key, missing clip, one clip with two
            different lines, no clips.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestInvalid(f"manifest {path} cannot be read: {error.strerror}") from error
    lines = raw.decode("utf-8", errors="replace").splitlines()
    clips = [_parse_line(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not clips:
        raise ManifestInvalid(f"manifest {path} names no clips")
    unique: dict[str, Clip] = {}
    for clip in clips:
        if unique.setdefault(clip.file, clip) != clip:
            raise ManifestInvalid(f"manifest {path} names clip {clip.file!r} twice, with different contents")
    missing = [file for file, clip in unique.items() if not clip.path.is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise ManifestInvalid(f"manifest {path} names {len(missing)} missing file(s): {shown}")
    return Manifest(path.name, hashlib.sha256(raw).hexdigest(), tuple(unique.values()))


def _parse_line(line: str, path: Path, number: int) -> Clip:
    where = f"manifest {path} line {number}"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestInvalid(f"{where}: not JSON: {error.msg}") from error
    if not isinstance(row, dict):
        raise ManifestInvalid(f"{where}: expected an object")
    for key in ("file", "speaker", "text"):
        if not isinstance(row.get(key), str) or (key != "text" and not row[key]):
            raise ManifestInvalid(f"{where}: {key!r} must be a string")
    duration = row.get("duration")
    if isinstance(duration, bool) or not isinstance(duration, int | float) or duration <= 0:
        raise ManifestInvalid(f"{where}: 'duration' must be a positive number of seconds")
    meeting, turn = row.get("meeting"), row.get("turn")
    return Clip(
        file=row["file"],
        path=path.parent / row["file"],
        speaker=row["speaker"],
        text=row["text"],
        duration_s=float(duration),
        meeting=meeting if isinstance(meeting, str) else None,
        turn=turn if isinstance(turn, int) else None,
    )


def check_disjoint(train: Iterable[str], dev: Iterable[str]) -> None:
    """Refuse speakers that appear in both lists.

    Raises:
        SpeakersShared: names the shared speakers.
    """
    shared = sorted(set(train) & set(dev))
    if shared:
        shown = ", ".join(shared[:10]) + (", ..." if len(shared) > 10 else "")
        raise SpeakersShared(f"{len(shared)} speaker(s) are in both the training and the development list: {shown}")


def decode_audio(path: Path) -> FloatArray:
    """Decode any audio file to (samples,) float32 mono at 16 kHz.

    Raises:
        ClipUnreadable: not media, no audio track, damaged, or empty.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise ClipUnreadable(f"clip {path} has no audio track")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
            parts.extend(resampler.resample(None))
    except (FFmpegError, OSError) as error:
        raise ClipUnreadable(f"clip {path} cannot be decoded: {error}") from error
    if not parts:
        raise ClipUnreadable(f"clip {path} holds no sound")
    return np.concatenate([part.to_ndarray().reshape(-1) for part in parts]).astype(np.float32, copy=False)
