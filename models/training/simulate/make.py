"""Makes a set of meetings: a manifest and settings in, a folder of audio, references and one set manifest out.

A meeting depends on (seed, index), the manifest, the table and the settings only, so any number of processes give the
same files. Casting, plan, room, noise and channel draw from generators of their own: sets that differ in overlap alone
have the same speakers in the same rooms.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.training.simulate import channel
from models.training.simulate.clips import SAMPLE_RATE, Clip, FloatArray, Manifest
from models.training.simulate.conversation import Limits, Placed, Plan, plan_with_overlap
from models.training.simulate.errors import ClipUnreadable, OutputFailed, SettingsInvalid
from models.training.simulate.mixing import mix
from models.training.simulate.noise import draw_noise_kind, make_noise
from models.training.simulate.rooms import draw_room
from models.training.simulate.settings import NONE, Settings, bounds, draw
from models.training.simulate.sources import Cast, cast_free, cast_script
from models.training.simulate.speech import load_utterance
from models.training.simulate.timing import TimingTable
from models.training.simulate.turns import overlap_amount
from models.training.simulate.writer import SET_FILE, rttm_of, seglst_of, write_audio, write_set, write_text

FORMAT = 1
_BABBLE_CLIPS = 12
_KEPT_CLIPS = 512
_SPEECH_SHARE = 0.75

Record = dict[str, Any]

_load = functools.lru_cache(_KEPT_CLIPS)(load_utterance)


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a meeting is made from, but for its index."""

    manifest: Manifest
    table: TimingTable
    settings: Settings
    folder: Path


@dataclass(frozen=True, slots=True)
class Streams:
    """Independent random streams of one meeting."""

    cast: np.random.Generator
    plan: np.random.SeedSequence
    room: np.random.Generator
    noise: np.random.Generator
    channel: np.random.Generator

    @classmethod
    def of(cls, seed: int, index: int) -> Streams:
        cast, plan, room, noise, last = np.random.SeedSequence([seed, index]).spawn(5)
        make = np.random.default_rng
        return cls(make(cast), plan, make(room), make(noise), make(last))


def make_set(job: Job, jobs: int = 1, progress: Callable[[Record], None] | None = None) -> Record:
    """Make all meetings and write the set's manifest. Returns the manifest.

    Args:
        jobs: number of processes.
        progress: called with each meeting's record, in order.

    Raises:
        SimulationError: anything about the input, the settings or the output; nothing is half-written under the set's
            manifest, since that comes last.
    """
    prepare_folder(job.folder)
    records = []
    for record in _records(job, jobs):
        records.append(record)
        if progress is not None:
            progress(record)
    speech = sum(record["speech_s"] for record in records)
    overlapped = sum(record["overlapped_s"] for record in records)
    result: Record = {
        "format": FORMAT,
        "settings": dataclasses.asdict(job.settings),
        "manifest": {"name": job.manifest.name, "sha256": job.manifest.sha256},
        "timing_table": {"name": job.table.name, "sha256": job.table.sha256},
        "overlap_share": round(overlapped / speech, 4) if speech else 0.0,
        "speech_s": round(speech, 3),
        "speakers": sorted({name for record in records for name in record["speakers"]}),
        "meetings": records,
    }
    write_set(job.folder, result)
    return result


def prepare_folder(folder: Path) -> None:
    """Make the folder; refuse one that already holds a set.

    Raises:
        OutputFailed: it holds a set, or cannot be made.
    """
    if (folder / SET_FILE).exists():
        raise OutputFailed(f"folder {folder} already holds a set ({SET_FILE}); choose another or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(f"folder {folder} cannot be made: {error.strerror}") from error


def _records(job: Job, jobs: int) -> Iterator[Record]:
    indices = range(job.settings.num_meetings)
    if jobs <= 1:
        yield from (make_meeting(job, index) for index in indices)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make_meeting, [job] * len(indices), indices)


@dataclass(frozen=True, slots=True)
class Meeting:
    """One finished meeting in memory.

    names: speakers by the plan's index; placed: who says what when; samples: (samples,) float32 mono 16 kHz
    stems: (speakers, samples) float32, empty unless asked for
    record: what was drawn and achieved, for the set's manifest
    """

    session: str
    names: tuple[str, ...]
    placed: tuple[Placed, ...]
    samples: FloatArray
    stems: FloatArray
    record: Record


def make_meeting(job: Job, index: int) -> Record:
    """Simulate and write one meeting. Returns its record for the set's manifest."""
    meeting = simulate(job, index)
    return {**meeting.record, "sha256": _write(job, meeting)}


