"""WebM or Ogg with Opus that arrives in pieces, as browsers record it -> frames: mono float32 at 16 kHz.

FFmpeg pulls its bytes while a socket pushes them, and a stranger made them: it runs in a process of its own. Each push
hands its bytes over and returns when the process has used them up: what a push gives follows from the bytes alone, and
the process never works while nobody waits for it.
"""

from __future__ import annotations

import threading

from app.audio.jail import wire
from app.audio.jail.parent import DecoderProcess
from app.audio.jail.wire import Kind, Malformed, Task
from app.audio.limits import AudioLimits, ProcessLimits
from app.audio.opus import Gap, Heard
from app.core.times import SAMPLE_RATE
from app.errors import AudioUnreadable, CrosstalkError

__all__ = ["ContainerStream", "Gap", "Heard"]

_MAGIC = {b"\x1a\x45\xdf\xa3": "matroska", b"OggS": "ogg"}
_MAGIC_BYTES = 4
_MOST_FROM_BYTE = SAMPLE_RATE // 8
"""Samples that one byte may become: a packet of 120 ms has eight bytes with its header, and as much may be missing."""
_MOST_FROM_PUSH = 120 * SAMPLE_RATE
"""What a push may give besides: the longest gaps, and what earlier bytes began."""


class ContainerStream:
    """One connection's container. `start`: the session's sample (16 kHz) at which its sound begins."""

    def __init__(self, limits: AudioLimits, start: int = 0) -> None:
        self._limits = limits
        self._head: bytes | None = b""
        self._at = start
        self._error: CrosstalkError | None = None
        self._child: DecoderProcess | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def push(self, data: bytes) -> list[Heard]:
        """What the bytes completed; blocks while they are decoded. Raises AudioUnreadable, AudioFormatUnsupported,
        NoAudioTrack, Overloaded."""
        with self._lock:
            if self._head is not None:
                self._head += data
                if len(self._head) < _MAGIC_BYTES:
                    return []
                data, self._head = self._head, None
                self._begin(data)
            if self._error is not None:
                raise self._error
            return self._exchange(data, Kind.HUNGRY) if data else []

    def flush(self) -> list[Heard]:
        """The end of the sound. Raises what `push` raises."""
        with self._lock:
            if self._head:
                raise AudioUnreadable("the sound is shorter than the header of any container", param="audio")
            if self._error is not None:
                raise self._error
            return [] if self._child is None else self._exchange(b"", Kind.END)

    def close(self) -> None:
        """Ends the process, also while another thread waits for it; idempotent."""
        self._closed.set()
        if self._child is not None:
            self._child.kill()
        with self._lock:
            if self._child is not None:
                self._child.close()

    def _begin(self, head: bytes) -> None:
        name = _MAGIC.get(head[:_MAGIC_BYTES])
        if name is None:
            raise AudioUnreadable("the sound is neither WebM nor Ogg, as was announced", param="audio")
        if self._closed.is_set():
            raise AudioUnreadable("the stream is closed", param="audio")
        limits = self._limits.process or ProcessLimits()
        self._child = DecoderProcess(Task(self._limits, limits, container=name, start=self._at))
        if self._closed.is_set():
            self._child.kill()
        self._receive(Kind.HUNGRY, 0)

    def _exchange(self, data: bytes, until: Kind) -> list[Heard]:
        """Hand a piece over, and take what it gives."""
        assert self._child is not None
        try:
            self._child.send(data)
            return self._receive(until, _MOST_FROM_PUSH + _MOST_FROM_BYTE * len(data))
        except CrosstalkError as error:
            self._error = error
            raise

    def _receive(self, until: Kind, most: int) -> list[Heard]:
        """Up to the message `until`, and up to so many samples."""
        assert self._child is not None
        heard: list[Heard] = []
        begun = self._at
        while True:
            kind, content = self._child.receive()
            try:
                if kind is Kind.SOUND:
                    frames = wire.load_sound(content, self._at)
                    self._at = frames.end
                    heard.append(frames)
                elif kind is Kind.GAP:
                    heard.append(Gap(*wire.load_gap(content)))
                elif kind is until:
                    return heard
                elif kind is Kind.END:
                    raise AudioUnreadable("the container has ended, or is damaged beyond reading", param="audio")
                else:
                    raise Malformed
                if self._at - begun > most or len(heard) > most:
                    raise Malformed
            except Malformed as error:
                raise self._child.malformed(error) from error
