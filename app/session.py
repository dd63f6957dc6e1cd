"""The driver of recordings: sound in, transcript out. Used by the command line, REST, jobs and the benchmark; that of
live captions is app/live/session.py, over the same blocks.

    frames -> spool + windows -> engine.diarize -> speakers -> timeline -> turns -> plan -> engine.decode -> stitch ->
    segments

A recording is diarized whole, its speakers are clustered with everything in view (`recluster`), and then it is decoded.
Without `recluster` every block runs as the sound comes in and gives the same kinds of updates, only sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Literal

from app.audio.spool import Spool
from app.core.labelling import to_labelled
from app.core.plan import Plan, Planner, PlanRules
from app.core.recluster import ReclusterRules, recluster
from app.core.speakers import SpeakerTracker, TrackerRules
from app.core.stitch import Stitcher, StitchRules
from app.core.timeline import Timeline
from app.core.times import SAMPLE_RATE
from app.core.transcript import Transcript
from app.core.turns import TurnFinder, TurnRules
from app.core.types import (
    Decoded,
    DecodeRequest,
    Frames,
    Labelled,
    LocalDiarization,
    Segment,
    SpeakerCount,
    TranscriptView,
    Turn,
    Window,
)
from app.core.windows import Windower
from app.engine.about import capacity_of
from app.engine.base import Engine
from app.pipeline import in_order


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How the blocks are set. Times in samples at 16 kHz. max_in_flight: requests to the engine at once; more, up to
    most_in_flight, where the engine works on more."""

    step_samples: int = 2 * SAMPLE_RATE
    edge_samples: int = SAMPLE_RATE // 2
    turns: TurnRules = field(default_factory=TurnRules)
    tracker: TrackerRules = field(default_factory=TrackerRules)
    recluster: ReclusterRules = field(default_factory=ReclusterRules)
    stitch: StitchRules = field(default_factory=StitchRules)
    plan_margin_samples: int = 8000
    max_in_flight: int = 16
    most_in_flight: int = 256


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the user asks for. language: None = detect; recluster: label speakers with the whole recording in view."""

    language: str | None = None
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    hotwords: tuple[str, ...] = ()
    recluster: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` samples of the meeting have passed this stage; total is None while the end is not known."""

    stage: Literal["diarize", "decode"]
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Final:
    """A finished segment; segments come in the order of their starts."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole transcript; always the last update."""

    view: TranscriptView


Update = Progress | Final | Finished


