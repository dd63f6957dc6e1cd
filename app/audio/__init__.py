"""First step of the way of the data: recordings -> frames (mono float32 at 16 kHz), and the store that keeps them.

file -> source -> container -> packets -> mix -> timeline -> resample -> local -> (jail) -> recording (Frames) -> spool
"""

from __future__ import annotations

from app.audio.limits import AudioLimits, ProcessLimits
from app.audio.media import AudioWarning, MediaInfo
from app.audio.recording import Recording, aopen_recording, open_recording
from app.audio.spool import Spool

__all__ = [
    "AudioLimits",
    "AudioWarning",
    "MediaInfo",
    "ProcessLimits",
    "Recording",
    "Spool",
    "aopen_recording",
    "open_recording",
]
