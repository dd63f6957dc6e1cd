"""A public decoder under the real driver: windows of a long recording, and speakers linked by voice.

The model here hears tones (see `fake_worker`) and writes MOSS's form, with speaker numbers of its own, other ones in
every window and in no relation to the meeting's. It is told nothing but the sound.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from app.audio import Spool
from app.audio.memory import afrom_array
from app.core.types import Decoded, DecodeRequest, EngineSpec, TranscriptView
from app.engine.base import Engine
from app.engine.local import BatchRules, LocalEngine
from app.engine.worker import _decode
from app.session import Finished, Session, SessionOptions
from models.decoders.public.decoder import PublicDecoder
from models.decoders.public.kinds import MOSS, Hint
from models.decoders.public.writer import Written
from tests.engine.fake_worker import (
    _HOP_SAMPLES,
    _WORD_FRAME_SAMPLES,
    NUM_VOICES,
    SPEC,
    FakeWorker,
    Line,
    _levels,
    _words,
    meeting,
)

LINES = [
    Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel"),
    Line(3.1, 1, "hotel golf foxtrot echo delta charlie bravo alpha hotel"),
    Line(7.0, 2, "golf golf alpha hotel"),
    Line(9.0, 0, "delta echo alpha golf bravo delta echo alpha"),
    Line(10.0, 2, "bravo alpha hotel"),
    Line(14.0, 1, "bravo alpha hotel"),
]
LONG = [replace(line, start_s=line.start_s + 16 * i) for i in range(6) for line in LINES]


class ToneWriter:
    """Hears tones, writes segments; `windows` counts what it was given."""

    def __init__(self) -> None:
        self.windows = 0
        self.numberings: set[tuple[int, ...]] = set()

    def write(self, sounds: Sequence[np.ndarray], hints: Sequence[Hint], limits: Sequence[int]) -> list[Written]:
        self.windows += len(sounds)
        return [Written(((self._text(sound), -0.1),), ended=True) for sound in sounds]

    def _text(self, sound: np.ndarray) -> str:
        on = _levels(np.pad(sound, _WORD_FRAME_SAMPLES // 2), _WORD_FRAME_SAMPLES, _HOP_SAMPLES) >= 0.1
        request = DecodeRequest(0, 0, sound, ())
        numbers = random.Random(len(sound)).sample(range(1, 99), NUM_VOICES)
        segments: list[tuple[int, int, int, list[str]]] = []
        for voice in np.flatnonzero(on.any(axis=0)).tolist():
            for word in _words(request, on[:, voice], voice):
                if segments and segments[-1][1] == voice and word.start - segments[-1][2] < 3000:
                    start, _, _, texts = segments.pop()
                    segments.append((start, voice, word.end, [*texts, word.text]))
                else:
                    segments.append((word.start, voice, word.end, [word.text]))
        self.numberings.add(tuple(numbers[:3]))
        return "".join(
            f"[{start / 16_000:.2f}][S{numbers[voice]:02d}]{' '.join(texts)}[{end / 16_000:.2f}]"
            for start, voice, end, texts in sorted(segments)
        )


class PublicWorker(FakeWorker):
    """Diarizes like the fake worker; decodes with a public decoder, over the real conversion of requests."""

    spec: EngineSpec = replace(SPEC, decoder="moss")

    def __init__(self, decoder: PublicDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def decode_batch(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        return _decode(self.decoder, list(requests))


def transcribe(
    script: list[Line], options: SessionOptions, around: Callable[[LocalEngine], Engine] = lambda engine: engine
) -> tuple[TranscriptView, PublicDecoder, ToneWriter]:
    writer = ToneWriter()
    decoder = PublicDecoder(MOSS, writer)
    duration_s = max(line.end_s for line in script) + 1

    async def main() -> TranscriptView:
        engine = around(LocalEngine(PublicWorker(decoder), BatchRules()))
        try:
            with Spool() as spool:
                session = Session(engine, options, spool)
                updates = [update async for update in session.run(afrom_array(meeting(script, duration_s), 16_000))]
        finally:
            await engine.aclose()
        assert isinstance(updates[-1], Finished)
        return updates[-1].view

    return asyncio.run(main()), decoder, writer


@pytest.mark.parametrize("recluster", [True, False])
def test_the_speakers_of_all_windows_are_the_meetings(recluster: bool) -> None:
    """Every line comes back under its own speaker, though the model numbered its speakers anew in every window."""
    view, decoder, writer = transcribe(LONG, SessionOptions(recluster=recluster))
    assert writer.windows >= 4
    assert len(writer.numberings) >= 3
    expected = [(line.voice, line.text) for line in sorted(LONG, key=lambda line: line.start_s)]
    assert [(segment.speaker, segment.text) for segment in view.segments] == expected
    assert not decoder.counts["words_outside"]
    for segment, line in zip(view.segments, sorted(LONG, key=lambda line: line.start_s), strict=True):
        assert abs(segment.start / 16_000 - line.start_s) < 0.2
        assert abs(segment.end / 16_000 - line.end_s) < 0.2


class Meeting:
    """An engine that answers later windows only once two of them wait for an answer at the same time."""

    def __init__(self, inner: LocalEngine) -> None:
        self.inner, self.spec = inner, inner.spec
        self.diarize, self.aclose = inner.diarize, inner.aclose
        self.asked = 0
        self.two = asyncio.Event()

    async def decode(self, request: DecodeRequest) -> Decoded:
        self.asked += 1
        if self.asked == 3:
            self.two.set()
        if self.asked > 1:
            await asyncio.wait_for(self.two.wait(), 60)
        return await self.inner.decode(request)


def test_a_decoder_that_tells_no_language_is_not_asked_one_window_at_a_time() -> None:
    """The language stays unknown, and only the first window with words is waited for."""
    view, _, _ = transcribe(LONG, SessionOptions(), Meeting)
    assert view.language is None
    assert len(view.segments) == len(LONG)


def test_a_language_that_is_given_is_the_transcripts() -> None:
    view, _, _ = transcribe(LINES, SessionOptions(language="en"))
    assert view.language == "en"
