"""Prepared windows on disk: sound, encoder states, turns and first-pass text of each, in shards that are written whole.

A shard is `<number>.safetensors` (float16 states by window id), `<number>.sound` (int16 samples by window id, in the
same format) and `<number>.jsonl` (one window per line), the last written last: a shard exists when all do. `set.json`
says what the set was made from.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.training.errors import DataInvalid

SET_FILE = "set.json"
_SOUND = ".sound"
_FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """start, end: samples in the window; text: reference; first_pass: what the first pass wrote; overlap: share of the
    turn during which another speaks."""

    start: int
    end: int
    speaker: int
    text: str
    first_pass: str
    overlap: float


@dataclass(frozen=True, slots=True)
class PreparedWindow:
    """One window; its states lie in `shard` under its `name`."""

    name: str
    group: str
    samples: int
    speakers: tuple[str, ...]
    turns: tuple[PreparedTurn, ...]
    shard: Path


def write_shard(
    folder: Path,
    number: int,
    windows: Sequence[PreparedWindow],
    states: Sequence[torch.Tensor],
    sounds: Sequence[NDArray[np.float32]],
) -> None:
    """Write a shard; states are (frames, width) each, sounds (samples,) float32 in [-1, 1]."""
    path = shard_path(folder, number)
    halves = {item.name: state.to(torch.float16).contiguous() for item, state in zip(windows, states, strict=True)}
    shorts = {item.name: _to_int16(sound) for item, sound in zip(windows, sounds, strict=True)}
    partial = path.with_suffix(".partial")
    for tensors, place in ((halves, path), (shorts, path.with_suffix(_SOUND))):
        save_file(tensors, partial)
        os.replace(partial, place)
    write_rows(path, windows)


def write_rows(path: Path, windows: Sequence[PreparedWindow]) -> None:
    """The listing of the shard at `path`, which completes it."""
    rows = [{key: value for key, value in asdict(item).items() if key != "shard"} for item in windows]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path.with_suffix(".jsonl"))


def link_shard(source: Path, target: Path) -> None:
    """Give another set a shard's states and sound, as links or, across file systems, as copies."""
    for suffix in (source.suffix, _SOUND):
        place = target.with_suffix(suffix)
        place.unlink(missing_ok=True)
        try:
            os.link(source.with_suffix(suffix), place)
        except OSError:
            shutil.copyfile(source.with_suffix(suffix), place)


def _to_int16(sound: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.clip(np.rint(sound * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16))


def shard_path(folder: Path, number: int) -> Path:
    """The states' file of a shard."""
    return folder / f"{number:05d}.safetensors"


def has_shard(folder: Path, number: int) -> bool:
    """Whether a shard is complete."""
    path = shard_path(folder, number)
    return all(place.is_file() for place in (path, path.with_suffix(_SOUND), path.with_suffix(".jsonl")))


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Say what the set is made from, or check that it is made from the same.

    Raises:
        DataInvalid: the folder holds a set made from something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SET_FILE
    if path.exists():
        if read_description(folder) != json.loads(json.dumps(description)):
            raise DataInvalid(f"{folder} holds a set that was prepared from another recipe or other clips")
        return
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_description(folder: Path) -> dict[str, Any]:
    """What the set was made from. Raises DataInvalid."""
    try:
        values = json.loads((folder / SET_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"{folder} is not a prepared set: {error}") from error
    if not isinstance(values, dict):
        raise DataInvalid(f"{folder / SET_FILE} is not an object")
    return values


def read_windows(folder: Path, limit: int = 0) -> list[PreparedWindow]:
    """The windows of all complete shards, in order; `limit` > 0 takes the first ones only.

    Raises:
        DataInvalid: no set, no complete shard, or a damaged one; names the file.
    """
    read_description(folder)
    windows: list[PreparedWindow] = []
    for listing in sorted(folder.glob("*.jsonl")):
        shard = listing.with_suffix(".safetensors")
        if not shard.is_file():
            raise DataInvalid(f"shard {shard} is missing")
        windows.extend(_read_listing(listing, shard))
        if limit and len(windows) >= limit:
            return windows[:limit]
    if not windows:
        raise DataInvalid(f"{folder} holds no complete shard")
    return windows


def _read_listing(listing: Path, shard: Path) -> list[PreparedWindow]:
    try:
        rows = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
        return [
            PreparedWindow(
                **{**row, "speakers": tuple(row["speakers"]), "turns": tuple(PreparedTurn(**t) for t in row["turns"])},
                shard=shard,
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataInvalid(f"shard {listing} is damaged: {error!r}") from error


def read_states(window: PreparedWindow) -> torch.Tensor:
    """(frames, width) float16 encoder states of a window. Raises DataInvalid."""
    try:
        with safe_open(window.shard, framework="pt") as tensors:
            found: torch.Tensor = tensors.get_tensor(window.name)
            return found
    except (OSError, SafetensorError) as error:
        raise DataInvalid(f"shard {window.shard} has no states of window {window.name!r}: {error}") from error


def read_sound(window: PreparedWindow) -> NDArray[np.float32]:
    """(samples,) float32 sound of a window. Raises DataInvalid."""
    path = window.shard.with_suffix(_SOUND)
    try:
        with safe_open(path, framework="pt") as tensors:
            found: NDArray[np.int16] = tensors.get_tensor(window.name).numpy()
    except (OSError, SafetensorError) as error:
        raise DataInvalid(f"{path} has no sound of window {window.name!r}: {error}") from error
    return found.astype(np.float32) / np.float32(_FULL_SCALE)
