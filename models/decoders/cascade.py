"""The cascade: Whisper writes what is said in the window, the diarization says by whom. No LLM, always runnable.

1. One pass over the window: Whisper hears whole sentences, also across changes of speaker, and no word is cut at a
   border. Its word times say which turn each word belongs to (`assign`).
2. A second look at turns that came out too thin for their length (talked over, or skipped): each is cut out with a
   margin and heard on its own; of what is heard there only words are kept that the window does not already have at
   that moment.
3. Guards: nothing is written where Whisper itself says that there is no speech; what repeats itself is heard again
   turn by turn, and what still does is cut at the first repetition and flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from models.asr.whisper import AsrResult, WhisperAsr
from models.decoders.assign import assign
from models.decoders.base import NO_SPEECH, DecoderInput, DecoderOutput, DecoderTurn, DecoderTurnOutput, DecoderWord
from models.decoders.echo import without_echoes
from models.decoders.heard import (
    MAX_SAMPLES,
    SAMPLE_RATE,
    SilenceRule,
    heard_whole,
    heard_words,
    prompt_of,
    same_requests,
)
from models.decoders.repetition import first_repetition


@dataclass(frozen=True, slots=True)
class CascadeRules:
    """before_samples: what was said before the asked turns is heard with them where it is at least this long: Whisper
        mistakes fewer words then.
    margin_samples: sound around a turn that is heard on its own. reach_samples: how far outside its turn a word may
        lie.
    thin_words_per_s: a turn with fewer words than this per second of speech is heard again on its own.
    least_fresh, least_confidence: what is heard in a thin turn is taken when at least this share of it is no echo of
        somebody else, at no less than this mean confidence: it mostly is a turn in which people talk at once.
    silence: where nothing is written.
    """

    before_samples: int = 16_000
    margin_samples: int = 4_800
    reach_samples: int = 8_000
    thin_words_per_s: float = 1.0
    least_fresh: float = 0.7
    least_confidence: float = 0.5
    silence: SilenceRule = field(default_factory=SilenceRule)


@dataclass(slots=True)
class _Draft:
    """What is known of one turn while a batch is worked on. lost: the pass over the window gave nothing of use."""

    turn: DecoderTurn
    words: list[DecoderWord] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    lost: bool = False
    again: bool = False


class CascadeDecoder:
    """Whisper per window, then per turn where that is not enough. Holds no state of any session."""

    name = "cascade"
    max_samples = MAX_SAMPLES

    def __init__(self, asr: WhisperAsr, rules: CascadeRules | None = None) -> None:
        self._asr = asr
        self._rules = rules or CascadeRules()

    def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        """Raises UnsupportedLanguage. Inputs of one language and prompt share Whisper's batches."""
        answers: dict[int, DecoderOutput] = {}
        for places in same_requests(inputs):
            group = [inputs[i] for i in places]
            answers.update(zip(places, self._decode(group), strict=True))
        return [answers[i] for i in range(len(inputs))]

    def _decode(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        language, prompt = inputs[0].language, prompt_of(inputs[0])
        spans = [_span(item, self._rules) for item in inputs]
        heard = self._asr.transcribe(
            [item.samples[start:end] for item, (start, end) in zip(inputs, spans, strict=True) if end > start],
            language=language,
            prompt=prompt,
        )
        results = iter(heard)
        drafts, languages = [], []
        for item, (start, end) in zip(inputs, spans, strict=True):
            result = next(results) if end > start else None
            drafts.append(self._first_look(item, result, start))
            languages.append(language or (result.language if result is not None and result.words else None))
        self._second_look(inputs, drafts, languages, prompt)
        return [
            DecoderOutput(tuple(DecoderTurnOutput(tuple(d.words), frozenset(d.flags)) for d in own), code)
            for own, code in zip(drafts, languages, strict=True)
        ]

    def _first_look(self, item: DecoderInput, result: AsrResult | None, offset: int) -> list[_Draft]:
        drafts = [_Draft(turn) for turn in item.turns if turn.ask]
        if result is None:
            return drafts
        if self._rules.silence.holds(result):
            for draft in drafts:
                draft.flags.add(NO_SPEECH)
            return drafts
        words = heard_words(result, offset)
        loops = first_repetition([word.text for word in words]) is not None
        for draft in drafts:
            draft.lost = loops or result.truncated
        if not loops:
            spans = [(turn.start, turn.end) for turn in item.turns]
            places = assign([(word.start, word.end) for word in words], spans, self._rules.reach_samples)
            own = {id(turn): draft for turn, draft in zip((t for t in item.turns if t.ask), drafts, strict=True)}
            for word, place in zip(words, places, strict=True):
                if place is not None and id(item.turns[place]) in own:
                    turn = item.turns[place]
                    own[id(turn)].words.append(_held(word, turn, self._rules.margin_samples))
        for draft in drafts:
            seconds = (draft.turn.end - draft.turn.start) / SAMPLE_RATE
            draft.again = draft.lost or len(draft.words) < self._rules.thin_words_per_s * seconds
        return drafts

    def _second_look(
        self,
        inputs: Sequence[DecoderInput],
        drafts: Sequence[list[_Draft]],
        languages: Sequence[str | None],
        prompt: str | None,
    ) -> None:
        """Hear thin turns on their own, all windows' turns of one language in one batch."""
        for language in dict.fromkeys(languages):
            todo = [
                (item, draft, own)
                for item, own, code in zip(inputs, drafts, languages, strict=True)
                for draft in own
                if code == language and draft.again
            ]
            starts = [max(0, draft.turn.start - self._rules.margin_samples) for _, draft, _ in todo]
            clips = [
                item.samples[start : draft.turn.end + self._rules.margin_samples]
                for (item, draft, _), start in zip(todo, starts, strict=True)
            ]
            results = self._asr.transcribe(clips, language=language, prompt=prompt)
            for (_, draft, own), start, result in zip(todo, starts, results, strict=True):
                self._take(draft, own, result, start)

    def _take(self, draft: _Draft, own: Sequence[_Draft], result: AsrResult, offset: int) -> None:
        """Replace a thin turn's words by what was heard there alone, if that says more."""
        if self._rules.silence.holds(result):
            if not draft.words:
                draft.flags.add(NO_SPEECH)
            return
        words, flags = heard_whole(result, offset)
        draft.flags |= flags
        low, high = draft.turn.start - self._rules.reach_samples, draft.turn.end + self._rules.reach_samples
        words = [word for word in words if low <= (word.start + word.end) // 2 < high]
        others = [word for other in own if other is not draft for word in other.words]
        fresh = without_echoes(words, others)
        if len(fresh) > len(draft.words) and (draft.lost or self._worth(fresh, words)):
            draft.words = fresh

    def _worth(self, fresh: Sequence[DecoderWord], heard: Sequence[DecoderWord]) -> bool:
        confidence = sum(word.confidence for word in fresh) / len(fresh)
        return len(fresh) >= self._rules.least_fresh * len(heard) and confidence >= self._rules.least_confidence


def _held(word: DecoderWord, turn: DecoderTurn, margin: int) -> DecoderWord:
    """A word beside a pause, which the alignment stretches over the pause, is held to its turn and a margin: what lies
    further outside is taken for somebody else's."""
    if word.end <= turn.start or word.start >= turn.end:
        return word
    return replace(word, start=max(word.start, turn.start - margin), end=min(word.end, turn.end + margin))


def _span(item: DecoderInput, rules: CascadeRules) -> tuple[int, int]:
    """The sound that holds the asked turns, what was said before them and a margin; empty when nothing is asked."""
    asked = [turn for turn in item.turns if turn.ask]
    if not asked:
        return 0, 0
    start, end = min(turn.start for turn in asked), max(turn.end for turn in asked)
    before = [turn.start for turn in item.turns if not turn.ask and turn.start <= start - rules.before_samples]
    start = min([start, *before])
    return max(0, start - rules.margin_samples), min(len(item.samples), end + rules.margin_samples)
