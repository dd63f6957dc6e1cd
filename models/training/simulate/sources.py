"""Who takes part and what they can say: a manifest in, a cast of speakers with utterances for the planner out.

Free sources shuffle each speaker's clips; script sources keep the order of a scripted conversation (`meeting`, `turn`
of the manifest). Either way no clip is heard twice in a meeting before the speaker (or the script) has run out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.training.simulate.clips import SAMPLE_RATE, Clip
from models.training.simulate.errors import ClipUnreadable, SettingsInvalid
from models.training.simulate.speech import Utterance

Load = Callable[[Clip], Utterance]

_SHORTEST_OF = 4
_LINES_AHEAD = 12


@dataclass(slots=True)
class FreeSource:
    """Each speaker's utterances in a free order. `utterances[speaker]` must not be empty."""

    utterances: Sequence[Sequence[Utterance]]
    order: list[list[int]] = field(default_factory=list)
    rng: np.random.Generator | None = None
    found: tuple[int, int] | None = None

    @property
    def num_speakers(self) -> int:
        return len(self.utterances)

    def fresh(self, rng: np.random.Generator) -> FreeSource:
        return FreeSource(self.utterances, [_shuffled(len(items), rng) for items in self.utterances], rng)

    def next_speaker(self, wanted: Mapping[int, float], rng: np.random.Generator) -> int | None:
        speakers = sorted(wanted)
        weights = np.array([wanted[speaker] for speaker in speakers])
        return speakers[int(rng.choice(len(speakers), p=weights / weights.sum()))]

    def find(self, speaker: int, longest: int, prefer_short: bool) -> Utterance | None:
        items, order = self.utterances[speaker], self.order[speaker]
        if not order and self.rng is not None:
            order.extend(_shuffled(len(items), self.rng))
        fitting = [index for index in order if items[index].length <= longest]
        if not fitting:
            return None
        chosen = min(fitting[:_SHORTEST_OF], key=lambda index: items[index].length) if prefer_short else fitting[0]
        self.found = (speaker, chosen)
        return items[chosen]

    def use(self, utterance: Utterance) -> None:
        assert self.found is not None
        speaker, index = self.found
        assert self.utterances[speaker][index] is utterance
        self.order[speaker].remove(index)


@dataclass(slots=True)
class ScriptSource:
    """Utterances of a scripted conversation: (speaker, utterance).

    Each speaker's own order always holds; a line may come before lines of others that precede it in the script, where
    the planner asks for another speaker (in overlap).
    """

    lines: Sequence[tuple[int, Utterance]]
    num_speakers: int
    pending: list[int] = field(default_factory=list)

    def fresh(self, rng: np.random.Generator) -> ScriptSource:
        del rng
        return ScriptSource(self.lines, self.num_speakers, list(range(len(self.lines))))

    def next_speaker(self, wanted: Mapping[int, float], rng: np.random.Generator) -> int | None:
        del rng
        self._start_again_at_the_end()
        coming = [self.lines[index][0] for index in self.pending[:_LINES_AHEAD]]
        return next((speaker for speaker in coming if speaker in wanted), coming[0])

    def find(self, speaker: int, longest: int, prefer_short: bool) -> Utterance | None:
        del prefer_short
        self._start_again_at_the_end()
        index = self._next_line(speaker)
        utterance = None if index is None else self.lines[index][1]
        return utterance if utterance is not None and utterance.length <= longest else None

    def use(self, utterance: Utterance) -> None:
        self.pending.remove(next(index for index in self.pending if self.lines[index][1] is utterance))

    def _next_line(self, speaker: int) -> int | None:
        return next((index for index in self.pending if self.lines[index][0] == speaker), None)

    def _start_again_at_the_end(self) -> None:
        if not self.pending:
            self.pending.extend(range(len(self.lines)))


@dataclass(frozen=True, slots=True)
class Cast:
    """The speakers of one meeting, by index, and what they can say."""

    names: tuple[str, ...]
    source: FreeSource | ScriptSource


def cast_free(
    by_speaker: Mapping[str, Sequence[Clip]], count: int, duration_s: float, load: Load, rng: np.random.Generator
) -> Cast:
    """Draw `count` speakers, each with clips enough to fill the meeting alone (or all that the speaker has).

    Raises:
        SettingsInvalid: more speakers asked for than the manifest has, or no drawn speaker has a usable clip.
    """
    if count > len(by_speaker):
        raise SettingsInvalid(f"{count} speakers are asked for, but the manifest has {len(by_speaker)}")
    names, utterances = [], []
    for index in rng.permutation(len(by_speaker)):
        name = sorted(by_speaker)[int(index)]
        found = _load_enough(by_speaker[name], duration_s, load, rng)
        if found:
            names.append(name)
            utterances.append(found)
        if len(names) == count:
            return Cast(tuple(names), FreeSource(utterances))
    raise SettingsInvalid(
        f"{count} speakers are asked for, but only {len(names)} of the manifest have clips with speech"
    )


def _load_enough(clips: Sequence[Clip], duration_s: float, load: Load, rng: np.random.Generator) -> list[Utterance]:
    found: list[Utterance] = []
    seconds = 0.0
    for index in _shuffled(len(clips), rng):
        try:
            utterance = load(clips[index])
        except ClipUnreadable:
            continue
        if utterance.length > duration_s * SAMPLE_RATE / 2 and len(clips) > 1:
            continue
        found.append(utterance)
        seconds += utterance.length / SAMPLE_RATE
        if seconds >= duration_s:
            break
    return found


def cast_script(clips: Sequence[Clip], count: int, speech_s: float, load: Load, rng: np.random.Generator) -> Cast:
    """Draw one scripted conversation and its `count` most talkative speakers; others' lines are left out.

    Args:
        speech_s: seconds of speech that the meeting will need, summed over its speakers. Conversations that have as
            much are preferred (the longest where none has); a shorter one starts again when it has run out.

    Raises:
        SettingsInvalid: no conversation in the manifest has that many speakers.
    """
    scripts = {name: lines for name, lines in _scripts(clips).items() if len({clip.speaker for clip in lines}) >= count}
    if not scripts:
        raise SettingsInvalid(f"no scripted meeting in the manifest has {count} speakers (keys 'meeting' and 'turn')")
    kept = {name: _most_talkative(lines, count) for name, lines in sorted(scripts.items())}
    lengths = {name: sum(clip.duration_s for clip in lines) for name, lines in kept.items()}
    names = [name for name, length in lengths.items() if length >= speech_s]
    names = names or [max(lengths, key=lambda name: lengths[name])]
    lines = kept[names[int(rng.integers(len(names)))]]
    speakers = list(dict.fromkeys(clip.speaker for clip in lines))
    utterances = [(speakers.index(clip.speaker), load(clip)) for clip in lines]
    return Cast(tuple(speakers), ScriptSource(utterances, len(speakers)))


def _scripts(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.meeting is not None and clip.turn is not None:
            found.setdefault(clip.meeting, []).append(clip)
    return {name: sorted(lines, key=lambda clip: (clip.turn or 0, clip.file)) for name, lines in found.items()}


def _most_talkative(lines: Sequence[Clip], count: int) -> list[Clip]:
    seconds: dict[str, float] = {}
    for clip in lines:
        seconds[clip.speaker] = seconds.get(clip.speaker, 0.0) + clip.duration_s
    chosen = sorted(seconds, key=lambda name: (-seconds[name], name))[:count]
    return [clip for clip in lines if clip.speaker in chosen]


def _shuffled(count: int, rng: np.random.Generator) -> list[int]:
    return [int(index) for index in rng.permutation(count)]
