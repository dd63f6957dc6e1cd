"""Are the words right, and are they given to the right person? Word error rates of one meeting, by meeteval.

Reference and hypothesis utterances -> normalised words -> WordScores:

- cpWER (Watanabe et al., CHiME-6, arXiv 2004.09249): each speaker's words joined, the best one-to-one assignment of
  speakers, then the word error rate. A word given to the wrong speaker is wrong.
- tcpWER (von Neumann et al., MeetEval, arXiv 2307.11394): the same, but words pair only when they are at most a collar
  apart in time. Word times are spread over the segments by characters, as meeteval does by default.
- ORC-WER (Sklyar et al., arXiv 2112.07817): each reference utterance goes to the speaker where it fits best, so that
  wrong speakers cost nothing. The exact search grows as the product of all speakers' words and is out of reach from
  three speakers on; this is meeteval's greedy search, started at cpWER's assignment: an upper bound, never above cpWER.
- cpWER's errors by region: where two or more reference speakers speak at once, or not. A wrong or missing word stands
  where the reference word does, an inserted word where it was written (`alignment.py`).
- words written at least a margin away from all reference speech: hallucinated.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from meeteval.io import SegLST
from meeteval.wer import (
    ErrorRate,
    cp_word_error_rate,
    greedy_orc_word_error_rate,
)
from meeteval.wer import time_constrained_minimum_permutation_word_error_rate as _tcp_word_error_rate
from whisper_normalizer.english import EnglishTextNormalizer

from app.bench.alignment import Normalizer, TimedWord, align, timed_words
from app.bench.references import CorpusInvalid
from app.bench.speech import Speech, SpeechMap, Utterance
from app.bench.values import HallucinatedWords, RegionErrors, WordErrors, WordScores

MAX_SPEAKERS = 20
"""meeteval scores no meeting of more speakers by cpWER..."""
MAX_ORC_SPEAKERS = 10
"""...or ORC-WER. Words of further hypothesis speakers, those with the fewest, count as insertions."""

_Utterances = Sequence[Utterance]
_Assignment = Sequence[tuple[str | None, str | None]]


@dataclass(frozen=True, slots=True)
class WordRules:
    """collar_s: tcpWER's; silence_s: a word so far from all reference speech is hallucinated."""

    collar_s: float = 5.0
    silence_s: float = 1.0


def normalize_english(text: str) -> str:
    """Whisper's English text normaliser (Radford et al., arXiv 2212.04356, appendix C); white space divides words."""
    return _english()(text)


@functools.cache
def _english() -> Normalizer:
    normalizer: Normalizer = EnglishTextNormalizer()
    return normalizer


def score_words(
    reference: Speech, hypothesis: Speech, duration_s: float, rules: WordRules, normalize: Normalizer
) -> WordScores:
    """All word scores of one meeting of `duration_s` seconds. Both sides must have utterances.

    Raises:
        CorpusInvalid: the reference has more speakers than meeteval scores.
    """
    if reference.utterances is None or hypothesis.utterances is None:
        raise ValueError("words can be scored only where both sides have utterances")
    right = _normalized(reference.utterances, normalize)
    written = _normalized(hypothesis.utterances, normalize)
    speakers = len({item.speaker for item in right})
    if speakers > MAX_SPEAKERS:
        raise CorpusInvalid(f"a reference of {speakers} speakers cannot be scored; the most is {MAX_SPEAKERS}")
    largest, more = _largest_speakers(written, MAX_SPEAKERS)
    with _quiet_meeteval():
        cp = cp_word_error_rate(_seglst(right), _seglst(largest))
        tcp = _tcp_word_error_rate(_seglst(right), _seglst(largest), collar=rules.collar_s)
        cp_errors = _errors(cp, more)
        orc_errors = min(_orc_errors(right, written), cp_errors, key=lambda found: found.errors)
    speech = SpeechMap.of(reference.turns)
    references = _by_speaker(reference.utterances, normalize)
    hypotheses = _by_speaker(hypothesis.utterances, normalize)
    return WordScores(
        cp=cp_errors,
        tcp=_errors(tcp, more),
        orc=orc_errors,
        regions=errors_by_region(references, hypotheses, cp.assignment, speech),
        hallucinated=_hallucinated(hypotheses, speech, duration_s, rules),
    )


