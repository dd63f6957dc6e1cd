"""Fits a timing table: turns of real conversations (RTTM or SegLST) in, a TOML table with its provenance out.

Each turn is set against the turn that holds the floor when it starts (the one that ends last so far) and counted as one
of the four transitions of `timing.Transition`. Per-speaker base gaps are the speaker's medians, deviations are what
remains (SASC, arXiv 2509.15808, takes means; a few long silences would move those). Bandwidths follow Silverman's rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.training.simulate.errors import TimingInvalid
from models.training.simulate.timing import FORMAT, Transition, compress_silence
from models.training.simulate.turns import SpokenTurn, read_turns

MERGE_PAUSE_S = 0.2
INTERRUPTION_OVERLAP_S = 0.5
COMPRESS_ABOVE_S, COMPRESS_LIMIT_S = 2.0, 5.0
MAX_VALUES = 200
SHORT_PAUSE_S = (0.2, 1.0)
ADDED_FROM = (
    "not seen in the source: pauses spaced evenly in log time over 0.2-1.0 s, the medium class of silent pauses of "
    "Campione and Veronis (Speech Prosody 2002); how many is a choice of whoever fitted the table"
)
_MIN_SPEAKER_GAPS = 5
_WITH_BASE = (Transition.SAME, Transition.CHANGE)


@dataclass(frozen=True, slots=True)
class Observation:
    """One transition seen in a conversation. `gap_s` is signed; `returned`: floor went back to the speaker before the
    floor holder (None where that cannot be told: fewer than three speakers, or no earlier holder)."""

    kind: Transition
    gap_s: float
    speaker: str
    returned: bool | None = None


def observe(turns: Sequence[SpokenTurn], speaker_prefix: str = "") -> list[Observation]:
    """Classify every transition of one session. Turns in any order; pauses below `MERGE_PAUSE_S` are closed first."""
    merged = _merge_short_pauses(turns)
    many = len({turn.speaker for turn in merged}) >= 3
    seen: list[Observation] = []
    floor: SpokenTurn | None = None
    previous_holder: str | None = None
    for turn in merged:
        if floor is None:
            floor = turn
            continue
        gap = turn.start_s - floor.end_s
        kind = _kind(turn, floor, gap)
        returned = None
        if kind in (Transition.CHANGE, Transition.INTERRUPTION) and many and previous_holder is not None:
            returned = turn.speaker == previous_holder
        seen.append(Observation(kind, gap, speaker_prefix + turn.speaker, returned))
        if kind is not Transition.BACKCHANNEL:
            if turn.speaker != floor.speaker:
                previous_holder = floor.speaker
            floor = turn
    return seen


def _kind(turn: SpokenTurn, floor: SpokenTurn, gap: float) -> Transition:
    if turn.speaker == floor.speaker:
        return Transition.SAME
    if turn.end_s <= floor.end_s:
        return Transition.BACKCHANNEL
    return Transition.INTERRUPTION if gap < -INTERRUPTION_OVERLAP_S else Transition.CHANGE


def _merge_short_pauses(turns: Sequence[SpokenTurn]) -> list[SpokenTurn]:
    last: dict[str, SpokenTurn] = {}
    done: list[SpokenTurn] = []
    for turn in sorted(turns):
        before = last.get(turn.speaker)
        if before is not None and turn.start_s - before.end_s < MERGE_PAUSE_S:
            last[turn.speaker] = SpokenTurn(before.start_s, max(before.end_s, turn.end_s), turn.speaker)
            continue
        if before is not None:
            done.append(before)
        last[turn.speaker] = turn
    return sorted([*done, *last.values()])


@dataclass(frozen=True, slots=True)
class FittedGap:
    """Support points of one transition type, in seconds, ready to be written.

    count: transitions seen; added: gaps that were not seen but added (see `with_short_pauses`)
    """

    base_s: tuple[float, ...]
    base_bandwidth_s: float
    deviation_s: tuple[float, ...]
    deviation_bandwidth_s: float
    count: int
    added: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted table before it is written."""

    gaps: Mapping[Transition, FittedGap]
    shares: Mapping[Transition, float]
    return_weight: float
    run_s: float


