"""WebM or Ogg with Opus that arrives in pieces, as browsers record it -> frames: mono float32 at 16 kHz.

FFmpeg pulls its bytes while a socket pushes them, so the demuxer runs in a thread of its own behind a pipe. Each push
hands its bytes over and returns when the thread has used them up: what a push gives follows from the bytes alone, the
pipe never holds more than one piece, and the thread never works while nobody waits for it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import av
import numpy as np

from app.audio.container import OpenAudio
from app.audio.limits import AudioLimits
from app.audio.media import Warnings
from app.audio.mix import mix_down
from app.audio.packets import Decoder, Sound
from app.audio.resample import Resampler
from app.core.times import to_samples
from app.core.types import FloatArray, Frames
from app.errors import AudioFormatUnsupported, AudioUnreadable, CrosstalkError, NoAudioTrack

_MAGIC = {b"\x1a\x45\xdf\xa3": "matroska", b"OggS": "ogg"}
_MAGIC_BYTES = 4
_CODECS = "opus,libopus"
_PROBE_BYTES = str(1 << 18)
_OPUS_RATE = 48_000
_TOLERANCE_S = 0.1
"""Recorders' timestamps jitter by tens of milliseconds; smaller gaps wait until they add up to this."""
_MAX_GAP_S = 30.0
"""A longer jump of the timestamps is a recorder that was asleep, or a broken clock: joined, not filled."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that is missing: samples [start, end) of the session are silence instead; empty where it was joined."""

    start: int
    end: int
    reason: str


Heard = Frames | Gap