def errors_by_region(
    references: Mapping[str, Sequence[TimedWord]],
    hypotheses: Mapping[str, Sequence[TimedWord]],
    assignment: _Assignment,
    speech: SpeechMap,
) -> RegionErrors:
    """cpWER's errors where two or more people speak, and elsewhere; together as many as cpWER's.

    assignment: pairs (reference speaker, hypothesis speaker), None = left alone; hypothesis speakers that it does not
    name are left alone too.
    """
    pairs = [*assignment]
    named = {hypothesis for _, hypothesis in pairs}
    pairs += [(None, speaker) for speaker in hypotheses if speaker not in named]
    found = {True: WordErrors(), False: WordErrors()}
    for reference_speaker, hypothesis_speaker in pairs:
        right = references[reference_speaker] if reference_speaker is not None else ()
        written = hypotheses[hypothesis_speaker] if hypothesis_speaker is not None else ()
        for left, other in align(right, written):
            error = _one_pair(right, written, left, other)
            at_s = right[left].at_s if left is not None else written[other or 0].at_s
            overlapped = speech.speakers_at(at_s) >= 2
            found[overlapped] = found[overlapped] + error
    return RegionErrors(overlapped=found[True], single=found[False])


def _one_pair(
    right: Sequence[TimedWord], written: Sequence[TimedWord], left: int | None, other: int | None
) -> WordErrors:
    if left is None:
        return WordErrors(insertions=1)
    if other is None:
        return WordErrors(length=1, deletions=1)
    return WordErrors(length=1, substitutions=int(right[left].text != written[other].text))


def _hallucinated(
    hypotheses: Mapping[str, Sequence[TimedWord]], speech: SpeechMap, duration_s: float, rules: WordRules
) -> HallucinatedWords:
    words = [word for spoken in hypotheses.values() for word in spoken]
    return HallucinatedWords(
        words=sum(not speech.speech_within(word.at_s, rules.silence_s) for word in words), duration_s=duration_s
    )


def _orc_errors(right: _Utterances, written: _Utterances) -> WordErrors:
    largest, more = _largest_speakers(written, MAX_ORC_SPEAKERS)
    return _errors(greedy_orc_word_error_rate(_seglst(right), _seglst(largest)), more)


def _normalized(utterances: _Utterances, normalize: Normalizer) -> list[Utterance]:
    """Normalised utterances that still hold words, in order of their starts."""
    ordered = sorted(utterances, key=lambda item: item.start_s)
    texts = [(item, " ".join(normalize(item.words).split())) for item in ordered]
    return [replace(item, words=text, word_spans=()) for item, text in texts if text]


def _by_speaker(utterances: _Utterances, normalize: Normalizer) -> dict[str, list[TimedWord]]:
    """Each speaker's timed words; only speakers who have any."""
    speakers = dict.fromkeys(item.speaker for item in utterances)
    timed = {
        speaker: timed_words([item for item in utterances if item.speaker == speaker], normalize)
        for speaker in speakers
    }
    return {speaker: words for speaker, words in timed.items() if words}


def _largest_speakers(utterances: _Utterances, most: int) -> tuple[_Utterances, int]:
    """The utterances of the `most` speakers with the most words, and how many words the others have."""
    words: dict[str, int] = {}
    for item in utterances:
        words[item.speaker] = words.get(item.speaker, 0) + len(item.words.split())
    kept = set(sorted(words, key=lambda speaker: -words[speaker])[:most])
    return [item for item in utterances if item.speaker in kept], sum(
        count for speaker, count in words.items() if speaker not in kept
    )


def _seglst(utterances: _Utterances) -> SegLST:
    return SegLST(
        [
            {"speaker": item.speaker, "start_time": item.start_s, "end_time": item.end_s, "words": item.words}
            for item in utterances
        ]
    )


@contextmanager
def _quiet_meeteval() -> Iterator[None]:
    """Without meeteval's doubts about the input: it takes utterances longer than the collar for long words, and tells
    of every speaker who overlaps itself."""
    log = logging.getLogger("preprocess")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _errors(found: ErrorRate, further_insertions: int) -> WordErrors:
    return WordErrors(found.length, found.insertions + further_insertions, found.deletions, found.substitutions)
