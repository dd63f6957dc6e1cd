"""An engine that answers any number of sessions at once from what it once heard: what is left is the service's cost.

All sessions hear the same sound over and over, a loop. `record` asks a real engine once: a diarization every half
second of the loop, and the words of a whole transcription. Later any window gets the recorded diarization nearest to
its place in the loop, moved to its own time, and any turn the recorded words inside it. Answers cost microseconds and
are as large as real ones; they are not meant to be right to the frame.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.audio.spool import Spool
from app.core.times import SAMPLE_RATE
from app.core.types import (
    Decoded,
    DecodedTurn,
    DecodeRequest,
    DecodeTurn,
    EngineSpec,
    Flag,
    FloatArray,
    Frames,
    LocalDiarization,
    Window,
    Word,
)
from app.engine.base import Engine
from app.engine.log import Key, Record, ResultLog
from app.engine.wire import dump_decoded, dump_diarization, dump_spec, load_decoded, load_diarization, load_spec
from app.errors import EngineClosed, EngineFailed
from app.session import Finished, Session, SessionOptions

STEP_SAMPLES = SAMPLE_RATE // 2


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was heard. windows[i]: the diarization at sample i * STEP_SAMPLES; words: in order of time."""

    spec: EngineSpec
    loop_samples: int
    windows: tuple[LocalDiarization, ...]
    words: tuple[Word, ...]


class RecordedEngine:
    """Engine over `Recorded`. Stateless, so any number of sessions may ask."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._closed = False

    @property
    def spec(self) -> EngineSpec:
        """That of the engine which was recorded."""
        return self._recorded.spec

    async def diarize(self, window: Window) -> LocalDiarization:
        """The nearest recorded answer, at the window's time. Raises EngineClosed."""
        self._check()
        known = self._recorded.windows
        found = known[round(window.start % self._recorded.loop_samples / STEP_SAMPLES) % len(known)]
        shift = window.start - found.start
        activity = found.activity
        if window.valid < len(window.samples):
            activity = activity.copy()
            activity[len(activity) * window.valid // len(window.samples) :] = 0.0
        runs = tuple(
            replace(run, start=run.start + shift, end=run.end + shift)
            for run in found.runs
            if window.own_start <= (run.start + run.end) // 2 + shift < window.own_end
        )
        return LocalDiarization(window.start, window.end, activity, runs)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The recorded words inside each asked turn. Raises EngineClosed."""
        self._check()
        turns = tuple(self._turn(turn) for turn in request.turns if turn.ask)
        return Decoded(turns, request.language or "en")

    async def aclose(self) -> None:
        """May be called again."""
        self._closed = True

    def _turn(self, turn: DecodeTurn) -> DecodedTurn:
        loop = self._recorded.loop_samples
        words = []
        for turns_before in range(turn.start // loop, (turn.end - 1) // loop + 1):
            base = turns_before * loop
            words += [
                Word(word.text, word.start + base, word.end + base, word.confidence)
                for word in self._recorded.words
                if turn.start <= (word.start + word.end) // 2 + base < turn.end
            ]
        return DecodedTurn(turn, tuple(words), frozenset() if words else frozenset({Flag.NO_SPEECH}))

    def _check(self) -> None:
        if self._closed:
            raise EngineClosed("the engine is closed")


async def record(engine: Engine, loop: FloatArray, log: ResultLog, spools: Path) -> None:
    """Ask the engine everything about the loop, (samples,) float32 at 16 kHz. Raises EngineError.

    log: gets the answers; what it has already is not asked again, as long as it is of the same loop
    """
    spec = engine.spec
    await log.put(Key("spec", 0), Record(str(len(loop)), dump_spec(spec)))
    endless = np.concatenate([loop, np.resize(loop, spec.window_samples)]).astype(np.float32)
    for index, start in enumerate(range(0, len(loop), STEP_SAMPLES)):
        if await log.get(Key("diarize", index)) is None:
            samples = endless[start : start + spec.window_samples]
            # It answers for all of itself, so that any session's own part is covered.
            window = Window(index, start, samples, len(samples), start, start + len(samples))
            await log.put(Key("diarize", index), Record("", dump_diarization(await engine.diarize(window))))
    if await log.get(Key("decode", 0)) is None:
        words = await _words(engine, loop, spools)
        turn = DecodeTurn(0, len(loop), 0)
        await log.put(Key("decode", 0), Record("", dump_decoded(Decoded((DecodedTurn(turn, words),), "en"))))


async def load_recorded(log: ResultLog) -> Recorded:
    """What `record` wrote. Raises EngineFailed when the log is not complete."""
    head, words = await log.get(Key("spec", 0)), await log.get(Key("decode", 0))
    if head is None or words is None:
        raise EngineFailed("the log of recorded answers is not complete")
    loop_samples = int(head.fingerprint)
    windows = []
    for index in range(-(-loop_samples // STEP_SAMPLES)):
        found = await log.get(Key("diarize", index))
        if found is None:
            raise EngineFailed(f"the log of recorded answers has no window {index}")
        windows.append(load_diarization(found.payload))
    decoded = load_decoded(words.payload)
    return Recorded(load_spec(head.payload), loop_samples, tuple(windows), decoded.turns[0].words)


async def _words(engine: Engine, loop: FloatArray, spools: Path) -> tuple[Word, ...]:
    async def frames() -> AsyncIterator[Frames]:
        for start in range(0, len(loop), SAMPLE_RATE):
            yield Frames(start, loop[start : start + SAMPLE_RATE])

    with Spool(spools) as spool:
        async for update in Session(engine, SessionOptions(), spool).run(frames()):
            if isinstance(update, Finished):
                found = [word for segment in update.view.segments for word in segment.words]
                return tuple(sorted(found, key=lambda word: word.start))
    raise EngineFailed("the recording ended without its transcript")