def with_short_pauses(seen: Sequence[Observation], share: float) -> list[Observation]:
    """Add pauses of `SHORT_PAUSE_S` to the gaps of one speaker until they are `share` of them, log-evenly spaced.

    References often join a speaker's stretches across pauses below a second, so that these cannot be seen in the turns.
    The range is the medium class of silent pauses (0.2-1 s) of Campione and Veronis, Speech Prosody 2002.
    """
    by_speaker: dict[str, int] = {}
    for item in seen:
        if item.kind is Transition.SAME:
            by_speaker[item.speaker] = by_speaker.get(item.speaker, 0) + 1
    added: list[Observation] = []
    for speaker, count in sorted(by_speaker.items()):
        number = round(count * share / (1.0 - share))
        ranks = (np.arange(number) + 0.5) / max(number, 1)
        pauses = SHORT_PAUSE_S[0] * (SHORT_PAUSE_S[1] / SHORT_PAUSE_S[0]) ** ranks
        added += [Observation(Transition.SAME, float(pause), speaker) for pause in pauses]
    return added


def fit(sessions: Mapping[str, Sequence[SpokenTurn]], short_pauses: float = 0.0) -> Fitted:
    """Fit a table to the turns of one or more sessions.

    Args:
        short_pauses: share of a speaker's own pauses to be added as `with_short_pauses` says, in [0, 1).

    Raises:
        TimingInvalid: a transition type was never seen, so that nothing could be drawn for it.
    """
    seen = [item for name, turns in sessions.items() for item in observe(turns, f"{name}/")]
    gaps: dict[Transition, FittedGap] = {}
    for kind in Transition:
        chosen = [item for item in seen if item.kind is kind]
        if not chosen:
            raise TimingInvalid(f"the timing files hold no {kind.value!r} transition; give longer conversations")
        added = with_short_pauses(chosen, short_pauses) if kind is Transition.SAME else []
        gaps[kind] = replace(_fit_gaps([*chosen, *added], kind in _WITH_BASE), count=len(chosen), added=len(added))
    shares = {kind: sum(item.kind is kind for item in seen) / len(seen) for kind in Transition}
    return Fitted(gaps, shares, _return_weight(seen, sessions), mean_run_s(list(sessions.values())))


def mean_run_s(sessions: Sequence[Sequence[SpokenTurn]]) -> float:
    """Mean seconds of speech that a speaker utters while holding the floor, over all runs of all sessions."""
    runs: list[float] = []
    for turns in sessions:
        holder = None
        floor_end = 0.0
        for turn in _merge_short_pauses(turns):
            if turn.end_s <= floor_end and turn.speaker != holder:
                continue
            if turn.speaker == holder:
                runs[-1] += turn.end_s - turn.start_s
            else:
                runs.append(turn.end_s - turn.start_s)
            holder, floor_end = turn.speaker, max(floor_end, turn.end_s)
    return round(float(np.mean(runs)), 3)


def _fit_gaps(seen: Sequence[Observation], with_base: bool) -> FittedGap:
    compressed = [compress_silence(item.gap_s, COMPRESS_ABOVE_S, COMPRESS_LIMIT_S) for item in seen]
    by_speaker: dict[str, list[float]] = {}
    for item, gap in zip(seen, compressed, strict=True):
        by_speaker.setdefault(item.speaker, []).append(gap)
    rich = {name: values for name, values in by_speaker.items() if len(values) >= _MIN_SPEAKER_GAPS}
    if not with_base or len(rich) < 2:
        return FittedGap((0.0,), 0.0, _thin(compressed), bandwidth_s(compressed), len(seen))
    medians = {name: float(np.median(values)) for name, values in rich.items()}
    deviations = [value - medians[name] for name, values in rich.items() for value in values]
    base = list(medians.values())
    return FittedGap(_thin(base), bandwidth_s(base), _thin(deviations), bandwidth_s(deviations), len(seen))


