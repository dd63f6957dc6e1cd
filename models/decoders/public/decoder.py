"""The public models as a decoder: a window with its turns in, the words of each asked turn out.

The model hears the whole window and writes speakers, times and words on its own; its segments are then laid onto the
turns of the diarization (`attribute`). Flags: `possibly_truncated` on a turn behind the point at which the answer broke
off, or near which words were left over; `repetition` where it repeated itself; `no_speech` where a whole answer has no
word. What was wrong with an answer is counted in `counts` and logged, without its words.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from models.decoders.base import (
    NO_SPEECH,
    REPETITION,
    TRUNCATED,
    DecoderInput,
    DecoderOutput,
    DecoderTurnOutput,
    DecoderWord,
)
from models.decoders.public.attribute import Attribution, PlacedWord, Turn, attribute
from models.decoders.public.kinds import Hint, Kind
from models.decoders.public.segments import SAMPLE_RATE, Fault, Repaired, repair
from models.decoders.public.writer import Writer, Written
from models.decoders.repetition import first_repetition

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublicRules:
    """max_samples: longest window; max_batch: windows written at once.

    An answer may have `spare_tokens + tokens_per_s * seconds of sound` tokens: fast speech of two people at once takes
    8 to 10 a second, the tags of a segment about 15.
    """

    max_samples: int = 30 * SAMPLE_RATE
    max_batch: int = 4
    tokens_per_s: float = 16.0
    spare_tokens: int = 96


class PublicDecoder:
    """A public model behind the interface of every decoder. Holds no state of any session.

    counts: since it was loaded, `windows`, `segments`, `words`, the faults of the answers (`segments.Fault`), and
        `words_outside`, `segments_by_time`, `speakers_merged` (`attribute.Attribution`)
    """

    def __init__(self, kind: Kind, writer: Writer, rules: PublicRules | None = None) -> None:
        self.name = kind.name
        self._kind = kind
        self._writer = writer
        self._rules = rules or PublicRules()
        self.max_samples = self._rules.max_samples
        self.counts: Counter[str] = Counter()

    def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        """Answers in the order of the inputs. A window in which nothing is asked is not written."""
        asked = [i for i, item in enumerate(inputs) if len(item.samples) and any(turn.ask for turn in item.turns)]
        written: dict[int, Written] = {}
        for begin in range(0, len(asked), self._rules.max_batch):
            places = asked[begin : begin + self._rules.max_batch]
            answers = self._writer.write(
                [inputs[i].samples for i in places],
                [Hint(inputs[i].hotwords, inputs[i].context) for i in places],
                [self._limit(len(inputs[i].samples)) for i in places],
            )
            written.update(zip(places, answers, strict=True))
        return [
            self._output(item, written[i]) if i in written else _nothing(item.language, item)
            for i, item in enumerate(inputs)
        ]

    def _limit(self, samples: int) -> int:
        return self._rules.spare_tokens + math.ceil(self._rules.tokens_per_s * samples / SAMPLE_RATE)

    def _output(self, item: DecoderInput, written: Written) -> DecoderOutput:
        raw, faults = self._kind.parse(written.text)
        repaired = repair(raw, len(item.samples))
        turns = [Turn(turn.start, min(turn.end, len(item.samples)), turn.speaker) for turn in item.turns]
        attribution = attribute(repaired.segments, turns)
        found = faults + repaired.faults + attribution.counts
        broken = not written.ended or faults[Fault.CUT_OFF] > 0
        self._count(repaired, attribution, found, written)
        confidences = _confidences(written)
        outputs = []
        for i, turn in enumerate(item.turns):
            if not turn.ask:
                continue
            words, flags = _without_loop(attribution.words[i])
            if i in attribution.short or (broken and turns[i].end > _last_start(repaired)):
                flags.add(TRUNCATED)
            if any(start < turns[i].end and turns[i].start < end for start, end in repaired.repeated):
                flags.add(REPETITION)
            if written.looped and turns[i].end > _last_start(repaired):
                flags.add(REPETITION)
            if not words and not flags:
                flags.add(NO_SPEECH)
            outputs.append(DecoderTurnOutput(tuple(_word(word, confidences) for word in words), frozenset(flags)))
        return DecoderOutput(tuple(outputs), item.language)

    def _count(self, repaired: Repaired, attribution: Attribution, found: Counter[str], written: Written) -> None:
        self.counts["windows"] += 1
        self.counts["segments"] += len(repaired.segments)
        self.counts["words"] += sum(len(words) for words in attribution.words)
        self.counts["answers_looped"] += written.looped
        self.counts["answers_unended"] += not written.ended
        self.counts.update(found)
        if found or not written.ended:
            ended = "" if written.ended else ", stopped in a loop" if written.looped else ", stopped at its limit"
            _LOG.warning(
                "%s: %d segments in a window%s%s",
                self.name,
                len(repaired.segments),
                ended,
                "".join(f", {name} {count}" for name, count in sorted(found.items())),
            )


def _nothing(language: str | None, item: DecoderInput) -> DecoderOutput:
    silent = DecoderTurnOutput((), frozenset({NO_SPEECH}))
    return DecoderOutput(tuple(silent for turn in item.turns if turn.ask), language)


def _last_start(repaired: Repaired) -> int:
    """Up to here an answer that broke off can be trusted: the start of its last segment."""
    return repaired.segments[-1].start if repaired.segments else 0


def _without_loop(words: list[PlacedWord]) -> tuple[list[PlacedWord], set[str]]:
    loop = first_repetition([word.word.text for word in words])
    return (words, set()) if loop is None else (words[:loop], {REPETITION})


def _confidences(written: Written) -> list[float]:
    """Probability of the token that wrote it, for every letter of the answer."""
    return [min(1.0, math.exp(logprob)) for text, logprob in written.pieces for _ in text]


def _word(word: PlacedWord, confidences: Sequence[float]) -> DecoderWord:
    own = [confidences[place] for place in word.word.places]
    return DecoderWord(word.word.text, word.start, word.end, sum(own) / len(own))
