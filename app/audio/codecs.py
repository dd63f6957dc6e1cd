"""What FFmpeg's libraries, which PyAV brings along, can decode."""

from __future__ import annotations

import av

NEEDED = ("aac", "flac", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "pcm_s16le", "vorbis")
"""Decoders without which everyday recordings cannot be read."""


def missing_decoders() -> tuple[str, ...]:
    """Those of `NEEDED` that are not there."""
    return tuple(name for name in NEEDED if name not in av.codecs_available)


def library_version() -> str:
    """Of libavcodec."""
    return ".".join(map(str, av.library_versions["libavcodec"]))
