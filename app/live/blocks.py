"""All blocks of a live session between the diarization and the decoder, and between the decoder and the segments.

    LocalDiarization -> tracker -> timeline -> turns -> plans            Decoded -> stitcher -> segments -> reviser

Turns that have closed are decoded and final at once (`take`, `stitch`). Then those that go on for long are decoded as
far as there is sound, and are final up to a word (`peek`, `commit`).

Synchronous and deterministic: what comes out depends on what was pushed only. `dump` and `restore` are exact.
"""

from __future__ import annotations

from dataclasses import replace

from app.core.live_stitch import LiveStitcher
from app.core.naming import recognised
from app.core.plan import Plan, Planner, PlanRules
from app.core.reviser import Change, Reviser
from app.core.speakers import SpeakerTracker
from app.core.state import BadState, State
from app.core.timeline import Timeline
from app.core.times import SAMPLE_RATE
from app.core.turns import TurnFinder
from app.core.types import Decoded, DecodedTurn, EngineSpec, LocalDiarization, Segment, Turn
from app.live.continued import Continued
from app.live.rules import LiveRules
from app.live.updates import LiveOptions, Revision

_TENTATIVE_SAMPLES = 60 * SAMPLE_RATE
"""Beyond any sound that may still be tentative."""


class LiveBlocks:
    """The state of a live session. Bounded, whatever its length."""

    def __init__(self, spec: EngineSpec, options: LiveOptions, rules: LiveRules) -> None:
        self._rules = rules
        self._known = options.known
        self._step = max(1, rules.step_samples // spec.grid.step) * spec.grid.step
        self._grid = spec.grid
        self._tracker = SpeakerTracker(spec.grid, options.speakers, rules.tracker)
        self._timeline = Timeline(spec.grid, rules.edge_samples, rules.right_samples)
        self._turns = TurnFinder(spec.grid, rules.turns)
        self._planner = Planner(PlanRules(spec.max_decode_samples, rules.margin_samples, rules.before_samples))
        self._stitcher = LiveStitcher(rules.stitch)
        self._continued = Continued(rules.commit)
        self._reviser = Reviser(spec.grid, options.speakers, rules.reviser)
        self._merged: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._end = 0
        self._found: dict[str, int] = {}
        self._told: set[int] = set()
        self.names: dict[int, str] = {}

    @property
    def step_samples(self) -> int:
        """The step on the frame grid."""
        return self._step

    @property
    def count(self) -> int:
        """Segments given out so far."""
        return self._stitcher.count

    def take(self, local: LocalDiarization | None, cut: bool) -> list[Plan]:
        """One window's diarization, or none; `cut`: everything so far becomes final. Plans to decode, in order."""
        labels = [] if local is None else self._tracker.push(local)
        activities = [it for labelled in labels for it in self._timeline.push(labelled, self._hold(labelled.end))]
        if cut:
            activities += self._timeline.cut()
        turns = [turn for activity in activities for turn in self._turns.push(activity)]
        if cut:
            turns += self._turns.cut()
        plans = []
        for turn in sorted(turns):
            plans += self._planner.push(turn)
        plans += self._planner.release(self._turns.waiting())
        if local is not None:  # nothing tentative lies that far back
            self._end = local.end
            oldest = local.end - _TENTATIVE_SAMPLES
            self._committed = {speaker: end for speaker, end in self._committed.items() if end > oldest}
        if local is not None:
            self._remember(local)
        # No plan may hear more than there was when it was made: what comes then depends on speed.
        return [replace(self._continued.reach_back(plan), end=min(plan.end, self._end)) for plan in plans]

    def peek(self) -> Plan | None:
        """What to decode so that turns that go on become final up to a word; None when it is not time for any."""
        if not self._ripe(0):
            return None
        return self._continued.reach_back(self._planner.peek(self._preview(), self._end))

    def soon(self) -> bool:
        """Whether the next window will most likely make part of a turn final, and show what is left of it."""
        return bool(self._ripe(self._step))

    def show(self, end: int) -> Plan | None:
        """What to decode to show open turns, with the sound that ends at `end`; None without any."""
        turns = self._preview()
        before = self._rules.shown_before_samples
        return self._continued.reach_back(self._planner.glance(turns, end, before)) if turns else None

    def _hold(self, end: int) -> int | None:
        """Nothing from here on is decided yet, as somebody unknown has begun to speak."""
        first = self._tracker.undecided
        return None if first is None else max(first, end - self._rules.right_samples - self._rules.undecided_samples)

    def _remember(self, local: LocalDiarization) -> None:
        """Keep the voices that the next window will not hear again."""
        oldest = local.end - self._rules.reach_samples + self._step
        for run, speaker in self._tracker.heard:
            if (run.start + run.end) // 2 < oldest:
                self._reviser.hear(run, self.resolve(speaker), local)

    def name_known(self) -> Revision | None:
        """Enrolled people recognised among those heard in the last window."""
        free = [known for known in self._known if known.id not in self._found]
        if not free:
            return None
        unknown = {self.resolve(speaker) for _, speaker in self._tracker.heard} - {*self._found.values(), *self._told}
        voices = {
            speaker: self._tracker.voice(speaker)
            for speaker in sorted(unknown)
            if self._tracker.weight(speaker) >= self._rules.known_samples
        }
        names: dict[int, str] = {}
        for speaker, number in recognised(voices, [k.voice for k in free], self._rules.known_threshold).items():
            self._found[free[number].id] = speaker
            names[speaker] = free[number].name
        self.names.update(names)
        return Revision({}, names) if names else None

    def rename(self, speaker: int, name: str) -> None:
        """Name a speaker, empty = take the name back; no voice names that speaker from now on. Raises ValueError for a
        blank name and for a number that no speaker can have."""
        if name and not name.strip():
            raise ValueError("a speaker's name cannot be blank")
        if not 0 <= speaker < self._rules.tracker.max_numbers:
            raise ValueError(f"there are no speakers beyond number {self._rules.tracker.max_numbers - 1}")
        self._told.add(speaker)
        self.names.pop(speaker, None)
        if name:
            self.names[speaker] = name.strip()

    def settled(self) -> int:
        """All turns that start before this sample are final."""
        return min([self._frontier(), *(turn.start for turn in self._turns.waiting())])

    def _preview(self) -> list[Turn]:
        """Turns that are not final, as they look now, of the tracker's speakers."""
        return self._turns.preview(self._timeline.tentative())

    def _ripe(self, ahead: int) -> list[Turn]:
        """Turns that go on of which a part may be final, if they go on, once so much more sound has come."""
        rules, waiting = self._rules.commit, self._turns.waiting()
        return [
            turn
            for turn in self._turns.ripe(rules.open_samples - ahead)
            if turn.end - turn.start >= rules.together_samples - ahead
            or not any(it.speaker != turn.speaker and it.start < turn.end and turn.start < it.end for it in waiting)
        ]

    def _commit_until(self, speaker: int, end: int) -> None:
        self._committed[speaker] = max(end, self._committed.get(speaker, 0))

    def committed(self, speaker: int) -> int:
        """End of a speaker's last final turn."""
        return max((end for s, end in self._committed.items() if self.resolve(s) == speaker), default=0)

    def stitch(self, decoded: Decoded) -> list[Segment]:
        """Segments that an answer to a plan completes."""
        segments = self._stitch(self._fresh(decoded))
        for asked in decoded.turns:  # not before: what is shown of a turn stays until its final takes the place
            self._commit_until(asked.turn.speaker, asked.turn.end)
        return segments

    def commit(self, decoded: Decoded) -> tuple[list[Segment], tuple[Segment, ...]]:
        """Segments that the answer to a `peek` completes, and what is left of it, as `tentative` gives it."""
        frontier, final, left = self._frontier(), list[DecodedTurn](), list[DecodedTurn]()
        ripe = {turn.speaker: turn.start for turn in self._ripe(0)}
        for turn in self._fresh(decoded).turns:
            begin = ripe.get(turn.turn.speaker)
            parts = self._continued.divide(turn, frontier) if begin == turn.turn.start else None
            # Finals come in the order of their starts: nothing may be open that began before this.
            if parts is None or begin is None or any(it.start < begin for it in self._turns.waiting()):
                left.append(turn)
                continue
            speaker = turn.turn.speaker
            at = self._turns.split(speaker, parts[0].turn.end)
            self._continued.cut(speaker, begin, at)
            self._planner.note(Turn(begin, at, speaker))
            self._commit_until(speaker, at)
            final.append(replace(parts[0], turn=replace(parts[0].turn, end=at)))
            left.append(parts[1])
        return self._stitch(replace(decoded, turns=tuple(final))), self._shown(left)

    def tentative(self, decoded: Decoded) -> tuple[Segment, ...]:
        """The answer to a `show` without words that are final already, to be shown until better comes; changes
        nothing."""
        kept = []
        for turn in self._stitcher.preview(self._fresh(decoded)):
            after = self._committed.get(turn.turn.speaker, 0)
            words = tuple(word for word in turn.words if (word.start + word.end) // 2 >= after)
            kept.append(replace(turn, words=words))
        return self._shown(kept)

    def _stitch(self, fresh: Decoded) -> list[Segment]:
        segments = [replace(s, speaker=self.resolve(s.speaker)) for s in self._stitcher.push(fresh)]
        for segment in segments:
            self._reviser.note(segment)
        return segments

    def _fresh(self, decoded: Decoded) -> Decoded:
        said = self._stitcher.said
        return replace(decoded, turns=tuple(self._continued.fresh(t, said(t.turn.speaker)) for t in decoded.turns))

    def _shown(self, turns: list[DecodedTurn]) -> tuple[Segment, ...]:
        return tuple(
            Segment(f"open-{i}", self.resolve(t.turn.speaker), t.words[0].start, t.words[-1].end, t.words, t.flags)
            for i, t in enumerate(turn for turn in turns if turn.words)
        )

    def _frontier(self) -> int:
        """Speakers are decided up to this sample."""
        return max(0, self._grid.offset + self._timeline.tentative().first * self._grid.step - self._grid.step)

    def due(self, end: int) -> bool:
        """Whether `revise` is due, with the sound at `end`."""
        return self._reviser.due(end)

    def revise(self, end: int) -> Revision | None:
        """Look again at who is who. Blocking, some 10 ms."""
        change = self._reviser.look(end)
        names = self._apply(change)
        return Revision(change.segments, names) if change.segments or names else None

    def resolve(self, speaker: int) -> int:
        """The speaker that one who was merged into another is now."""
        while speaker in self._merged:
            speaker = self._merged[speaker]
        return speaker

    def dump(self) -> State:
        """The state as JSON values; right behind `take` and the stitching of its plans only."""
        return {
            "tracker": self._tracker.dump(),
            "timeline": self._timeline.dump(),
            "turns": self._turns.dump(),
            "planner": self._planner.dump(),
            "stitcher": self._stitcher.dump(),
            "continued": self._continued.dump(),
            "end": self._end,
            "reviser": self._reviser.dump(),
            "merged": sorted(self._merged.items()),
            "committed": sorted(self._committed.items()),
            "found": sorted(self._found.items()),
            "told": sorted(self._told),
            "names": sorted(self.names.items()),
        }

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._tracker.restore(state["tracker"])
            self._timeline.restore(state["timeline"])
            self._turns.restore(state["turns"])
            self._planner.restore(state["planner"])
            self._stitcher.restore(state["stitcher"])
            self._continued.restore(state["continued"])
            self._end = int(state["end"])
            self._reviser.restore(state["reviser"])
            self._merged = {int(gone): int(now) for gone, now in state["merged"]}
            self._committed = {int(speaker): int(end) for speaker, end in state["committed"]}
            self._found = {str(known): int(speaker) for known, speaker in state["found"]}
            self._told = {int(speaker) for speaker in state.get("told", ())}
            self.names = {int(speaker): str(name) for speaker, name in state["names"]}
        except BadState:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadState("a part of the state is missing or damaged") from error

    def _apply(self, change: Change) -> dict[int, str]:
        """Take over who is who; the names that move with it."""
        names: dict[int, str] = {}
        for gone, now in change.merged.items():
            if self.resolve(now) == gone:
                continue
            self._merged[gone] = now
            self._tracker.rewrite(gone, self._tracker.voice(gone) * 0, 0.0)
            heir = self.resolve(now)
            self._found = {known: heir if speaker == gone else speaker for known, speaker in self._found.items()}
            if gone in self._told:
                self._told.add(heir)
            if gone in self.names and heir not in self.names:
                self.names[heir] = names[heir] = self.names[gone]
        for profile in change.profiles:
            weight = min(profile.weight, float(self._rules.tracker.profile_samples))
            self._tracker.rewrite(profile.speaker, profile.total * (weight / profile.weight), weight)
        return names
