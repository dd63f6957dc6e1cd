"""The target-speaker decoder: a Whisper that is told when a speaker talks writes that speaker's words, one by one.

1. Each stretch that holds a speaker's asked turns without a long pause, with a margin, goes to `models.target` with the
   mask of who speaks.
2. The words that come back have times, which say to which of the speaker's turns each belongs (`assign`).
3. What is not in the language that the model was trained on is left to another decoder.
4. Guards as in the cascade: nothing where Whisper itself says that there is no speech; what repeats itself is cut at
   the first repetition, and what was still going on at its limit is kept; both are flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from models.asr.whisper import AsrResult
from models.decoders.assign import assign
from models.decoders.base import (
    NO_SPEECH,
    Decoder,
    DecoderInput,
    DecoderOutput,
    DecoderTurn,
    DecoderTurnOutput,
    DecoderWord,
)
from models.decoders.heard import MAX_SAMPLES, SilenceRule, heard_whole, prompt_of, same_requests
from models.target.whisper import TargetClip, TargetWhisper


@dataclass(frozen=True, slots=True)
class TargetRules:
    """margin_samples: sound around a speaker's turns. reach_samples: how far outside its turn a word may lie.

    pause_samples: turns with a longer pause between them are heard apart. Together is better under other voices, where
        the speaker's lone sound tells the voice; apart is better where turns are short and far from each other.
    silence: where nothing is written.
    """

    margin_samples: int = 4_800
    pause_samples: int = 12_800
    reach_samples: int = 16_000
    silence: SilenceRule = field(default_factory=SilenceRule)


@dataclass(frozen=True, slots=True)
class _Part:
    """One speaker of one window.

    window: its place in the batch; start: of the clip in the window; turns: all of the speaker's that the clip holds.
    """

    window: int
    start: int
    turns: tuple[DecoderTurn, ...]
    clip: TargetClip


class TargetDecoder:
    """A target-speaker Whisper per speaker and window. Holds no state of any session."""

    name = "target"
    max_samples = MAX_SAMPLES

    def __init__(
        self, whisper: TargetWhisper, language: str, others: Decoder, rules: TargetRules | None = None
    ) -> None:
        """language: code of the one that the model was trained on; others: what writes all other languages."""
        self._whisper = whisper
        self._language = language
        self._others = others
        self._rules = rules or TargetRules()

    def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        """Raises UnsupportedLanguage. Inputs of one language and prompt share Whisper's batches."""
        answers: dict[int, DecoderOutput] = {}
        for places in same_requests(inputs):
            group = [inputs[i] for i in places]
            given = group[0].language
            outputs = self._decode(group) if given in (None, self._language) else self._others.decode_batch(group)
            answers.update(zip(places, outputs, strict=True))
        foreign = [i for i in range(len(inputs)) if inputs[i].language is None and self._is_foreign(answers[i])]
        again = self._others.decode_batch([inputs[i] for i in foreign]) if foreign else []
        answers.update(zip(foreign, again, strict=True))
        return [answers[i] for i in range(len(inputs))]

    def _is_foreign(self, output: DecoderOutput) -> bool:
        return output.language is not None and output.language != self._language

    def _decode(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        parts = [part for number, item in enumerate(inputs) for part in self._parts(number, item)]
        language = inputs[0].language
        clips, how = [part.clip for part in parts], inputs[0]
        results = self._whisper.write(clips, language=language, prompt=prompt_of(how), brief=how.brief)
        # Turns may be equal to each other: their identity tells them apart.
        written: dict[tuple[int, int], DecoderTurnOutput] = {}
        languages: list[str | None] = [language] * len(inputs)
        for part, result in zip(parts, results, strict=True):
            outputs = self._turns(part, result)
            written.update(
                {(part.window, id(turn)): out for turn, out in zip(part.turns, outputs, strict=True) if turn.ask}
            )
            if languages[part.window] is None and any(out.words for out in outputs):
                languages[part.window] = result.language
        return [
            DecoderOutput(
                tuple(written.get((number, id(turn)), DecoderTurnOutput(())) for turn in item.turns if turn.ask),
                languages[number],
            )
            for number, item in enumerate(inputs)
        ]

    def _parts(self, number: int, item: DecoderInput) -> list[_Part]:
        parts = []
        for turns in self._stretches(item):
            speaker = turns[0].speaker
            start = max(0, min(turn.start for turn in turns) - self._rules.margin_samples)
            end = min(len(item.samples), max(turn.end for turn in turns) + self._rules.margin_samples)
            if end <= start:  # beyond the window: nothing to hear
                continue
            near = [turn for turn in item.turns if turn.start < end and turn.end > start]
            own = tuple(turn for turn in near if turn.speaker == speaker)
            others = [turn for turn in near if turn.speaker != speaker]
            clip = TargetClip(item.samples[start:end], _spans(own, start), _spans(others, start))
            parts.append(_Part(number, start, own, clip))
        return parts

    def _stretches(self, item: DecoderInput) -> list[list[DecoderTurn]]:
        """The turns that are heard together: one speaker's, without long pauses between them, the last one asked.

        Those that are not asked are what was said before: with them in its ears Whisper mistakes fewer words.
        """
        stretches: list[list[DecoderTurn]] = []
        for speaker in dict.fromkeys(turn.speaker for turn in item.turns if turn.ask):
            groups: list[list[DecoderTurn]] = []
            for turn in item.turns:
                if turn.speaker != speaker:
                    continue
                if not groups or turn.start - max(t.end for t in groups[-1]) > self._rules.pause_samples:
                    groups.append([])
                groups[-1].append(turn)
            for group in groups:
                asked = [place for place, turn in enumerate(group) if turn.ask]
                if asked:
                    stretches.append(group[: asked[-1] + 1])
        return stretches

    def _turns(self, part: _Part, result: AsrResult) -> list[DecoderTurnOutput]:
        """One output per turn of the part."""
        if self._rules.silence.holds(result):
            return [DecoderTurnOutput((), frozenset({NO_SPEECH})) for _ in part.turns]
        words, flags = heard_whole(result, part.start)
        spans = [(turn.start, turn.end) for turn in part.turns]
        places = assign([(word.start, word.end) for word in words], spans, self._rules.reach_samples)
        return [
            DecoderTurnOutput(
                tuple(_within(word, turn) for word, place in zip(words, places, strict=True) if place == number),
                frozenset(flags),
            )
            for number, turn in enumerate(part.turns)
        ]


def _within(word: DecoderWord, turn: DecoderTurn) -> DecoderWord:
    """A word cut to its turn: Whisper lets the first one begin, and the last one end, in the silence around."""
    start, end = max(word.start, turn.start), min(word.end, turn.end)
    return replace(word, start=start, end=end) if start < end else word


def _spans(turns: Sequence[DecoderTurn], start: int) -> tuple[tuple[int, int], ...]:
    return tuple((max(0, turn.start - start), turn.end - start) for turn in turns)
