"""The vocabulary of the way of the data: frozen values that travel between the stages.

    Frames -> Window -> LocalDiarization -> Labelled -> Activity -> Turn -> DecodeRequest -> Decoded -> Segment

All times are int counts of samples at 16 kHz from the start of the meeting; spans are half-open [start, end).
Shapes: `frames` is the time axis of the diarization model, `local_speakers` are numbered within one window,
`speakers` are those of the meeting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frames:
    """A stretch of sound as it comes in. `samples`: (samples,) float32 in [-1, 1], mono, 16 kHz."""

    start: int
    samples: FloatArray

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


class Urgency(IntEnum):
    """What goes first where requests wait for the models. It changes no answer, so it is no part of what is asked."""

    LIVE = 0
    """What live captions make final, and what that depends on."""
    TENTATIVE = 1
    """Live text that is replaced soon."""
    RECORDING = 2
    """Nobody waits for it at this moment."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the diarization model sees: (window_samples,) float32, of which the first `valid` are sound, the rest
    padding.

    own_start, own_end: the part of the meeting that this window answers for, so that each stretch of speech gets its
    voice vector once, from the window in which it lies most central; the own parts of all windows tile the meeting.
    """

    index: int
    start: int
    samples: FloatArray
    valid: int
    own_start: int
    own_end: int
    urgency: Urgency = field(default=Urgency.RECORDING, compare=False)

    @property
    def end(self) -> int:
        """End of the real sound."""
        return self.start + self.valid


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Where the diarization model's frames lie: frame i of a window is centred on `start + offset + i * step`, in
    samples."""

    step: int
    offset: int


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What the engine's models dictate (read from the weights, not from settings)."""

    window_samples: int
    grid: FrameGrid
    max_local_speakers: int
    decoder: str
    max_decode_samples: int


@dataclass(frozen=True, slots=True)
class VoiceRun:
    """A stretch in which one local speaker of a window speaks alone, and how it sounds.

    start, end: samples of the meeting; voice: (dim,) float32, L2-normalised
    """

    local_speaker: int
    start: int
    end: int
    voice: FloatArray


@dataclass(frozen=True, slots=True)
class LocalDiarization:
    """Who speaks when within one window, speakers numbered only within it.

    activity: (frames, local_speakers) float32 in [0, 1]; zeros behind the end of the sound
    runs: stretches of clean speech whose middle lies in the window's own part, in order of time
    """

    start: int
    end: int
    activity: FloatArray
    runs: tuple[VoiceRun, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A window's activity with meeting speakers: values (frames, speakers) float32 in [0, 1].

    unsure: (frames, speakers) where it is not known yet who speaks, so that the values are a guess; None = nowhere
    """

    start: int
    end: int
    values: FloatArray
    unsure: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """Final speaker activity on the meeting's own frame grid; frame `first + i` is centred on `grid.offset + (first +
    i) * grid.step`.

    values: (frames, speakers) float32 in [0, 1]; columns are the meeting's speakers 0, 1, 2, ...
    end: the sound up to this sample is covered
    """

    first: int
    values: FloatArray
    end: int


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """One stretch of one speaker's speech. Turns of different speakers may overlap."""

    start: int
    end: int
    speaker: int


@dataclass(frozen=True, slots=True)
class DecodeTurn:
    """A turn inside a decode request. `ask`: write this one (the others are there as context of who speaks when)."""

    start: int
    end: int
    speaker: int
    ask: bool = True
    open: bool = False
    hypothesis: str | None = None


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A window of sound and who speaks when in it; all that a decoder needs (stateless, so that any replica may
    answer).

    start: meeting time of `samples[0]`; samples: (samples,) float32; turns: sorted by (start, speaker), within the
    sound. brief: the text is replaced soon, so the decoder need not take pains.
    """

    index: int
    start: int
    samples: FloatArray
    turns: tuple[DecodeTurn, ...]
    language: str | None = None
    hotwords: tuple[str, ...] = ()
    context: str = ""
    brief: bool = False
    urgency: Urgency = field(default=Urgency.RECORDING, compare=False)


class Flag(StrEnum):
    """What a decoder noticed about its own answer."""

    POSSIBLY_TRUNCATED = "possibly_truncated"
    REPETITION = "repetition"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, slots=True)
class Word:
    """One written word, with its punctuation. `confidence` in [0, 1]."""

    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class DecodedTurn:
    """The words of one asked turn, in order of time."""

    turn: DecodeTurn
    words: tuple[Word, ...]
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answer to one decode request: one entry per asked turn, in the request's order."""

    turns: tuple[DecodedTurn, ...]
    language: str | None = None


UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese: scripts written without spaces between words."""


def join_words(words: Iterable[str]) -> str:
    """Words as running text: a space between them, but none between two words of a script that has none."""
    text = ""
    for word in words:
        glued = text and word and UNSPACED.match(text[-1]) and UNSPACED.match(word[0])
        text += word if glued or not text else " " + word
    return text


@dataclass(frozen=True, slots=True)
class Segment:
    """A speaker-attributed, timestamped piece of the transcript. Its id is stable; once final, text and times never
    change."""

    id: str
    speaker: int
    start: int
    end: int
    words: tuple[Word, ...]
    flags: frozenset[Flag] = frozenset()

    @property
    def text(self) -> str:
        return join_words(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class SpeakerCount:
    """What the user knows about the number of speakers; None = not known."""

    exact: int | None = None
    min: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class TranscriptView:
    """The finished transcript as formats and transports read it.

    segments: sorted by (start, speaker); names: speaker -> the name to show; turns: the diarization behind it
    """

    duration: int
    language: str | None
    segments: tuple[Segment, ...]
    turns: tuple[Turn, ...]
    names: dict[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def name(self, speaker: int) -> str:
        """The name to show for a speaker: given, or 'Speaker 1' for speaker 0."""
        return self.names.get(speaker, f"Speaker {speaker + 1}")