class Session:
    """One meeting. Owns the blocks and the spool's content; knows no model, socket or file format."""

    def __init__(
        self, engine: Engine, options: SessionOptions, spool: Spool, rules: SessionRules | None = None
    ) -> None:
        self._engine = engine
        self._options = options
        self._spool = spool
        self._rules = rules or SessionRules()
        spec = engine.spec
        self._grid = spec.grid
        # Windows must start on the frame grid, so that their frames can be averaged without interpolation.
        step = max(1, self._rules.step_samples // spec.grid.step) * spec.grid.step
        step = min(step, spec.window_samples // spec.grid.step * spec.grid.step)
        self._windower = Windower(spec.window_samples, step, spec.grid.step)
        self._tracker = SpeakerTracker(spec.grid, options.speakers, self._rules.tracker)
        self._timeline = Timeline(spec.grid, self._rules.edge_samples)
        self._turns = TurnFinder(spec.grid, self._rules.turns)
        self._planner = Planner(PlanRules(spec.max_decode_samples, self._rules.plan_margin_samples))
        self._stitcher = Stitcher(self._rules.stitch)
        self._transcript = Transcript()
        self._language = options.language
        self._detecting = asyncio.Lock()
        self._detected = options.language is not None
        # Enough to keep all workers of the engine busy; sound in memory is bounded by the second number.
        self._max_in_flight = max(self._rules.max_in_flight, min(capacity_of(engine), self._rules.most_in_flight))

    async def run(self, source: AsyncIterator[Frames]) -> AsyncIterator[Update]:
        """Transcribe the source to its end. Raises what the source, the spool and the engine raise (app/errors.py)."""
        diarized = self._diarize(source)
        plans = self._plan_whole(diarized) if self._options.recluster else self._plan_online(diarized)
        async for update in self._decode(plans):
            yield update
        yield Finished(self._transcript.view(self._spool.length, self._language))

    async def _diarize(self, source: AsyncIterator[Frames]) -> AsyncIterator[LocalDiarization]:
        async def windows() -> AsyncIterator[Window]:
            async for frames in source:
                await asyncio.to_thread(self._spool.append, frames)
                for window in self._windower.push(frames):
                    yield window
            for window in self._windower.flush():
                yield window

        async for local in in_order(windows(), self._engine.diarize, self._max_in_flight):
            yield local

    async def _plan_whole(self, diarized: AsyncIterator[LocalDiarization]) -> AsyncIterator[Plan | Progress]:
        locals_: list[LocalDiarization] = []
        async for local in diarized:
            locals_.append(local)
            yield Progress("diarize", local.end, None)
        speakers = await asyncio.to_thread(
            recluster, locals_, self._grid, self._options.speakers, self._rules.recluster
        )
        for item in to_labelled(locals_, speakers, self._grid):
            for plan in self._plan(self._turns_of(item)):
                yield plan
            await asyncio.sleep(0)  # a long recording has thousands of windows, and others use this event loop too
        for plan in self._plan_tail():
            yield plan

    async def _plan_online(self, diarized: AsyncIterator[LocalDiarization]) -> AsyncIterator[Plan | Progress]:
        async for local in diarized:
            for labelled in self._tracker.push(local):
                for plan in self._plan(self._turns_of(labelled)):
                    yield plan
            yield Progress("diarize", local.end, None)
        for plan in self._plan_tail():
            yield plan

    def _turns_of(self, labelled: Labelled) -> list[Turn]:
        return [turn for activity in self._timeline.push(labelled) for turn in self._turns.push(activity)]

    def _plan(self, turns: Iterable[Turn]) -> list[Plan]:
        turns = list(turns)
        self._transcript.add_turns(turns)
        return [plan for turn in turns for plan in self._planner.push(turn)]

    def _plan_tail(self) -> list[Plan]:
        turns = [turn for activity in self._timeline.flush() for turn in self._turns.push(activity)]
        return [*self._plan([*turns, *self._turns.flush()]), *self._planner.flush()]

    async def _decode(self, plans: AsyncIterator[Plan | Progress]) -> AsyncIterator[Update]:
        async def ask(item: Plan | Progress) -> tuple[DecodeRequest, Decoded] | Progress:
            if isinstance(item, Progress):
                return item
            return await self._decode_one(item)

        async for answer in in_order(plans, ask, self._max_in_flight):
            if isinstance(answer, Progress):
                yield answer
                continue
            request, decoded = answer
            for segment in self._stitcher.push(decoded):
                yield self._final(segment)
            yield Progress("decode", request.start + len(request.samples), self._spool.length)
        for segment in self._stitcher.flush():
            yield self._final(segment)
        yield Progress("decode", self._spool.length, self._spool.length)

    async def _decode_one(self, plan: Plan) -> tuple[DecodeRequest, Decoded]:
        if not self._detected:
            # Detected once, on the first window with words, and then kept: detected anew in every window, it would flip
            # on short ones. The lock is fair, so the windows come in their order and every run gives the same.
            async with self._detecting:
                if not self._detected:
                    request = await self._request(plan)
                    decoded = await self._engine.decode(request)
                    self._language = decoded.language
                    # Words without a language are of a decoder that does not tell it: nothing to wait for.
                    self._detected = decoded.language is not None or any(turn.words for turn in decoded.turns)
                    return request, decoded
        request = await self._request(plan)
        return request, await self._engine.decode(request)

    async def _request(self, plan: Plan) -> DecodeRequest:
        samples = await asyncio.to_thread(self._spool.read, plan.start, plan.end)
        return DecodeRequest(plan.index, plan.start, samples, plan.turns, self._language, self._options.hotwords)

    def _final(self, segment: Segment) -> Final:
        self._transcript.add(segment)
        return Final(segment)
