"""A file -> its frames and what is known about it, decoded in a process of its own."""

from __future__ import annotations

from app.audio.jail import wire
from app.audio.jail.parent import DecoderProcess
from app.audio.jail.wire import Kind, Malformed, Task
from app.audio.limits import AudioLimits, ProcessLimits
from app.audio.media import AudioWarning, MediaInfo
from app.audio.source import SourceFile
from app.core.times import SAMPLE_RATE
from app.core.types import Frames


def decode_apart(
    source: SourceFile, limits: AudioLimits, process: ProcessLimits, channel: int | None
) -> ProcessDecoding:
    """Decode the first second; the source is closed. Raises what `open_recording` raises for a file that is open."""
    with source:
        child = DecoderProcess(Task(limits, process, source.fileno(), channel))
    return ProcessDecoding(child, limits)


class ProcessDecoding:
    """See `Decoding` in recording.py. One thread at a time, but for `stop`."""

    def __init__(self, child: DecoderProcess, limits: AudioLimits) -> None:
        self._child = child
        self._limits = limits
        self._at = 0
        self._ended = False
        self.warnings: tuple[AudioWarning, ...] = ()
        kind, content = child.receive()
        try:
            if kind is not Kind.OPENED:
                raise Malformed
            self.info: MediaInfo = wire.load_info(content)
        except Malformed as error:
            raise child.malformed(error) from error

    def next(self) -> Frames | None:
        """The next second; None at the end."""
        while not self._ended:
            kind, content = self._child.receive()
            try:
                if kind is Kind.WARNED:
                    self.warnings = wire.load_warnings(content)
                elif kind is Kind.SOUND:
                    return self._sound(content)
                elif kind is Kind.END:
                    self._ended = True
                else:
                    raise Malformed
            except Malformed as error:
                raise self._child.malformed(error) from error
        return None

    def stop(self) -> None:
        """From any thread."""
        self._child.kill()

    def close(self) -> None:
        """Idempotent."""
        self._child.close()

    def _sound(self, content: bytes) -> Frames:
        """Raises Malformed, AudioTooLong: also the length is not taken on trust."""
        frames = wire.load_sound(content, self._at)
        if len(frames.samples) > SAMPLE_RATE:
            raise Malformed
        self._at = frames.end
        self._limits.check_duration((self._at - SAMPLE_RATE) / SAMPLE_RATE)
        return frames
