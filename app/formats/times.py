"""Samples -> the times that formats write: whole milliseconds, seconds, clocks. Shared by all formats.

Everything is rounded once, in integers, before it is split into hours, minutes and seconds; so 59.9996 s is one minute
and never "60.000". Ends are rounded like starts, so spans that touched still touch.
"""

from __future__ import annotations

from app.core.times import SAMPLE_RATE


def to_ms(samples: int) -> int:
    """Samples at 16 kHz -> milliseconds, halves rounded up."""
    return _to_units(samples, 1000)


def from_ms(ms: int) -> int:
    """Milliseconds -> samples at 16 kHz, exactly."""
    return ms * (SAMPLE_RATE // 1000)


def seconds(samples: int) -> float:
    """Samples at 16 kHz -> seconds with three decimals, as a JSON number."""
    return to_ms(samples) / 1000


def fixed_seconds(ms: int) -> str:
    """Milliseconds -> "12.345": seconds with exactly three decimals."""
    return f"{ms // 1000}.{ms % 1000:03d}"


def clock(ms: int, separator: str) -> str:
    """Milliseconds -> "01:02:03.456" with `separator` before the milliseconds; hours grow past 99 when they must."""
    total_s, rest_ms = divmod(ms, 1000)
    minutes, second = divmod(total_s, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{separator}{rest_ms:03d}"


def short_clock(samples: int) -> str:
    """Samples at 16 kHz -> "1:02:03.4": for people, to a tenth of a second."""
    total_s, tenths = divmod(_to_units(samples, 10), 10)
    minutes, second = divmod(total_s, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}.{tenths}"


def _to_units(samples: int, units_per_second: int) -> int:
    return (2 * samples * units_per_second + SAMPLE_RATE) // (2 * SAMPLE_RATE)