class _Pipe:
    """Bytes from `feed` to `read`, one piece at a time; both wait for each other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._data = memoryview(b"")
        self._ended = False
        self._hungry = False

    def read(self, size: int) -> bytes:
        """FFmpeg's side: at least one byte, or none at the end."""
        with self._changed:
            while not self._data and not self._ended:
                self._hungry = True
                self._changed.notify_all()
                self._changed.wait()
            self._hungry = False
            piece, self._data = self._data[:size], self._data[size:]
            return bytes(piece)

    def feed(self, data: bytes) -> bool:
        """Hand a piece over and wait until it is used up; False when nobody reads any more."""
        with self._changed:
            self._data, self._hungry = memoryview(data), False
            self._changed.notify_all()
            while not self._hungry and not self._ended:
                self._changed.wait()
            return not self._ended

    def end(self) -> None:
        """No more bytes, or no more reader."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def progressed(self) -> None:
        """Nothing to count: a pipe cannot be read in circles."""


class ContainerStream:
    """One connection's container. `start`: the session's sample (16 kHz) at which its sound begins."""

    def __init__(self, limits: AudioLimits, start: int = 0) -> None:
        self._limits = limits
        self._pipe = _Pipe()
        self._head: bytes | None = b""
        self._line = _Line(start)
        self._error: CrosstalkError | None = None
        self._thread: threading.Thread | None = None

    def push(self, data: bytes) -> list[Heard]:
        """What the bytes completed; blocks while they are decoded. Raises AudioUnreadable, AudioFormatUnsupported,
        NoAudioTrack."""
        if self._head is not None:
            self._head += data
            if len(self._head) < _MAGIC_BYTES:
                return []
            data, self._head = self._head, None
            self._begin(data)
        if data and not self._pipe.feed(data):
            self.close()
            if self._error is None:
                self._error = AudioUnreadable("the container has ended, or is damaged beyond reading", param="audio")
        return self._take()

    def flush(self) -> list[Heard]:
        """The end of the sound. Raises what `push` raises."""
        if self._head:
            raise AudioUnreadable("the sound is shorter than the header of any container", param="audio")
        if self._thread is None:
            return []
        self._pipe.end()
        self._thread.join()
        return self._take()

    def close(self) -> None:
        """Ends the thread; idempotent."""
        self._pipe.end()
        if self._thread is not None:
            self._thread.join()

    def _begin(self, head: bytes) -> None:
        name = _MAGIC.get(head[:_MAGIC_BYTES])
        if name is None:
            raise AudioUnreadable("the sound is neither WebM nor Ogg, as was announced", param="audio")
        self._thread = threading.Thread(target=self._run, args=(name,), name="container", daemon=True)
        self._thread.start()

    def _take(self) -> list[Heard]:
        if self._error is not None:
            raise self._error
        return self._line.take()

    def _run(self, name: str) -> None:
        """The thread: the whole container, from its first byte to its last."""
        try:
            self._decode(name)
        except CrosstalkError as error:
            self._error = error
        except (av.FFmpegError, ValueError) as error:
            self._error = AudioUnreadable("the container is damaged or cut off in its header", param="audio")
            self._error.__cause__ = error
        finally:
            self._pipe.end()

    def _decode(self, name: str) -> None:
        with av.open(
            self._pipe,
            mode="r",
            format=name,
            container_options={
                "format_whitelist": f"{name},webm",
                "codec_whitelist": _CODECS,
                "protocol_whitelist": "none",
                "probesize": _PROBE_BYTES,
            },
            metadata_errors="replace",
        ) as container:
            audio = _opus_of(container)
            for sound in Decoder(self._pipe, audio, self._limits, Warnings()).sounds():
                self._line.push(sound)
        self._line.flush()


def _opus_of(container: av.container.InputContainer) -> OpenAudio:
    if not container.streams.audio:
        raise NoAudioTrack("the container has no audio track", param="audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None or stream.codec_context.codec.name not in _CODECS.split(","):
        raise AudioFormatUnsupported("the audio track is not Opus", param="audio")
    return OpenAudio(container, stream, None, None)


class _Line:
    """Decoded packets -> one line of frames and gaps, in the thread; `take` empties it, when the thread waits."""

    def __init__(self, start: int) -> None:
        self._at = start
        self._resampler = Resampler(_OPUS_RATE)
        self._rate = _OPUS_RATE
        self._origin_s: float | None = None
        self._sound_s = 0.0
        self._filled_s = 0.0
        self._out: list[Heard] = []

    def push(self, sound: Sound) -> None:
        """Raises AudioUnreadable for timestamps that leave out more than there is."""
        if sound.rate != self._rate:
            self.flush()
            self._rate, self._resampler = sound.rate, Resampler(sound.rate)
        self._close_gap(sound)
        self._add(self._resampler.push(mix_down(sound.samples, None)[0]))
        self._sound_s += len(sound.samples) / sound.rate

    def flush(self) -> None:
        """The end, or a new rate."""
        self._add(self._resampler.flush())

    def take(self) -> list[Heard]:
        """What has come since the last call."""
        out, self._out = self._out, []
        return out

    def _close_gap(self, sound: Sound) -> None:
        if sound.start_s is None:
            return
        if self._origin_s is None:
            self._origin_s = sound.start_s
        ahead_s = sound.start_s - self._origin_s - self._sound_s - self._filled_s
        if abs(ahead_s) <= _TOLERANCE_S:
            return
        if not 0 < ahead_s <= _MAX_GAP_S:
            self._origin_s += ahead_s
            self._out.append(Gap(self._at, self._at, "timestamps"))
            return
        # A few bytes may stand for half a minute: more silence than sound is no recording, but an attack.
        if self._filled_s + ahead_s > self._sound_s + 2 * _MAX_GAP_S:
            raise AudioUnreadable("the container leaves out more sound than it holds", param="audio")
        self._filled_s += ahead_s
        self._out.append(Gap(self._at, self._at + to_samples(ahead_s), "damaged"))
        self._add(self._resampler.push(np.zeros(round(ahead_s * self._rate), np.float32)))

    def _add(self, samples: FloatArray) -> None:
        if len(samples):
            self._out.append(Frames(self._at, samples))
            self._at += len(samples)
