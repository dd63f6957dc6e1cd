"""The timing table: what is known about when people in conversation start to speak, and how it is sampled.

One signed gap per transition, in seconds from the end of the speech that holds the floor to the start of the next
utterance (below 0 = overlap, else pause), with a kernel density per transition type, a base gap per speaker and
deviations from it, after SASC (arXiv 2509.15808). Tables are TOML files, made by
`python -m models.training.simulate fit`.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.simulate.errors import TimingInvalid

DEFAULT_TABLE = Path(__file__).with_name("tables") / "meetings.toml"
FORMAT = 1
_MAX_TRIES = 64


class Transition(StrEnum):
    """How an utterance follows the one that holds the floor.

    SAME: the same speaker goes on after a pause. CHANGE: another speaker takes the floor about when it falls free.
    INTERRUPTION: another speaker starts well before it falls free, and ends later. BACKCHANNEL: another speaker says
    something within the floor holder's utterance; the floor does not move.
    """

    SAME = "same"
    CHANGE = "change"
    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"


@dataclass(frozen=True, slots=True)
class Density:
    """A Gaussian kernel density in seconds: support points and the kernels' standard deviation."""

    values_s: tuple[float, ...]
    bandwidth_s: float

    def sample(self, rng: np.random.Generator) -> float:
        """One draw: a support point chosen evenly, plus the kernel's noise."""
        value = self.values_s[int(rng.integers(len(self.values_s)))]
        return value + self.bandwidth_s * float(rng.standard_normal())

    def pdf(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The density at times (points,) in seconds."""
        width = max(self.bandwidth_s, 1e-6)
        scaled = (at_s[:, None] - np.asarray(self.values_s)[None, :]) / width
        return np.asarray(np.exp(-0.5 * scaled**2).mean(axis=1) / (width * math.sqrt(2 * math.pi)))


@dataclass(frozen=True, slots=True)
class GapModel:
    """Signed gaps of one transition type: a speaker's base gap, drawn once, plus a deviation, drawn each time."""

    base: Density
    deviation: Density

    def pdf(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The density of the gap itself at times (points,) in seconds, over all speakers."""
        width = math.hypot(self.base.bandwidth_s, self.deviation.bandwidth_s)
        shifted = (Density(self.deviation.values_s, width).pdf(at_s - base) for base in self.base.values_s)
        return np.asarray(sum(shifted) / len(self.base.values_s))


@dataclass(frozen=True, slots=True)
class TimingTable:
    """Everything that the conversation planner draws from.

    gaps: per transition type
    shares: how often each transition type happens; they sum to 1
    return_weight: weight of going back to the speaker before the floor holder, against 1 for each other speaker
    run_s: mean seconds of speech of one speaker between two changes of the floor
    name, sha256: of the file it was read from, kept with every simulated set
    """

    gaps: Mapping[Transition, GapModel]
    shares: Mapping[Transition, float]
    return_weight: float
    run_s: float
    name: str = ""
    sha256: str = ""

    def natural_overlap_rate(self) -> float:
        """Share of speaker changes that begin in overlap (interruptions, backchannels, changes with a gap below 0)."""
        change = self.shares[Transition.CHANGE]
        early = self.shares[Transition.INTERRUPTION] + self.shares[Transition.BACKCHANNEL]
        return (early + change * self.change_overlap_rate()) / max(change + early, 1e-9)

    def change_overlap_rate(self) -> float:
        """Probability that the gap of a CHANGE is below 0, by the density's support points."""
        model = self.gaps[Transition.CHANGE]
        values = [base + deviation for base in model.base.values_s for deviation in model.deviation.values_s]
        return sum(value < 0 for value in values) / len(values)


@dataclass(frozen=True, slots=True)
class SpeakerTiming:
    """The base gaps of one speaker in one meeting, in seconds."""

    base_s: Mapping[Transition, float]


def draw_speaker(table: TimingTable, rng: np.random.Generator) -> SpeakerTiming:
    """Draw a speaker's base gap for every transition type."""
    return SpeakerTiming({kind: table.gaps[kind].base.sample(rng) for kind in Transition})


def draw_gap(
    table: TimingTable, speaker: SpeakerTiming, kind: Transition, negative: bool, rng: np.random.Generator
) -> float:
    """Draw a signed gap in seconds, of the asked sign, by rejection.

    Where the speaker's base gap makes that sign all but impossible, the last draw is mirrored at 0.
    """
    gap = 0.0
    for _ in range(_MAX_TRIES):
        gap = speaker.base_s[kind] + table.gaps[kind].deviation.sample(rng)
        if (gap < 0) == negative:
            return gap
    return -gap


def compress_silence(gap_s: float, above_s: float, limit_s: float) -> float:
    """Shorten a long pause smoothly: unchanged up to `above_s`, then ever slower towards `limit_s`, never there."""
    if gap_s <= above_s:
        return gap_s
    room = limit_s - above_s
    return above_s + room * (1.0 - math.exp(-(gap_s - above_s) / room))


def load_table(path: Path = DEFAULT_TABLE) -> TimingTable:
    """Read a timing table.

    Raises:
        TimingInvalid: unreadable, another format, or a value missing or outside its limits.
    """
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TimingInvalid(f"timing table {path} cannot be read: {error}") from error
    if data.get("format") != FORMAT:
        raise TimingInvalid(f"timing table {path}: format must be {FORMAT}, found {data.get('format')!r}")
    try:
        gaps = {kind: _gap_model(data["gaps"][kind.value], f"{path}: gaps.{kind.value}") for kind in Transition}
        shares = {kind: float(data["shares"][kind.value]) for kind in Transition}
        weight, run_s = float(data["markov"]["return_weight"]), float(data["markov"]["run_s"])
    except (KeyError, TypeError, ValueError) as error:
        raise TimingInvalid(f"timing table {path}: missing or wrong value ({error!r})") from error
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values()) - 1.0) > 0.01 or min(weight, run_s) <= 0:
        raise TimingInvalid(f"timing table {path}: shares must sum to 1, return_weight and run_s be above 0")
    return TimingTable(gaps, shares, weight, run_s, path.name, hashlib.sha256(raw).hexdigest())


def _gap_model(row: Mapping[str, Any], where: str) -> GapModel:
    return GapModel(
        _density(row["base_s"], row["base_bandwidth_s"], where),
        _density(row["deviation_s"], row["deviation_bandwidth_s"], where),
    )


def _density(values: Sequence[float], bandwidth: float, where: str) -> Density:
    numbers = tuple(float(value) for value in values)
    if not numbers or not all(map(math.isfinite, numbers)) or not 0 <= float(bandwidth) < math.inf:
        raise TimingInvalid(f"timing table {where}: needs finite values and a bandwidth of at least 0")
    return Density(numbers, float(bandwidth))
