"""An open container -> decoded sound with its times. Whatever cannot be decoded is left out; the times show where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import av

from app.audio.container import OpenAudio
from app.audio.limits import AudioLimits
from app.audio.media import AudioWarning, Warnings
from app.audio.mix import to_float
from app.audio.mpeg import LostFrames
from app.core.types import FloatArray
from app.errors import AudioUnreadable

_MAX_READ_ERRORS = 16
_MAX_SILENT_PACKETS = 100_000
"""Packets in a row without a sample, minutes of damage; a file with more holds nothing or leads in circles."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What one packet held. start_s: container time, None = directly after what came before.

    samples: (samples, channels) float32 in [-1, 1] at `rate` Hz
    """

    start_s: float | None
    rate: int
    samples: FloatArray


class Source(Protocol):
    """Where the bytes come from."""

    def progressed(self) -> None:
        """Sound came out."""


class Decoder:
    """Reads one stream from its start to its end, once."""

    def __init__(self, source: Source, audio: OpenAudio, limits: AudioLimits, warnings: Warnings) -> None:
        self._source = source
        self._audio = audio
        self._limits = limits
        self._warnings = warnings
        self._lost = LostFrames() if audio.container.format.name == "mp3" else None

    def sounds(self) -> Iterator[Sound]:
        """All of the stream. Raises AudioFormatUnsupported (rate or channels change beyond the limits),
        AudioUnreadable (reading in circles), FileUnreadable (failing disk)."""
        silent_packets = 0
        for packet in self._packets():
            shift_s = self._shift_s(packet)
            silent_packets += 1
            for frame in self._decode(packet):
                if frame.samples:
                    silent_packets = 0
                    self._source.progressed()
                    yield self._sound(frame, shift_s)
            if silent_packets > _MAX_SILENT_PACKETS:
                raise AudioUnreadable("the file is damaged: its audio track yields no sound")

    def _packets(self) -> Iterator[av.Packet[av.AudioStream]]:
        """Packets to the end. A read that fails is tried again behind the damage, a few times."""
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self._audio.container.demux(self._audio.stream):
                    errors = 0
                    yield packet
            except IndexError:
                # PyAV (18.1) stumbles at the end where streams came up while it read (issue 692 there): it looks for
                # theirs. All of ours has been read by then; the second time it knows them.
                errors += 1
            except (av.FFmpegError, ValueError):
                self._warnings.add(AudioWarning.DAMAGED)
                errors += 1
            else:
                return

    def _decode(self, packet: av.Packet[av.AudioStream]) -> list[av.AudioFrame]:
        try:
            frames = self._audio.stream.codec_context.decode(packet)
        except EOFError:
            return []
        except (av.FFmpegError, ValueError):
            self._warnings.add(AudioWarning.DAMAGED)
            return []
        # Elsewhere the flag only says that the file's end cut the packet short; what it holds is good.
        if packet.is_corrupt and self._audio.container.format.name == "mpegts":
            self._warnings.add(AudioWarning.DAMAGED)
            return []
        return frames

    def _shift_s(self, packet: av.Packet[av.AudioStream]) -> float:
        """What to add to the packet's time, where the container has no times of its own."""
        if self._lost is None or not packet.size:
            return 0.0
        lost = self._lost.push(bytes(packet))
        if lost > 0:
            self._warnings.add(AudioWarning.DAMAGED)
        return lost * float((packet.duration or 0) * packet.time_base)

    def _sound(self, frame: av.AudioFrame, shift_s: float) -> Sound:
        self._limits.check_format(frame.sample_rate, frame.layout.nb_channels)
        samples, replaced = to_float(frame)
        if replaced:
            self._warnings.add(AudioWarning.NOT_FINITE)
        time_base = self._audio.stream.time_base
        start_s = None if frame.pts is None or time_base is None else float(frame.pts * time_base) + shift_s
        return Sound(start_s, frame.sample_rate, samples)
