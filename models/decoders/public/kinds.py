"""What the public models differ in: their class, rate of sound, form of the answer, and how they are asked.

Read from transformers 5.23: `MossTranscribeDiarizeProcessor` and `VibeVoiceAsrProcessor`. Neither takes a language:
both detect it (an option of the recording is only passed on to the transcript). Both write in the form of their own
chat template, which comes with the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.decoders.public.moss_format import parse_moss
from models.decoders.public.segments import Faults, RawSegment
from models.decoders.public.vibevoice_format import parse_vibevoice

Parser = Callable[[str], tuple[list[RawSegment], Faults]]


@dataclass(frozen=True, slots=True)
class Hint:
    """What a window's request may tell beside its sound."""

    hotwords: tuple[str, ...] = ()
    context: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A public model.

    model_type: as in its config.json; model_class, processor_class: names in transformers
    rate: samples per second of the sound that it hears
    request: hints of a batch -> arguments for the processor
    options: for `generate`
    """

    name: str
    model_type: str
    model_class: str
    processor_class: str
    rate: int
    parse: Parser
    request: Callable[[Sequence[Hint]], dict[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)


def _ask_moss(hints: Sequence[Hint]) -> dict[str, Any]:
    """Hotwords are a list of their own; the context is the prompt's further information."""
    return {
        "keywords": [list(hint.hotwords) or None for hint in hints],
        "prompt": [hint.context.strip() or None for hint in hints],
    }


def _ask_vibevoice(hints: Sequence[Hint]) -> dict[str, Any]:
    """Hotwords and context are one text, the prompt's "extra info"."""
    prompts = [". ".join(filter(None, [", ".join(hint.hotwords), hint.context.strip()])) for hint in hints]
    return {"prompt": [prompt or None for prompt in prompts]}


MOSS = Kind(
    "moss",
    "moss_transcribe_diarize",
    "MossTranscribeDiarizeForConditionalGeneration",
    "MossTranscribeDiarizeProcessor",
    16_000,
    parse_moss,
    _ask_moss,
)
VIBEVOICE = Kind(
    "vibevoice",
    "vibevoice_asr",
    "VibeVoiceAsrForConditionalGeneration",
    "VibeVoiceAsrProcessor",
    24_000,
    parse_vibevoice,
    _ask_vibevoice,
    # Its tokenizer of sound adds noise unless told otherwise; the same sound must give the same words.
    {"sample": False},
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (MOSS, VIBEVOICE)}
