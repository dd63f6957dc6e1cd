"""The driver paced by incoming sound: the blocks and the engine of recordings, window by window as the sound comes.

    session = LiveSession(engine, LiveOptions())
    async with session:
        await session.push(samples)            # float32 16 kHz; returns when accepted, `ahead_samples` tells what waits
        async for update in session.updates(): # one reader; ends after Finished; raises the engine's CrosstalkError
            ...

Windows are worked on strictly one after the other (diarize, turns, decode, stitch), so finals, their ids and revisions
depend on the sound and the places of `flush` alone, never on packets or speed; a snapshot between two windows is
exact. Partials depend on speed (`tail.py`): one decode in flight at most, and only when no sound waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

import numpy as np

from app.core.live_windows import LiveWindower
from app.core.plan import Plan
from app.core.state import BadState, State
from app.core.times import SAMPLE_RATE
from app.core.types import (
    Decoded,
    DecodeRequest,
    FloatArray,
    Frames,
    LocalDiarization,
    Segment,
    TranscriptView,
    Urgency,
    Window,
)
from app.engine.base import Engine
from app.errors import OptionInvalid
from app.live.blocks import LiveBlocks
from app.live.outbox import Outbox
from app.live.rules import LiveRules
from app.live.snapshot import BadSnapshot, Snapshot
from app.live.sound import Sound
from app.live.tail import Tail, TailPorts
from app.live.updates import (
    Ack,
    Final,
    Finished,
    Flushed,
    LiveOptions,
    Marked,
    Partial,
    Progress,
    Revision,
    Update,
)
from app.pipeline import in_order


@dataclass(frozen=True, slots=True)
class _Item:
    """Something to be worked on in order: a window, or the answer to a command once all before it is done."""

    kind: Literal["window", "flush", "mark", "checkpoint", "stop"]
    position: int
    window: Window | None = None
    cut: bool = False
    id: str | None = None


class LiveSession:
    """One live meeting. Start it with `async with`, end it by `stop` and reading to `Finished`, or `aclose`, which
    drops what is not written yet."""

    def __init__(
        self, engine: Engine, options: LiveOptions, rules: LiveRules | None = None, resume: Snapshot | None = None
    ) -> None:
        """Raises BadSnapshot."""
        self._engine, self._options, self._rules = engine, options, rules or LiveRules()
        spec = engine.spec
        self._blocks = LiveBlocks(spec, options, self._rules)
        step = min(self._blocks.step_samples, spec.window_samples)
        self._windower = LiveWindower(spec.window_samples, step, self._rules.reach_samples, spec.grid.step)
        self._kept_samples = self._rules.margin_samples + max(self._rules.margin_samples, self._rules.before_samples)
        self._language = options.language
        self._from = 0 if resume is None else resume.samples
        self._done = self._acked = self._from
        self._after: State | None = None
        self._asked_cut = self._cut_done = -1
        if resume is not None:
            self._restore(resume)
        self._sound = Sound(self._from)
        self._items: asyncio.Queue[_Item | None] = asyncio.Queue()
        self._outbox = Outbox()
        self._moved = asyncio.Event()
        self._marks: list[tuple[int, str]] = []
        self._asked_marks = self._asked_flushes = 0
        self._kept: deque[Segment] = deque(maxlen=self._rules.max_kept)
        decode, read = self._engine.decode, self._blocks.tentative
        ports = TailPorts(self._look, decode, read, self._free, self._give_partial, self._fail)
        self._tail = Tail(ports, self._blocks.step_samples / SAMPLE_RATE)
        self._working = False
        self._error: BaseException | None = None
        self._stopped = False
        self._worker: asyncio.Task[None] | None = None

    @property
    def from_samples(self) -> int:
        """Where the sound has to begin: 0, or the snapshot's position."""
        return self._from

    @property
    def received_samples(self) -> int:
        """End of the sound pushed so far, in samples of the whole session."""
        return self._sound.end

    @property
    def ahead_samples(self) -> int:
        """Sound that was pushed and waits to be worked on."""
        return max(0, self._sound.end - self._done)

    @property
    def stopped(self) -> bool:
        """Whether no more sound, marks and flushes are taken."""
        return self._stopped

    @property
    def waiting_marks(self) -> int:
        """Marks that are not answered yet."""
        return self._asked_marks

    async def push(self, samples: FloatArray) -> None:
        """(samples,) float32 at 16 kHz, contiguous with what came before. Raises EngineError once the session failed,
        ValueError after `stop`."""
        self._check()
        step = self._blocks.step_samples
        for begin in range(0, len(samples), step):
            part = np.array(samples[begin : begin + step], dtype=np.float32)
            for window in self._windower.push(Frames(self._sound.end, part)):
                self._items.put_nowait(_Item("window", window.end, window))
            self._sound.append(part)
            while self._error is None and self.ahead_samples > self._rules.max_ahead_samples:
                self._moved.clear()
                await self._moved.wait()
            self._check()

    async def flush(self, id: str | None = None) -> None:
        """Everything said so far becomes final; answered by an `Ack` whose snapshot holds the flush, then `Flushed`.
        Its place in the sound is part of what the finals depend on. Again at the same place, or before a flush that a
        snapshot holds, it changes nothing."""
        self._check()
        while self._error is None and self._asked_flushes >= self._rules.max_flushes:
            self._moved.clear()
            await self._moved.wait()
        self._check()
        self._asked_flushes += 1
        self._cut()
        self._items.put_nowait(_Item("flush", self._sound.end, id=id))

    async def mark(self, id: str) -> None:
        """Answered by `Marked`, once all that was said before is final: that takes more sound, or a flush. Marks are
        not part of a snapshot. Raises OptionInvalid when too many wait for their answers."""
        self._check()
        if self._asked_marks >= self._rules.max_marks:
            raise OptionInvalid(f"{self._asked_marks} marks wait for their answers; no more are taken", param="id")
        self._asked_marks += 1
        self._items.put_nowait(_Item("mark", self._sound.end, id=id))

    def checkpoint(self) -> None:
        """Have an `Ack` come once the sound so far is worked on, however young the last one is. None without any."""
        self._items.put_nowait(_Item("checkpoint", self._sound.end))

    def rename(self, speaker: int, name: str) -> None:
        """Name a speaker, empty = take the name back; answered by a `Revision`. Raises ValueError for a blank name, and
        for a number that no speaker can have."""
        self._blocks.rename(speaker, name)
        self._outbox.put(Revision({}, {speaker: name.strip()}))

    async def room(self) -> None:
        """Wait until the reader of `updates` has kept up: for callers who could ask without end."""
        await self._outbox.room()

    async def stop(self) -> None:
        """End of the sound: the rest is written, then `Finished` comes. May be called again."""
        if self._stopped or self._error is not None:
            return
        self._stopped = True
        self._cut()
        self._items.put_nowait(_Item("stop", self._sound.end))
        self._items.put_nowait(None)

    def updates(self) -> AsyncIterator[Update]:
        """Every update, for one reader. Raises CrosstalkError (engine) with its code."""
        return self._outbox.updates()

    async def aclose(self) -> None:
        """Stop working at once. May be called again."""
        self._stopped = True
        tasks = self._tail.cancel()
        if self._worker is not None:
            self._worker.cancel()
            tasks.append(self._worker)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbox.close()

    async def __aenter__(self) -> Self:
        self._worker = asyncio.ensure_future(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _cut(self) -> None:
        if self._sound.end <= self._asked_cut:
            return
        self._asked_cut = self._sound.end
        for window in self._windower.cut():
            self._items.put_nowait(_Item("window", window.end, window, cut=True))
            return
        # The last regular window ends here: hear nothing anew, only commit.
        self._items.put_nowait(_Item("window", self._sound.end, None, cut=True))

    async def _work(self) -> None:
        async def items() -> AsyncIterator[_Item]:
            while (item := await self._items.get()) is not None:
                yield item

        async def ask(item: _Item) -> tuple[_Item, LocalDiarization | None]:
            window = None if item.window is None else replace(item.window, urgency=Urgency.LIVE)
            return item, None if window is None else await self._engine.diarize(window)

        try:
            async for item, local in in_order(items(), ask, self._rules.max_in_flight):
                await self._outbox.room()
                await self._do(item, local)
        except Exception as error:  # noqa: BLE001 - the session's edge: the reader and the pusher get it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self._outbox.fail(error)
        self._moved.set()

    async def _do(self, item: _Item, local: LocalDiarization | None) -> None:
        if item.kind == "window":
            await self._window(item, local)
        elif item.kind == "mark":
            self._marks.append((item.position, item.id or ""))
        elif item.kind == "flush":
            self._flushed(item)
        elif item.kind == "checkpoint":
            self._acknowledge(self._done, at_once=True)
        else:
            await self._finish(item.position)
        self._give_marks(self._blocks.settled())

    async def _window(self, item: _Item, local: LocalDiarization | None) -> None:
        self._working = True
        shown = await self._decode_all(item, local)
        if item.window is not None:
            named = self._blocks.name_known()
            if named is not None:
                self._outbox.put(named)
        if self._blocks.due(item.position):
            await self._revise(item.position)
        self._done = max(self._done, item.position)
        self._moved.set()
        self._outbox.put(Progress(self._sound.end, self._blocks.settled()))
        if item.cut:
            self._cut_done = item.position
        if item.window is not None:
            self._after = self._windower.after(item.window)
            self._acknowledge(item.window.end, at_once=False)
        self._working = False
        if item.cut:
            self._tail.give(())
        elif self._items.empty() and not shown and self._options.partials and not self._blocks.soon():
            self._tail.show()  # not shortly before a part of it is final: that would have to wait

    async def _revise(self, position: int) -> None:
        revision = await asyncio.to_thread(self._blocks.revise, position)
        if revision is not None:
            self._outbox.put(revision)

    async def _decode_all(self, item: _Item, local: LocalDiarization | None) -> bool:
        """Everything that this window makes final; whether open turns were shown with it."""
        for plan in self._blocks.take(local, item.cut):
            self._write(self._blocks.stitch(await self._decode(plan)))
        going_on = None if item.cut else self._blocks.peek()
        if going_on is None:
            return False
        segments, left = self._blocks.commit(await self._decode(going_on))
        self._write(segments)
        self._tail.give(left)
        return True

    async def _decode(self, plan: Plan) -> Decoded:
        decoded = await self._engine.decode(self._request(plan, Urgency.LIVE))
        self._language = self._language or decoded.language
        return decoded

    def _request(self, plan: Plan, urgency: Urgency) -> DecodeRequest:
        sound, names = self._sound.read(plan.start, plan.end), self._options.hotwords
        return DecodeRequest(plan.index, plan.start, sound, plan.turns, self._language, names, urgency=urgency)

    def _write(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._kept.append(segment)
            self._outbox.put(Final(segment))
        left = []
        for segment in self._tail.segments:
            after = self._blocks.committed(segment.speaker)
            words = tuple(word for word in segment.words if (word.start + word.end) // 2 >= after)
            if words:
                left.append(Segment(segment.id, segment.speaker, words[0].start, segment.end, words, segment.flags))
        self._tail.give(tuple(left))

    def _flushed(self, item: _Item) -> None:
        self._acknowledge(item.position, at_once=True)
        self._give_marks(item.position)
        self._asked_flushes -= 1
        self._moved.set()
        self._outbox.put(Flushed(item.id))

    def _acknowledge(self, end: int, *, at_once: bool) -> None:
        """Give a snapshot if it is time for one, and forget the sound that nothing needs any more."""
        if (state := self._after) is None:
            return  # nothing was worked on yet
        needed = min(int(state["from"]), max(0, self._blocks.settled() - self._kept_samples))
        if at_once or end - self._acked >= self._rules.ack_samples:
            self._acked = max(end, self._acked)
            whole: State = {"windower": state, "blocks": self._blocks.dump(), "language": self._language}
            whole |= {"spec": repr(self._engine.spec), "acked": self._acked, "done": self._done}
            whole["cut"] = self._cut_done
            self._outbox.put(Ack(needed, Snapshot(needed, whole)))
        self._sound.drop(needed)

    def _restore(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        if state.get("spec") != repr(self._engine.spec):
            raise BadSnapshot("the snapshot is of a session with other models")
        try:
            self._windower.restore(state["windower"], snapshot.samples)
            self._blocks.restore(state["blocks"])
            self._acked, self._done = int(state["acked"]), int(state["done"])
            self._after, self._asked_cut = state["windower"], int(state["cut"])
            self._cut_done = self._asked_cut
            self._language = state["language"]
        except (BadState, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadSnapshot(f"the snapshot is damaged: {error}") from error

    def _look(self) -> DecodeRequest | None:
        plan = self._blocks.show(self._sound.end)
        return None if plan is None else replace(self._request(plan, Urgency.TENTATIVE), brief=True)

    def _free(self) -> bool:
        return not self._working and self._items.empty() and not self._stopped

    def _give_partial(self, segments: tuple[Segment, ...]) -> None:
        if self._options.partials:
            self._outbox.put(Partial(segments))

    def _give_marks(self, until: int) -> None:
        for mark in [mark for mark in self._marks if mark[0] <= until]:
            self._marks.remove(mark)
            self._asked_marks -= 1
            self._outbox.put(Marked(mark[1]))

    async def _finish(self, end: int) -> None:
        await self._revise(end)
        self._tail.cancel()
        self._tail.give(())
        self._give_marks(end)
        view = TranscriptView(end, self._language, tuple(self._kept), (), dict(self._blocks.names))
        self._outbox.put(Finished(view, self._blocks.count))

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stopped:
            raise ValueError("the session was stopped")
