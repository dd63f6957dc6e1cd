"""What concurrent meetings need, and what breaks first: measured constants (TOML) -> tables. docs/scale.md explains it.

Devices are counted by simulation (`queueing.py`): the most streams that a pool of workers carries while answers come in
time. Everything else is the constant of one stream times the streams, over what one unit holds.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.bench.live_report import Row
from app.bench.queueing import Lane, Pool, Served, simulate
from app.errors import OptionInvalid

DEFAULT = Path(__file__).with_name("scale.toml")
_REQUESTS = 60_000
"""Of one simulated run: enough for a steady 95th percentile, little enough for seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request to the models. bytes: of its body, over the network."""

    lane: Lane
    bytes: float


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that meetings share. takes: which of the needs of one meeting; holds: how much of it one unit has;
    more: what to do when it is full."""

    name: str
    takes: str
    holds: float
    more: str


@dataclass(frozen=True, slots=True)
class Rules:
    """answer_s: 95 % of the answers come within; max_load: part of the devices that streams may use; workers: size of
    the pools that are simulated"""

    answer_s: float
    max_load: float
    workers: tuple[int, ...]
    company_s: float


@dataclass(frozen=True, slots=True)
class Model:
    """needs: of one meeting, by name; units: what meetings share; device: what the devices are called"""

    device: str
    needs: Mapping[str, float]
    calls: tuple[Call, ...]
    units: tuple[Unit, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Carried:
    """A pool of `workers` carries so many streams, and serves them like that."""

    workers: int
    streams: int
    served: Served

    @property
    def each(self) -> float:
        """Streams per device."""
        return self.streams / self.workers


def load_model(path: Path = DEFAULT) -> Model:
    """Read constants. Raises OptionInvalid for a file that cannot be read or lacks something."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return _model(raw)
    except OSError as error:
        raise OptionInvalid(f"{path}: {error.strerror or error}", param="constants") from error
    except (ValueError, TypeError, KeyError) as error:
        raise OptionInvalid(f"{path}: {error!r}", param="constants") from error


def _model(raw: Mapping[str, Any]) -> Model:
    calls = []
    for it in raw["call"]:
        known = dict(it)
        size = float(known.pop("bytes"))
        calls.append(Call(Lane(**known), size))
    needs = {name: float(value) for name, value in raw["meeting"].items()}
    hop = raw["http"]
    needs["call bytes"] = sum(it.lane.per_s * it.bytes for it in calls)
    needs["cores"] += sum(it.lane.per_s for it in calls) * float(hop["server_core_s_per_call"])
    needs["client bytes"] = needs["bytes in"] + needs["bytes out"]
    units = tuple(Unit(it["name"], it["takes"], float(it["holds"]), it["more"]) for it in raw["unit"])
    unknown = {it.takes for it in units}.difference(needs)
    if unknown:
        raise ValueError(f"units take what no meeting needs: {', '.join(sorted(unknown))}")
    rules = raw["rules"]
    return Model(
        device=str(raw["device"]),
        needs=needs,
        calls=tuple(calls),
        units=units,
        rules=Rules(
            float(rules["answer_s"]),
            float(rules["max_load"]),
            tuple(int(it) for it in rules["workers"]),
            float(rules["company_s"]),
        ),
    )


def carried_by(model: Model, workers: int, *, seed: int = 0) -> Carried:
    """The most streams that a pool carries: bisection between none and what would fill the devices.

    streams 0: not even one gets its answers in time; what is told of it is then that one stream.
    """
    lanes = tuple(it.lane for it in model.calls)
    per_stream_s = sum(it.per_s * (it.each_s + it.fixed_s / it.max_batch) for it in lanes)
    low, high = 0, math.floor(model.rules.max_load * workers / per_stream_s) + 1
    best = _serve(model, lanes, 1, workers, seed)
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        served = _serve(model, lanes, middle, workers, seed)
        if served.answer_p95_s <= model.rules.answer_s and served.busy <= model.rules.max_load:
            low, best = middle, served
        else:
            high = middle
    return Carried(workers, low, best)


def _serve(model: Model, lanes: tuple[Lane, ...], streams: int, workers: int, seed: int) -> Served:
    pool = Pool(streams, workers, lanes, model.rules.company_s)
    seconds = min(2_000.0, max(20.0, _REQUESTS / (streams * sum(lane.per_s for lane in lanes))))
    return simulate(pool, seconds=seconds, warm_s=seconds / 10, seed=seed)


def pools(model: Model, *, seed: int = 0) -> list[Carried]:
    """Every size of pool of the rules."""
    return [carried_by(model, workers, seed=seed) for workers in model.rules.workers]


def breaking(model: Model, found: Sequence[Carried]) -> list[tuple[Unit, float]]:
    """Every unit and how many meetings one of it carries, the first to break first."""
    best = max(found, key=lambda it: it.each)
    device = Unit(model.device, "device", 1.0, "more of them, as `crosstalk infer`; until then streams are refused")
    rest = [(unit, unit.holds / model.needs[unit.takes]) for unit in model.units if model.needs[unit.takes] > 0]
    return sorted([(device, best.each), *rest], key=lambda it: it[1])


def pool_rows(found: Sequence[Carried]) -> list[Row]:
    """A row per size of pool."""
    return [
        {
            "devices": it.workers,
            "streams": it.streams,
            "streams per device": it.each,
            "busy %": 100 * it.served.busy,
            "answer mean s": it.served.answer_s,
            "answer p95 s": it.served.answer_p95_s,
            "requests in a batch": it.served.batch,
        }
        for it in found
    ]


def unit_rows(model: Model, found: Sequence[Carried]) -> list[Row]:
    """A row per unit, in the order in which they break."""
    order = breaking(model, found)
    return [{"unit": unit.name, "meetings": _round(carries), "then": unit.more} for unit, carries in order]


def meeting_rows(model: Model, found: Sequence[Carried], meetings: Sequence[int]) -> list[Row]:
    """A row per number of concurrent meetings."""
    order = breaking(model, found)
    best = max(found, key=lambda it: it.each)
    rows: list[Row] = []
    before = 0
    for number in sorted(meetings):
        needs = {name: number * need for name, need in model.needs.items()}
        broken = [unit.name for unit, carries in order if before <= carries < number]
        rows.append(
            {
                "meetings": number,
                model.device: math.ceil(number / best.each) if best.each else "none will do",
                "server cores": needs["cores"],
                "server memory GiB": needs["memory bytes"] / 2**30,
                "clients Mbit/s": needs["client bytes"] * 8e-6,
                "workers Mbit/s": needs["call bytes"] * 8e-6,
                "writes/s": needs["writes"],
                "store MB/s": needs["log bytes"] / 1e6,
                "kept GB/h": needs["kept bytes"] * 3600 / 1e9,
                "breaks on the way": ", ".join(broken) or "nothing",
            }
        )
        before = number
    return rows


def with_device(model: Model, each_s: Mapping[str, float]) -> Model:
    """The same with other device seconds per request, by the call's name. Raises OptionInvalid."""
    unknown = set(each_s).difference(it.lane.name for it in model.calls)
    if unknown:
        raise OptionInvalid(f"there is no call {min(unknown)!r}", param="device-seconds")
    lanes = (replace(it.lane, each_s=each_s.get(it.lane.name, it.lane.each_s)) for it in model.calls)
    return replace(model, calls=tuple(replace(it, lane=lane) for it, lane in zip(model.calls, lanes, strict=True)))


def _round(value: float) -> int | float:
    return math.floor(value) if value >= 10 else round(value, 2)
