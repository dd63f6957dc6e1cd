"""What decoders over Whisper share: which requests may be heard together, and how an answer of Whisper is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.asr.whisper import AsrResult
from models.decoders.base import REPETITION, TRUNCATED, DecoderInput, DecoderWord
from models.decoders.repetition import first_repetition

SAMPLE_RATE = 16_000
MAX_SAMPLES = 30 * SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SilenceRule:
    """Nobody speaks where Whisper is surer than `prob` that nobody does and its words' mean log probability is below
    `logprob` (the published rule of openai/whisper)."""

    prob: float = 0.6
    logprob: float = -1.0

    def holds(self, result: AsrResult) -> bool:
        """Whether the answer is to be taken for silence."""
        return result.no_speech_prob > self.prob and result.avg_logprob < self.logprob


def same_requests(inputs: Sequence[DecoderInput]) -> list[list[int]]:
    """Places of the inputs that may share a batch: those with the same language and prompt, brief or not."""
    groups: dict[tuple[str | None, str | None, bool], list[int]] = {}
    for i, item in enumerate(inputs):
        groups.setdefault((item.language, prompt_of(item), item.brief), []).append(i)
    return list(groups.values())


def prompt_of(item: DecoderInput) -> str | None:
    """Hotwords and what was said before, as Whisper's previous text."""
    parts = [*([", ".join(item.hotwords) + "."] if item.hotwords else []), *([item.context] if item.context else [])]
    return " ".join(parts) or None


def heard_words(result: AsrResult, offset: int) -> list[DecoderWord]:
    """The words of a clip that begins at sample `offset` of the window."""
    return [
        DecoderWord(
            word.text.strip(),
            offset + round(word.start_s * SAMPLE_RATE),
            offset + round(word.end_s * SAMPLE_RATE),
            min(1.0, max(0.0, word.probability)),
        )
        for word in result.words
        if word.text.strip()
    ]


def heard_whole(result: AsrResult, offset: int) -> tuple[list[DecoderWord], set[str]]:
    """`heard_words`, cut at the first repetition, and the flag for that or for an answer that was not at its end."""
    words = heard_words(result, offset)
    loop = first_repetition([word.text for word in words])
    if loop is not None:
        return words[:loop], {REPETITION}
    return words, {TRUNCATED} if result.truncated else set()
