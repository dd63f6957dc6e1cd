"""How good and how fast: the product over meetings with known answers. `crosstalk bench accuracy` shows the report.

Folder -> items (`corpora.py`) -> transcribe each, by the driver that serves users -> scores and speed -> Report.
Meetings run one after the other, so that the speed is that of one meeting alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from app.bench.corpora import BenchItem, find_items
from app.bench.machine import commit, peak_rss_bytes, this_machine, versions
from app.bench.references import CorpusInvalid
from app.bench.report import ItemResult, Report
from app.bench.scoring import score
from app.bench.values import Speed
from app.bench.words import WordRules
from app.core.times import to_seconds
from app.core.types import TranscriptView
from app.errors import CrosstalkError
from app.session import Progress, Update


class Transcribe(Protocol):
    """Transcribes one file: opens it, runs a session over it, hands every update to `on_update`."""

    def __call__(self, audio: Path, on_update: Callable[[Update], None]) -> Awaitable[TranscriptView]: ...


@dataclass(frozen=True, slots=True)
class AccuracyOptions:
    """data: folder as in `corpora.py`; groups: only these sub-folders, () = all; settings: shown in the report."""

    data: Path
    groups: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    rules: WordRules = field(default_factory=WordRules)
    title: str = "Accuracy"


class ItemDone(Protocol):
    """Told of every meeting as it is done, for display."""

    def __call__(self, result: ItemResult, done: int, total: int) -> None: ...


async def run_accuracy(
    options: AccuracyOptions,
    transcribe: Transcribe,
    *,
    on_item: ItemDone | None = None,
    clock: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Report:
    """Transcribe and score all meetings of a folder. Wall time includes reading the file.

    Raises:
        CorpusInvalid: the folder or a reference is unusable, or holds no such group.
        CrosstalkError: a meeting could not be transcribed; nothing is scored around it. A note names the file.
    """
    items = _chosen(options)
    date, results = now(), []
    for item in items:
        result = await _run_item(item, transcribe, options.rules, clock)
        results.append(result)
        if on_item is not None:
            on_item(result, len(results), len(items))
    settings = {"tcpWER collar": f"{options.rules.collar_s:g} s", **options.settings}
    return Report(
        title=options.title,
        date=date,
        commit=commit(Path(__file__).parent),
        machine=this_machine(),
        versions=versions(),
        settings=settings,
        peak_rss_bytes=peak_rss_bytes(),
        items=tuple(results),
    )


def _chosen(options: AccuracyOptions) -> list[BenchItem]:
    items = find_items(options.data)
    known = {item.group for item in items}
    for group in options.groups:
        if group not in known:
            raise CorpusInvalid(f"{options.data} holds no group {group!r}; it holds {', '.join(sorted(known))}")
    return [item for item in items if not options.groups or item.group in options.groups]


async def _run_item(
    item: BenchItem, transcribe: Transcribe, rules: WordRules, clock: Callable[[], float]
) -> ItemResult:
    stages = _Stages(clock)
    begun = clock()
    try:
        view = await transcribe(item.audio, stages.see)
    except CrosstalkError as error:
        error.add_note(f"while transcribing {item.audio}")
        raise
    speed = stages.speed(to_seconds(view.duration), begun, clock())
    return ItemResult(item.session, item.group, speed, score(item.reference, view, speed.audio_s, rules=rules))


class _Stages:
    """Tells the time of the stages apart where one ends before the next begins, as with recordings."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._diarized_at: float | None = None
        self._decoding_at: float | None = None

    def see(self, update: Update) -> None:
        """Takes every update of a session."""
        if not isinstance(update, Progress):
            return
        if update.stage == "diarize":
            self._diarized_at = self._clock()
        elif self._decoding_at is None:
            self._decoding_at = self._clock()

    def speed(self, audio_s: float, begun: float, ended: float) -> Speed:
        """Wall time in all, and by stage if no diarization came after the first decoding."""
        diarized = self._diarized_at
        if diarized is None or (self._decoding_at is not None and self._decoding_at < diarized):
            return Speed(audio_s, ended - begun)
        return Speed(audio_s, ended - begun, diarize_s=diarized - begun, decode_s=ended - diarized)
