"""What a recording may cost. Checked against the container's own words when it is opened, and while it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import AudioFormatUnsupported, AudioTooLong


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a process that decodes may take; one that takes more is ended, and its sound counts as unreadable.

    memory_bytes: of address space, the interpreter's own (about 300 MB, most of it never touched) included
    cpu_s: of processor time for a whole recording or stream
    stall_s: of waiting for the next second of sound
    """

    memory_bytes: int = 1 << 30
    cpu_s: int = 1800
    stall_s: float = 60.0

    def __post_init__(self) -> None:
        if self.memory_bytes < 1 or self.cpu_s < 1 or self.stall_s <= 0:
            raise ValueError("a process needs some memory and time")


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Bounds of what is accepted; outside -> a clear error. Raises ValueError for bounds that admit nothing.

    max_duration_s: of the recording, filled gaps included
    min_rate: Hz; below the 8 kHz of telephones speech is not intelligible, 4 kHz leaves room for odd recorders
    max_rate: Hz; the highest rate of studio recorders
    max_channels: of the chosen audio stream
    max_gap_s: a longer jump of the timestamps is taken for a broken clock and not filled with silence
    process: recordings are decoded in a process of their own with these limits; None = in this one, for files of one's
    own. Containers that come in pieces always have one.
    """

    max_duration_s: float = 6 * 3600.0
    min_rate: int = 4_000
    max_rate: int = 192_000
    max_channels: int = 16
    max_gap_s: float = 3600.0
    process: ProcessLimits | None = None

    def __post_init__(self) -> None:
        if self.max_duration_s <= 0 or self.max_channels < 1 or self.max_gap_s < 0:
            raise ValueError("audio limits must admit some sound")
        if not 0 < self.min_rate <= self.max_rate:
            raise ValueError("audio limits need 0 < min_rate <= max_rate")

    def check_format(self, rate: int, channels: int) -> None:
        """Raises AudioFormatUnsupported."""
        if not self.min_rate <= rate <= self.max_rate:
            raise AudioFormatUnsupported(
                f"the sample rate is {rate} Hz; from {self.min_rate} to {self.max_rate} Hz are supported"
            )
        if not 1 <= channels <= self.max_channels:
            raise AudioFormatUnsupported(f"the sound has {channels} channels; 1 to {self.max_channels} are supported")

    def check_duration(self, duration_s: float) -> None:
        """Raises AudioTooLong."""
        if duration_s > self.max_duration_s:
            raise AudioTooLong(f"the recording is longer than the limit of {self.max_duration_s / 3600:g} hours")