def simulate(job: Job, index: int) -> Meeting:
    """Simulate meeting number `index` of the job, in memory; nothing is written.

    Raises:
        SimulationError: the manifest has too few speakers or scripts for the settings, or no clip that is short enough.
    """
    settings, streams = job.settings, Streams.of(job.settings.seed, index)
    count = settings.speakers_of(index, streams.cast)
    target = settings.overlap_of(streams.cast)
    cast = _cast(job, count, target, streams.cast)
    limits = Limits(round(settings.duration_s * SAMPLE_RATE), settings.max_simultaneous, settings.max_silence_s)
    plan = plan_with_overlap(cast.source, job.table, limits, target if count > 1 else 0.0, streams.plan)
    session = f"{settings.prefix}-{index:04d}"
    if not plan.placed:
        raise SettingsInvalid(
            f"meeting {session}: no clip of {', '.join(cast.names)} fits into {settings.duration_s:g} s"
        )
    record = _describe(session, index, plan, cast, target)
    samples, stems = _sound(job, plan.placed, cast, streams, record)
    return Meeting(session, cast.names, plan.placed, samples, stems, record)


def _cast(job: Job, count: int, target: float | None, rng: np.random.Generator) -> Cast:
    settings = job.settings
    if settings.keep_order:
        speech_s = settings.duration_s * (_SPEECH_SHARE + (target or 0.0))
        return cast_script(job.manifest.clips, count, speech_s, _load, rng)
    return cast_free(job.manifest.by_speaker(), count, settings.duration_s, _load, rng)


def _describe(session: str, index: int, plan: Plan, cast: Cast, target: float | None) -> Record:
    amount = overlap_amount([span for item in plan.placed for span in item.spans()])
    clips = [item.utterance.clip.file for item in plan.placed]
    kinds = [item.transition.value for item in plan.placed if item.transition is not None]
    return {
        "session_id": session,
        "index": index,
        "speakers": sorted(cast.names[speaker] for speaker in plan.speakers()),
        "overlap_target": target,
        "overlap_share": round(amount.share, 4),
        "speech_s": round(amount.speech / SAMPLE_RATE, 3),
        "overlapped_s": round(amount.overlapped / SAMPLE_RATE, 3),
        "overlap_pressure": round(plan.pressure, 4) if plan.pressure is not None else None,
        "utterances": len(clips),
        "repeated_clips": len(clips) - len(set(clips)),
        "transitions": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


def _sound(
    job: Job, placed: tuple[Placed, ...], cast: Cast, streams: Streams, record: Record
) -> tuple[FloatArray, FloatArray]:
    """Mix and send through the channel; what was drawn goes into the record. Returns the sound and the stems."""
    settings, length = job.settings, round(job.settings.duration_s * SAMPLE_RATE)
    spread = streams.room.normal(0.0, settings.gain_spread_db, size=len(cast.names))
    gains = [round(float(gain), 2) for gain in np.clip(spread, -8.0, 8.0)]
    record["gains_db"] = dict(zip(cast.names, gains, strict=True))
    room = None
    if settings.rt60_s != NONE:
        room = draw_room(len(cast.names), bounds(settings.rt60_s), streams.room)
        distances = dict(zip(cast.names, room.distances_m, strict=True))
        record["room"] = {"size_m": room.size_m, "rt60_s": room.rt60_s, "distances_m": distances}
    noise = None
    if settings.noise_snr_db != NONE:
        snr_db = round(draw(settings.noise_snr_db, streams.noise), 2)
        others = [clip for clip in job.manifest.clips if clip.speaker not in cast.names]
        kind = draw_noise_kind(streams.noise, with_babble=bool(others))
        voices = _babble_voices(others, streams.noise) if kind.babble_db is not None else []
        noise = (make_noise(kind, length, voices, streams.noise), snr_db)
        record["noise"] = {"snr_db": snr_db, **dataclasses.asdict(kind)}
    mixed = mix(placed, length, gains, room, noise, settings.stems)
    return _through_channel(mixed.samples, settings, streams.channel, record), mixed.stems


def _through_channel(samples: FloatArray, settings: Settings, rng: np.random.Generator, record: Record) -> FloatArray:
    record["telephone"] = bool(rng.random() < settings.telephone)
    coded, kbps = bool(rng.random() < settings.opus), round(draw(settings.opus_kbps, rng))
    record["opus_kbps"] = kbps if coded else None
    out = channel.telephone(samples) if record["telephone"] else samples
    return channel.opus(out, kbps * 1000) if coded else out


def _babble_voices(others: Sequence[Clip], rng: np.random.Generator) -> list[FloatArray]:
    """Sound of speakers who are not in the meeting."""
    voices = []
    for index in rng.permutation(len(others))[:_BABBLE_CLIPS]:
        try:
            voices.append(_load(others[int(index)]).samples)
        except ClipUnreadable:
            continue
    return voices


def _write(job: Job, meeting: Meeting) -> dict[str, str]:
    """Write a meeting's files. Returns their sha256 by name."""
    session, suffix = meeting.session, job.settings.audio_format
    sounds = {f"{session}.{suffix}": meeting.samples}
    sounds |= {f"{session}.{name}.{suffix}": stem for name, stem in zip(meeting.names, meeting.stems, strict=False)}
    texts = {
        f"{session}.rttm": rttm_of(session, meeting.placed, meeting.names),
        f"{session}.seglst.json": seglst_of(session, meeting.placed, meeting.names),
    }
    digests = {name: write_audio(job.folder / name, samples) for name, samples in sounds.items()}
    return digests | {name: write_text(job.folder / name, text) for name, text in texts.items()}
