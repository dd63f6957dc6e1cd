"""One meeting's answer against its truth: the only entry to all measures.

Speech (reference) + Speech or TranscriptView (hypothesis) -> Scores, which add up over meetings (`values.py`).
"""

from __future__ import annotations

from app.bench.alignment import Normalizer
from app.bench.diarization import score_diarization
from app.bench.speech import Speech, of_view
from app.bench.values import Scores
from app.bench.words import WordRules, normalize_english, score_words
from app.core.types import TranscriptView


def score(
    reference: Speech,
    hypothesis: Speech | TranscriptView,
    duration_s: float,
    *,
    rules: WordRules | None = None,
    normalize: Normalizer = normalize_english,
) -> Scores:
    """Scores of one meeting of `duration_s` seconds. Words are scored where both sides have utterances.

    Raises:
        CorpusInvalid: the reference cannot be scored.
    """
    answer = of_view(hypothesis) if isinstance(hypothesis, TranscriptView) else hypothesis
    words = None
    if reference.utterances is not None and answer.utterances is not None:
        words = score_words(reference, answer, duration_s, rules or WordRules(), normalize)
    return Scores(meetings=1, words=words, diarization=score_diarization(reference, answer, duration_s))
