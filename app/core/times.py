"""Time inside the core is an int count of samples at 16 kHz; seconds exist only at the edges."""

from __future__ import annotations

SAMPLE_RATE = 16_000
"""Samples per second of everything behind `audio/`."""


def to_samples(seconds: float) -> int:
    """Seconds -> samples at 16 kHz, rounded to the nearest."""
    return round(seconds * SAMPLE_RATE)


def to_seconds(samples: int) -> float:
    """Samples at 16 kHz -> seconds."""
    return samples / SAMPLE_RATE


def overlap(a_start: int, a_end: int, b_start: int, b_end: int) -> int:
    """Length of what two half-open spans [start, end) share, in samples; 0 when they do not touch."""
    return max(0, min(a_end, b_end) - max(a_start, b_start))
