"""Data preparation: recipe and clips in, shards of windows with encoder states and first-pass text out.

The first-pass text of a turn is what the decoder's first pass writes for it, so that training sees the mistakes that
decoding will. Shards that exist are left alone: a preparation that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.asr.whisper import AsrSettings
from models.decoders.build import DecoderSettings, load_first_pass
from models.device import choose_device, choose_dtype, use_threads
from models.named import load_asr
from models.registry import load_registry
from models.training.errors import DataInvalid
from models.training.first_pass import first_pass
from models.training.recipe import PrepareSettings
from models.training.shards import PreparedTurn, PreparedWindow, has_shard, shard_path, write_description, write_shard
from models.training.simulate.clips import check_disjoint, load_manifest
from models.training.simulate.timing import DEFAULT_TABLE, load_table
from models.training.style import is_formatted
from models.training.windows import SimulatedWindow, WindowTurn, make_window


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """encoder: its name; manifests: path of each manifest by its short name in the recipe.

    first_pass: what writes the turns' text; held_out: manifests whose speakers must not be in the set; folder: where
    the shards go; for_target: for the target-speaker model alone, which hears the sound itself and learns its style
    from formatted references: no encoder states, first-pass text only where references have neither case nor marks.
    """

    settings: PrepareSettings
    encoder: str
    manifests: Mapping[str, Path]
    held_out: tuple[Path, ...]
    folder: Path
    weights_dir: Path
    device: str = "auto"
    first_pass: str = "cascade"
    for_target: bool = False


def prepare(job: PrepareJob, jobs: int = 1, progress: Callable[[int, int], None] | None = None) -> None:
    """Make all shards that do not exist yet.

    Args:
        jobs: number of processes; any number gives the same shards.
        progress: called with (shards done, shards in all).

    Raises:
        DataInvalid: a manifest of the recipe was not given, or the folder holds another set.
        SimulationError: a manifest is unusable, or shares speakers with a held-out one.
    """
    _check(job)
    count = len(list(plan(job.settings)))
    todo = [number for number in range(count) if not has_shard(job.folder, number)]
    done = count - len(todo)
    for _ in _run(job, todo, jobs):
        done += 1
        if progress is not None:
            progress(done, count)


def plan(settings: PrepareSettings) -> Iterator[list[tuple[int, int]]]:
    """The windows (group, index) of each shard: all groups shuffled, so that any first shards are a fair mix."""
    every = [(number, index) for number, group in enumerate(settings.groups) for index in range(group.windows)]
    order = np.random.default_rng([settings.seed, 7]).permutation(len(every))
    for begin in range(0, len(every), settings.shard_windows):
        yield [every[int(place)] for place in order[begin : begin + settings.shard_windows]]


def _check(job: PrepareJob) -> None:
    missing = sorted({group.manifest for group in job.settings.groups} - set(job.manifests))
    if missing:
        raise DataInvalid(f"the recipe needs manifest(s) {', '.join(missing)}; give them as NAME=PATH")
    if not job.settings.groups:
        raise DataInvalid("the recipe has no groups to prepare")
    loaded = {name: load_manifest(path) for name, path in job.manifests.items()}
    speakers = [speaker for manifest in loaded.values() for speaker in manifest.by_speaker()]
    held_out = [speaker for path in job.held_out for speaker in load_manifest(path).by_speaker()]
    check_disjoint(speakers, held_out)
    description = {
        "encoder": None if job.for_target else job.encoder,
        "first_pass": job.first_pass,
        "prepare": dataclasses.asdict(job.settings),
        "manifests": {name: manifest.sha256 for name, manifest in sorted(loaded.items())},
    }
    write_description(job.folder, description)


def _run(job: PrepareJob, todo: list[int], jobs: int) -> Iterator[None]:
    if jobs <= 1:
        maker = ShardMaker(job)
        for number in todo:
            maker.make(number)
            yield
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(job,)) as pool:
        yield from pool.map(_make_in_worker, todo)


class ShardMaker:
    """One process's models and manifests."""

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        device = choose_device(job.device)
        if device == "cpu":
            use_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        settings = AsrSettings(device, choose_dtype("auto", device))
        self._asr = load_asr(job.encoder, load_registry(), job.weights_dir, settings)
        how = DecoderSettings(load_registry(), job.weights_dir, device, settings.dtype)
        self._first = load_first_pass(job.first_pass, how, self._asr)
        self._manifests = {name: load_manifest(path) for name, path in job.manifests.items()}
        self._table = load_table(DEFAULT_TABLE)
        self._plan = list(plan(job.settings))

    def make(self, number: int) -> None:
        """Make and write shard number `number`."""
        settings = self._job.settings
        windows = []
        for place, index in self._plan[number]:
            group = settings.groups[place]
            windows.append(make_window(group, self._manifests[group.manifest], self._table, settings.seed, index))
        sounds, turns = [window.samples for window in windows], [window.turns for window in windows]
        asked = [place for place, own in enumerate(turns) if not self._job.for_target or _needs_style(own)]
        heard = first_pass(self._first, [sounds[place] for place in asked], [turns[place] for place in asked])
        by_place = dict(zip(asked, heard, strict=True))
        texts = [by_place.get(place, [""] * len(own)) for place, own in enumerate(turns)]
        written = [self._prepared(window, own) for window, own in zip(windows, texts, strict=True)]
        shard = shard_path(self._job.folder, number)
        rows = [dataclasses.replace(item, shard=shard) for item, _ in written]
        write_shard(self._job.folder, number, rows, [state for _, state in written], sounds)

    def _prepared(self, window: SimulatedWindow, texts: Sequence[str]) -> tuple[PreparedWindow, torch.Tensor]:
        prepared = tuple(
            PreparedTurn(turn.start, turn.end, turn.speaker, turn.text, text, turn.overlap)
            for turn, text in zip(window.turns, texts, strict=True)
        )
        made = PreparedWindow(window.name, window.group, len(window.samples), window.speakers, prepared, Path())
        if self._job.for_target:
            return made, torch.zeros(0, self._asr.d_model)
        return made, self._asr.encode_window(window.samples).float().cpu()


def _needs_style(turns: Sequence[WindowTurn]) -> bool:
    return any(line.strip() and not is_formatted(line) for turn in turns for line in turn.text.splitlines())


_WORKER: list[ShardMaker] = []
"""This process's maker; filled by the pool's initializer."""


def _start(job: PrepareJob) -> None:
    _WORKER.append(ShardMaker(job))


def _make_in_worker(number: int) -> None:
    _WORKER[0].make(number)
