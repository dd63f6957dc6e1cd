"""Updates of a live session -> Deepgram's messages. Pure: no socket, no clock; pauses are measured in the sound.

- Every final segment is one `Results` with `is_final`, sent once.
- `speech_final`: nobody speaks for `endpointing` ms after it; found later, it comes as an empty `Results` of its own.
- `UtteranceEnd`: nobody speaks for `utterance_end_ms` after the last word that is final.
- `SpeechStarted`: tentative text appears where nobody was speaking.
- `Finalize` is answered by an empty `Results` with `from_finalize`, once everything before it has been sent.
"""

from __future__ import annotations

from app.core.times import SAMPLE_RATE
from app.core.types import Segment
from app.live.updates import Final, Finished, Flushed, Partial, Progress, Update
from app.transport.listen.params import ListenOptions
from app.transport.listen.results import Marks, Message, Shape, results, speech_started, utterance_end


class Translator:
    """One connection's state."""

    def __init__(self, options: ListenOptions, shape: Shape) -> None:
        self._options = options
        self._shape = shape
        self._endpointing = _samples(options.endpointing_ms)
        self._utterance_end = _samples(options.utterance_end_ms)
        self._open: tuple[Segment, ...] = ()
        self._interim: Message | None = None
        self._last_end: int | None = None
        """End of the last word that is final; None before there is one."""
        self._pointed = True
        self._ended = True
        self._speaking = False
        self._written = 0

    def push(self, update: Update) -> list[Message]:
        """What an update says in Deepgram's words; nothing for what it has no words for."""
        if isinstance(update, Final):
            return [*self._final(update.segment), *self._pauses()]
        if isinstance(update, Partial):
            return [*self._partial(update.segments), *self._pauses()]
        if isinstance(update, Progress):
            self._written = max(self._written, update.written)
            return self._pauses()
        if isinstance(update, Flushed):
            return [results([], self._shape, Marks(from_finalize=True), self._last_end or 0)]
        if isinstance(update, Finished):
            self._open, self._written = (), max(self._written, update.view.duration)
            return self._pauses()
        return []

    def _final(self, segment: Segment) -> list[Message]:
        end = max((word.end for word in segment.words), default=segment.end)
        if self._last_end is None or end > self._last_end:
            self._last_end, self._ended = end, False
        self._interim = None
        self._pointed = self._endpointing is not None and self._silence() >= self._endpointing
        return [results([segment], self._shape, Marks(speech_final=self._pointed))]

    def _partial(self, segments: tuple[Segment, ...]) -> list[Message]:
        self._open = segments
        messages: list[Message] = []
        if self._options.vad_events and segments and not self._speaking:
            messages.append(speech_started(min(segment.start for segment in segments)))
        self._speaking = bool(segments)
        if self._options.interim_results and any(segment.words for segment in segments):
            interim = results(segments, self._shape, Marks(is_final=False))
            if interim != self._interim:
                messages.append(interim)
            self._interim = interim
        return messages

    def _pauses(self) -> list[Message]:
        """What has become due since the last word."""
        if self._last_end is None:
            return []
        messages: list[Message] = []
        silence = self._silence()
        if self._endpointing is not None and not self._pointed and silence >= self._endpointing:
            self._pointed = True
            messages.append(results([], self._shape, Marks(speech_final=True), self._last_end))
        if self._utterance_end is not None and not self._ended and silence >= self._utterance_end:
            self._ended = True
            messages.append(utterance_end(self._last_end))
        return messages

    def _silence(self) -> int:
        """Samples of the sound, as far as it is known, in which nobody speaks after the last word; 0 in open speech."""
        assert self._last_end is not None
        until = min((segment.start for segment in self._open), default=self._written)
        return max(0, until - self._last_end)


def _samples(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * SAMPLE_RATE // 1000
