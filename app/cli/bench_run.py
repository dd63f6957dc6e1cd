"""What `crosstalk bench accuracy` does: meetings -> the product's report, and the baseline's beside it.

Imported only when it runs: scoring comes with the extra `bench`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.audio import AudioLimits, open_recording
from app.bench.accuracy import AccuracyOptions, run_accuracy
from app.bench.corpora import find_items
from app.bench.report import ItemResult, Report, render_json, render_markdown
from app.cli.progress import Display
from app.cli.tools import EngineBuilder
from app.core.types import FloatArray, TranscriptView
from app.engine.base import Engine
from app.errors import ModelUnavailable
from app.recordings import Workplace, transcribe_file
from app.session import SessionOptions, Update
from app.settings import Settings
from app.wiring import audio_limits, work_dir
from models.errors import ModelError
from models.registry import DEFAULT_WEIGHTS_DIR


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure. groups: only these sub-folders, () = all; baseline: a further diarizer on the same meetings."""

    data: Path
    groups: tuple[str, ...]
    baseline: str | None


async def measure(bench: Bench, settings: Settings, build: EngineBuilder) -> tuple[Report, ...]:
    """The product's report, then the baseline's. Raises CrosstalkError."""
    with Display() as display:
        find_items(bench.data)
        display.loading()
        engine = await build(settings)
        try:
            place = Workplace(engine, audio_limits(settings), work_dir(settings))
            product = await run_accuracy(
                AccuracyOptions(bench.data, bench.groups, _shown(settings, engine)),
                _Product(place, display),
                on_item=_Announcer(display),
            )
        finally:
            await engine.aclose()
        if bench.baseline is None:
            return (product,)
        display.note(f"now the baseline, {bench.baseline}")
        return (product, *await asyncio.to_thread(_run_baseline, bench, settings, product))


def to_json(reports: tuple[Report, ...]) -> str:
    """One JSON object: the product's report, with the baselines' as a list in it."""
    product, *baselines = (json.loads(render_json(report)) for report in reports)
    return json.dumps(product | {"baselines": baselines}, ensure_ascii=False, indent=1) + "\n"


def to_markdown(reports: tuple[Report, ...]) -> str:
    """The reports one below the other."""
    return "\n".join(render_markdown(report) for report in reports)


class _Product:
    """The product as the benchmark calls it."""

    def __init__(self, place: Workplace, display: Display) -> None:
        self._place = place
        self._display = display

    async def __call__(self, audio: Path, on_update: Callable[[Update], None]) -> TranscriptView:
        with open_recording(audio, self._place.limits) as recording:
            self._display.begin(audio.name, recording.info.duration_s)

        def see(update: Update) -> None:
            on_update(update)
            self._display.update(update)

        return await transcribe_file(self._place, audio, SessionOptions(), see)


class _Announcer:
    """A line for every meeting that is done."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def __call__(self, result: ItemResult, done: int, total: int) -> None:
        speed = result.speed.times_real_time
        self._display.note(f"{done}/{total} {result.session}: {speed or 0:.1f}x real time")


def _shown(settings: Settings, engine: Engine) -> dict[str, str]:
    chosen = settings.engine
    return {"decoder": engine.spec.decoder, "device": chosen.device, "threads": str(chosen.num_threads)}


def _run_baseline(bench: Bench, settings: Settings, product: Report) -> tuple[Report, ...]:
    # Only this needs torch in this process's own modules; without --baseline it is never loaded here.
    from app.bench.baseline import PUBLISHED_THRESHOLD, SWEEP, best, load_baseline, run_baseline

    items = [item for item in find_items(bench.data) if not bench.groups or item.group in bench.groups]
    device = "cpu" if settings.engine.device == "auto" else settings.engine.device
    date = datetime.now(UTC)
    try:
        baseline = load_baseline(settings.weights_dir or DEFAULT_WEIGHTS_DIR, device)
    except ModelError as error:
        raise ModelUnavailable(str(error)) from error
    # Its published threshold was found with other voice vectors: to be fair, its best on these meetings is shown too.
    thresholds = (PUBLISHED_THRESHOLD, *SWEEP)
    runs = run_baseline(items, baseline, lambda path: _samples(path, audio_limits(settings)), thresholds)
    shown = {"published threshold": runs[0], "its best threshold on these meetings": best(runs)}
    return tuple(
        replace(
            product,
            title=f"Baseline: pyannote.audio SpeakerDiarization, {which}",
            date=date,
            items=run.items,
            settings={"clustering threshold": f"{run.threshold:.4f}", "device": device},
        )
        for which, run in shown.items()
    )


def _samples(path: Path, limits: AudioLimits) -> FloatArray:
    with open_recording(path, limits) as recording:
        return np.concatenate([np.zeros(0, np.float32), *(frames.samples for frames in recording.frames())])
