"""What still has to go to the server, in which order, on whichever connection. Pure: no socket, no clock.

In: sound and controls in the order in which the user gives them, acknowledgements, answers, resumes. Out: the next
message. A control (flush, mark, rename, stop) goes out behind the sound that was given before it, and again after a
resume until it is answered.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass

from app.client.buffer import SoundBuffer
from app.client.errors import LiveFailed
from app.client.options import SESSION_RATE, AudioFormat


@dataclass(frozen=True, slots=True)
class Control:
    """A control message; `position`: bytes of sound that go before it; `key`: what its answer is recognised by."""

    position: int
    key: tuple[str, str]
    text: str


class Outbox:
    """The client's side of a session as seen by the server, across connections."""

    def __init__(self, audio: AudioFormat, keep_s: float) -> None:
        self._audio = audio
        self.sound = SoundBuffer(max(1, int(keep_s * audio.sample_rate)) * audio.frame_bytes)
        self._cursor = 0
        self._unsent: deque[Control] = deque()
        self._unanswered: list[Control] = []

    def add_control(self, key: tuple[str, str], message: dict[str, object]) -> None:
        """Put a control behind the sound given so far."""
        control = Control(self.sound.end, key, json.dumps(message, ensure_ascii=False))
        self._unsent.append(control)
        self._unanswered.append(control)

    def next(self, most_bytes: int) -> bytes | str | None:
        """The next message, taken as sent: sound (at most `most_bytes`), a control's text, or None for nothing now."""
        control = self._unsent[0] if self._unsent else None
        if control is not None and control.position <= self._cursor:
            self._unsent.popleft()
            return control.text
        most = most_bytes if control is None else min(most_bytes, control.position - self._cursor)
        data = self.sound.read(self._cursor, most)
        self._cursor += len(data)
        return data or None

    def acknowledge(self, samples: int) -> None:
        """Sound before this session sample need not be kept; never drops what was not sent yet."""
        self.sound.drop_before(min(self._audio.bytes_of(samples), self._cursor))

    def answered(self, key: tuple[str, str]) -> bool:
        """A control has its answer; whether there was one that waited for it."""
        for control in self._unanswered:
            if control.key == key:
                self._unanswered.remove(control)
                return True
        return False

    def waits_for(self, key: tuple[str, str]) -> bool:
        """Whether a control of this key has no answer yet."""
        return any(control.key == key for control in self._unanswered)

    def rewind(self, from_samples: int) -> None:
        """A connection begins: the sound goes on at this session sample, unanswered controls go again.

        Raises:
            LiveFailed: (sound_gone) the server wants what it had acknowledged, or what was never given.
        """
        position = self._audio.bytes_of(from_samples)
        if position > self.sound.end and from_samples <= self._samples_given() + 1:
            position = self.sound.end  # rates that 16 kHz does not divide: the last sample may be half the client's
        if not self.sound.start <= position <= self.sound.end:
            raise LiveFailed(
                "sound_gone", f"the server goes on at sample {from_samples}, and that sound is not kept any more"
            )
        self._cursor = position
        self._unsent = deque(self._unanswered)

    def _samples_given(self) -> int:
        frames = self.sound.end // self._audio.frame_bytes
        return frames * SESSION_RATE // self._audio.sample_rate
