"""Is it right who speaks when? Diarization scores of one meeting, by pyannote.metrics.

Reference and hypothesis turns -> DiarizationScores: DER with and without collar (overlapped speech is always scored),
JER (Ryant et al., DIHARD II, arXiv 1906.07839) and whether the number of speakers is right.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate

from app.bench.speech import Speech, SpokenTurn, spans_by_speaker
from app.bench.values import DiarizationErrors, DiarizationScores, JaccardErrors, SpeakerCounts

COLLAR_S = 0.25
"""Left unscored on each side of every reference boundary, as NIST md-eval has it; pyannote.metrics takes the width."""


def score_diarization(reference: Speech, hypothesis: Speech, duration_s: float) -> DiarizationScores:
    """Diarization scores of one meeting. All of it is scored: to `duration_s`, or the last turn if that is later."""
    end_s = max(duration_s, reference.end_s, hypothesis.end_s)
    uem = Timeline([Segment(0.0, end_s)])
    right, found = _annotation(reference.turns), _annotation(hypothesis.turns)
    jaccard = JaccardErrorRate().compute_components(right, found, uem=uem)  # type: ignore[no-untyped-call]
    return DiarizationScores(
        strict=_der(right, found, uem, 0.0),
        collar=_der(right, found, uem, COLLAR_S),
        jaccard=JaccardErrors(round(jaccard["speaker count"]), float(jaccard["speaker error"])),
        counts=_counts(len(reference.speakers), len(hypothesis.speakers)),
    )


def _der(right: Annotation, found: Annotation, uem: Timeline, collar_s: float) -> DiarizationErrors:
    parts = DiarizationErrorRate(collar=2 * collar_s).compute_components(right, found, uem=uem)
    return DiarizationErrors(
        total_s=float(parts["total"]),
        missed_s=float(parts["missed detection"]),
        false_alarm_s=float(parts["false alarm"]),
        confusion_s=float(parts["confusion"]),
    )


def _counts(reference: int, hypothesis: int) -> SpeakerCounts:
    return SpeakerCounts(
        meetings=1,
        right=int(reference == hypothesis),
        too_many=max(0, hypothesis - reference),
        too_few=max(0, reference - hypothesis),
    )


def _annotation(turns: Sequence[SpokenTurn]) -> Annotation:
    """Turns as pyannote takes them; a speaker's turns that touch or overlap become one."""
    annotation = Annotation(uri="meeting")
    for speaker, spans in spans_by_speaker(turns).items():
        for number, (start, end) in enumerate(spans):
            annotation[Segment(start, end), f"{speaker}-{number}"] = speaker
    return annotation