def bandwidth_s(values: Sequence[float]) -> float:
    """Silverman's rule of thumb: 0.9 min(std, IQR / 1.34) n^(-1/5), in the unit of the values; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    low, high = np.percentile(values, [25, 75])
    spread = min(float(np.std(values, ddof=1)), float(high - low) / 1.34) or float(np.std(values, ddof=1))
    return round(float(0.9 * spread * len(values) ** -0.2), 4)


def _thin(values: Sequence[float]) -> tuple[float, ...]:
    """At most `MAX_VALUES` points, evenly spaced in rank, rounded to milliseconds."""
    chosen = np.sort(values)
    if len(chosen) > MAX_VALUES:
        chosen = np.quantile(chosen, (np.arange(MAX_VALUES) + 0.5) / MAX_VALUES)
    return tuple(round(float(value), 3) for value in chosen)


def _return_weight(seen: Sequence[Observation], sessions: Mapping[str, Sequence[SpokenTurn]]) -> float:
    """Odds of returning to the previous holder against each other speaker; 1 (no preference) where nothing tells."""
    told = [item.returned for item in seen if item.returned is not None]
    counts = [len({turn.speaker for turn in turns}) for turns in sessions.values()]
    others = [count - 2 for count in counts if count >= 3]
    if not told or all(told) or not any(told):
        return 1.0
    rate = sum(told) / len(told)
    return round(rate / (1.0 - rate) * float(np.mean(others)), 3)


def fit_files(paths: Sequence[Path], short_pauses: float = 0.0) -> tuple[Fitted, list[tuple[str, str, int]]]:
    """Fit to files (`short_pauses` as for `fit`). Returns the table and, per file, (name, sha256, number of turns).

    Raises:
        TimingInvalid: a file is malformed, or too little was seen.
    """
    sessions: dict[str, Sequence[SpokenTurn]] = {}
    sources = []
    for path in paths:
        found = read_turns(path)
        sources.append((path.name, hashlib.sha256(path.read_bytes()).hexdigest(), sum(map(len, found.values()))))
        sessions.update({f"{path.name}:{name}": turns for name, turns in found.items()})
    return fit(sessions, short_pauses), sources


def render_table(fitted: Fitted, sources: Sequence[tuple[str, str, int]], description: str) -> str:
    """The table as TOML text."""
    lines = [f"format = {FORMAT}", f"description = {_quote(description)}", ""]
    for name, digest, count in sources:
        lines += ["[[source]]", f"file = {_quote(name)}", f'sha256 = "{digest}"', f"turns = {count}", ""]
    lines += ["[shares]", *(f"{kind.value} = {fitted.shares[kind]:.4f}" for kind in Transition), ""]
    lines += ["[markov]", f"return_weight = {fitted.return_weight}", f"run_s = {fitted.run_s}", ""]
    for kind in Transition:
        gap = fitted.gaps[kind]
        lines += [
            f"[gaps.{kind.value}]",
            f"count = {gap.count}",
            f"added = {gap.added}",
            *([f"added_from = {_quote(ADDED_FROM)}"] if gap.added else []),
            f"base_s = {_numbers(gap.base_s)}",
            f"base_bandwidth_s = {gap.base_bandwidth_s}",
            f"deviation_s = {_numbers(gap.deviation_s)}",
            f"deviation_bandwidth_s = {gap.deviation_bandwidth_s}",
            "",
        ]
    return "\n".join(lines)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _numbers(values: Sequence[float]) -> str:
    rows = [values[at : at + 12] for at in range(0, len(values), 12)]
    return "[\n" + "".join("    " + ", ".join(f"{value:g}" for value in row) + ",\n" for row in rows) + "]"
