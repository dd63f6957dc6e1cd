"""Everything that can be set for a simulated set, checked; unknown keys are refused by name."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.training.simulate.errors import SettingsInvalid

NATURAL = "natural"
NONE = "none"

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_RANGE = re.compile(rf"({_NUMBER})-({_NUMBER})")
_LIST = re.compile(rf"{_NUMBER}(?:,{_NUMBER})*")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FORMATS = ("flac", "wav")


@dataclass(frozen=True, slots=True)
class Settings:
    """One simulated set. Dials written as text take `3`, a range `2-4` (drawn evenly per meeting) or a list `2,2,3`.

    seed: decides everything; a meeting depends on (seed, its index) and these settings alone
    num_meetings, duration_s: how many, and the exact length of each, in seconds
    num_speakers: per meeting; a list is taken in turn (and starts again)
    overlap: target share of speech time with two or more speakers, in [0, 0.6]; a list is drawn from, `natural` = as in
        the timing table
    max_simultaneous: most speakers at once
    max_silence_s: longer pauses are compressed smoothly to stay below
    keep_order: follow the manifest's scripted meetings
    rt60_s: reverberation time in seconds, `none` = dry
    noise_snr_db: speech to noise in dB, `none` = no noise
    gain_spread_db: standard deviation of the speakers' levels
    telephone, opus: probability of a telephone band, of an Opus round trip
    opus_kbps: bit rate of the round trip
    stems: also write each speaker alone (before noise and channel)
    audio_format: `flac` or `wav`; 16 bit, 16 kHz, mono
    prefix: meetings are called `<prefix>-0000` and so on
    """

    seed: int = 0
    num_meetings: int = 1
    duration_s: float = 60.0
    num_speakers: str = "2-4"
    overlap: str = NATURAL
    max_simultaneous: int = 2
    max_silence_s: float = 3.0
    keep_order: bool = False
    rt60_s: str = "0.15-0.5"
    noise_snr_db: str = "10-30"
    gain_spread_db: float = 2.5
    telephone: float = 0.0
    opus: float = 0.0
    opus_kbps: str = "12-32"
    stems: bool = False
    audio_format: str = "flac"
    prefix: str = "sim"

    def __post_init__(self) -> None:
        _check(self.seed >= 0, "seed", "must be 0 or more", self.seed)
        _check(self.num_meetings >= 1, "num_meetings", "must be 1 or more", self.num_meetings)
        _check(5.0 <= self.duration_s <= 7200.0, "duration_s", "must lie in [5, 7200]", self.duration_s)
        _check(self.max_simultaneous >= 2, "max_simultaneous", "must be 2 or more", self.max_simultaneous)
        _check(2.0 <= self.max_silence_s <= 60.0, "max_silence_s", "must lie in [2, 60]", self.max_silence_s)
        _check(0.0 <= self.gain_spread_db <= 10.0, "gain_spread_db", "must lie in [0, 10]", self.gain_spread_db)
        for name, chance in (("telephone", self.telephone), ("opus", self.opus)):
            _check(0.0 <= chance <= 1.0, name, "is a probability", chance)
        _check(self.audio_format in _FORMATS, "audio_format", f"must be one of {_FORMATS}", self.audio_format)
        _check(_PREFIX.fullmatch(self.prefix) is not None, "prefix", "must be a plain name", self.prefix)
        self._check_dials()

    def _check_dials(self) -> None:
        speakers = _values(self.num_speakers, "num_speakers")
        whole = all(value >= 1 and value == int(value) for value in speakers)
        _check(whole, "num_speakers", "must be whole numbers of 1 or more", self.num_speakers)
        if self.overlap != NATURAL:
            shares = _values(self.overlap, "overlap")
            _check(all(share <= 0.6 for share in shares), "overlap", "must lie in [0, 0.6]", self.overlap)
        if self.rt60_s != NONE:
            times = _values(self.rt60_s, "rt60_s")
            _check(all(0.1 <= time <= 1.0 for time in times), "rt60_s", "must lie in [0.1, 1]", self.rt60_s)
        if self.noise_snr_db != NONE:
            _values(self.noise_snr_db, "noise_snr_db")
        rates = _values(self.opus_kbps, "opus_kbps")
        _check(all(6 <= rate <= 128 for rate in rates), "opus_kbps", "must lie in [6, 128]", self.opus_kbps)

    def speakers_of(self, index: int, rng: np.random.Generator) -> int:
        """The number of speakers of a meeting."""
        span = _RANGE.fullmatch(self.num_speakers)
        if span:
            return int(rng.integers(int(float(span[1])), int(float(span[2])) + 1))
        values = _values(self.num_speakers, "num_speakers")
        return int(values[index % len(values)])

    def overlap_of(self, rng: np.random.Generator) -> float | None:
        """The target share of overlap of a meeting; None = natural."""
        return None if self.overlap == NATURAL else draw(self.overlap, rng)


def draw(dial: str, rng: np.random.Generator) -> float:
    """A number from a dial: itself, evenly from a range, or one of a list."""
    span = _RANGE.fullmatch(dial)
    if span:
        return float(rng.uniform(float(span[1]), float(span[2])))
    values = _values(dial, "dial")
    return values[int(rng.integers(len(values)))]


def bounds(dial: str) -> tuple[float, float]:
    """The smallest and largest number that a dial can give."""
    values = _values(dial, "dial")
    return min(values), max(values)


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Make settings from keys and values, as read from a TOML file or a command line.

    Raises:
        SettingsInvalid: an unknown key, or a value of the wrong kind or outside its limits; names the key.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        known = ", ".join(fields)
        raise SettingsInvalid(f"unknown setting(s): {', '.join(unknown)}; known are: {known}")
    checked: dict[str, Any] = {name: _convert(name, value, str(fields[name].type)) for name, value in values.items()}
    return Settings(**checked)


def load_settings(path: Path) -> dict[str, Any]:
    """The keys and values of a TOML settings file, unchecked.

    Raises:
        SettingsInvalid: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(f"settings file {path} cannot be read: {error}") from error


def _convert(name: str, value: object, kind: str) -> object:
    if kind == "str" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = {"int": int, "float": float, "str": str, "bool": bool}[kind]
    _check(isinstance(value, wanted) and (kind == "bool") == isinstance(value, bool), name, f"must be {kind}", value)
    return value


def _values(dial: str, name: str) -> list[float]:
    span = _RANGE.fullmatch(dial)
    if span:
        low, high = float(span[1]), float(span[2])
        _check(low <= high, name, "range must not fall", dial)
        return [low, high]
    _check(_LIST.fullmatch(dial) is not None, name, "must be a number, a range `a-b` or a list `a,b`", dial)
    return [float(value) for value in dial.split(",")]


def _check(good: bool, name: str, rule: str, value: object) -> None:
    if not good:
        raise SettingsInvalid(f"setting {name} {rule}, found {value!r}")
