"""What a benchmark found, and all that is needed to find it again: figures, machine, commit, versions, settings.

Item results -> Report -> JSON or Markdown. The layout is deterministic: the same report gives the same text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from app.bench.machine import Machine
from app.bench.values import (
    DiarizationErrors,
    DiarizationScores,
    Scores,
    Speed,
    WordErrors,
    WordScores,
    pooled,
)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """One meeting's results."""

    session: str
    group: str
    speed: Speed
    scores: Scores


@dataclass(frozen=True, slots=True)
class Result:
    """Results pooled over meetings."""

    name: str
    speed: Speed
    scores: Scores


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one run. `peak_rss_bytes`: the most memory that the process has held up to its end."""

    title: str
    date: datetime
    commit: str | None
    machine: Machine
    versions: Mapping[str, str]
    settings: Mapping[str, str]
    peak_rss_bytes: int
    items: tuple[ItemResult, ...] = field(default=())

    @property
    def groups(self) -> tuple[Result, ...]:
        """One pooled result per group, in the order of their names."""
        names = sorted({item.group for item in self.items})
        return tuple(pool(name, [item for item in self.items if item.group == name]) for name in names)

    @property
    def overall(self) -> Result:
        """All items pooled."""
        return pool("all", self.items)


def pool(name: str, items: Iterable[ItemResult]) -> Result:
    """The items' counts added up; rates come from the sums."""
    kept = list(items)
    return Result(
        name, pooled((item.speed for item in kept), Speed.zero()), pooled((item.scores for item in kept), Scores())
    )


def render_json(report: Report) -> str:
    """The report as JSON: counts of every item, and counts with rates of every group and of all."""
    content = {
        "title": report.title,
        "date": report.date.isoformat(timespec="seconds"),
        "commit": report.commit,
        "machine": asdict(report.machine),
        "versions": dict(sorted(report.versions.items())),
        "settings": dict(sorted(report.settings.items())),
        "peak_rss_bytes": report.peak_rss_bytes,
        "overall": _result_json(report.overall),
        "groups": [_result_json(group) for group in report.groups],
        "items": [
            {"session": item.session, "group": item.group, **_measures_json(item.speed, item.scores)}
            for item in sorted(report.items, key=lambda item: (item.group, item.session))
        ],
    }
    return json.dumps(_rounded(content), ensure_ascii=False, indent=1) + "\n"


def render_markdown(report: Report) -> str:
    """The report as Markdown: what was run on what, then one line per group and one for all."""
    rows = [*report.groups, *([report.overall] if len(report.groups) != 1 else [])]
    parts = [f"# {report.title}", "", *_facts(report)]
    parts += ["", "## Results", "", *_table(rows, _MAIN_COLUMNS)]
    if any(row.scores.words for row in rows):
        parts += ["", "## Word errors", "", *_table(rows, _WORD_COLUMNS)]
    if any(row.scores.diarization for row in rows):
        parts += ["", "## Diarization errors", "", *_table(rows, _DIARIZATION_COLUMNS)]
    parts += ["", "## Speed", "", *_table(rows, _SPEED_COLUMNS)]
    return "\n".join(parts) + "\n"


Column = tuple[str, Callable[[Result], str]]


def _facts(report: Report) -> list[str]:
    machine = report.machine
    gpus = ", ".join(machine.gpus) or "none"
    facts = {
        "Date": report.date.isoformat(timespec="seconds"),
        "Commit": report.commit or "unknown",
        "Processor": f"{machine.cpu}, {machine.cores} cores, {_gib(machine.memory_bytes)} memory",
        "GPU": gpus,
        "System": machine.system,
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(report.versions.items())),
        "Settings": ", ".join(f"{name}={value}" for name, value in sorted(report.settings.items())) or "defaults",
        "Peak memory": _gib(report.peak_rss_bytes),
    }
    return [f"- {name}: {value}" for name, value in facts.items()]


def _words(result: Result) -> WordScores:
    return result.scores.words or WordScores()


def _diarization(result: Result) -> DiarizationScores:
    return result.scores.diarization or DiarizationScores()


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.2f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"


def _word_parts(errors: WordErrors) -> str:
    return f"{errors.insertions} / {errors.deletions} / {errors.substitutions} of {errors.length}"


def _time_parts(errors: DiarizationErrors) -> str:
    shares = (errors.missed_s, errors.false_alarm_s, errors.confusion_s)
    return " / ".join(_percent(part / errors.total_s if errors.total_s else None) for part in shares)


def _speakers(result: Result) -> str:
    counts = _diarization(result).counts
    return f"{counts.right}/{counts.meetings} (+{counts.too_many} -{counts.too_few})"


_MAIN_COLUMNS: Sequence[Column] = (
    ("set", lambda row: row.name),
    ("meetings", lambda row: str(row.scores.meetings)),
    ("cpWER %", lambda row: _percent(_words(row).cp.rate)),
    ("tcpWER %", lambda row: _percent(_words(row).tcp.rate)),
    ("ORC-WER %", lambda row: _percent(_words(row).orc.rate)),
    ("cpWER % overlapped", lambda row: _percent(_words(row).regions.overlapped.rate)),
    ("cpWER % single", lambda row: _percent(_words(row).regions.single.rate)),
    ("hallucinated words/h", lambda row: _number(_words(row).hallucinated.per_hour, 1)),
    ("DER %", lambda row: _percent(_diarization(row).strict.rate)),
    ("DER % collar 0.25 s", lambda row: _percent(_diarization(row).collar.rate)),
    ("JER %", lambda row: _percent(_diarization(row).jaccard.rate)),
    ("speakers right", _speakers),
    ("x real time", lambda row: _number(row.speed.times_real_time, 1)),
)
_WORD_COLUMNS: Sequence[Column] = (
    ("set: inserted / deleted / substituted", lambda row: row.name),
    ("cpWER", lambda row: _word_parts(_words(row).cp)),
    ("tcpWER", lambda row: _word_parts(_words(row).tcp)),
    ("ORC-WER", lambda row: _word_parts(_words(row).orc)),
    ("overlapped", lambda row: _word_parts(_words(row).regions.overlapped)),
    ("single", lambda row: _word_parts(_words(row).regions.single)),
)
_DIARIZATION_COLUMNS: Sequence[Column] = (
    ("set: % missed / false alarm / confusion", lambda row: row.name),
    ("DER", lambda row: _time_parts(_diarization(row).strict)),
    ("DER collar 0.25 s", lambda row: _time_parts(_diarization(row).collar)),
    ("speaker seconds", lambda row: _number(_diarization(row).strict.total_s, 1)),
)
_SPEED_COLUMNS: Sequence[Column] = (
    ("set", lambda row: row.name),
    ("sound s", lambda row: _number(row.speed.audio_s, 1)),
    ("work s", lambda row: _number(row.speed.wall_s, 1)),
    ("real-time factor", lambda row: _number(row.speed.real_time_factor, 3)),
    ("of it diarize", lambda row: _number(row.speed.stage_factor(row.speed.diarize_s), 3)),
    ("of it decode", lambda row: _number(row.speed.stage_factor(row.speed.decode_s), 3)),
)


def _table(rows: Sequence[Result], columns: Sequence[Column]) -> list[str]:
    lines = [[name for name, _ in columns], ["---"] + ["---:"] * (len(columns) - 1)]
    lines += [[show(row).replace("|", "\\|") for _, show in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _result_json(result: Result) -> dict[str, Any]:
    return {"name": result.name, **_measures_json(result.speed, result.scores)}


def _measures_json(speed: Speed, scores: Scores) -> dict[str, Any]:
    """Counts and the rates taken from them."""
    words, diarization = scores.words, scores.diarization
    rates: dict[str, float | None] = {"real_time_factor": speed.real_time_factor}
    if words is not None:
        rates |= {
            "cp_wer": words.cp.rate,
            "tcp_wer": words.tcp.rate,
            "orc_wer": words.orc.rate,
            "cp_wer_overlapped": words.regions.overlapped.rate,
            "cp_wer_single": words.regions.single.rate,
            "hallucinated_words_per_hour": words.hallucinated.per_hour,
        }
    if diarization is not None:
        rates |= {
            "der": diarization.strict.rate,
            "der_collar": diarization.collar.rate,
            "jer": diarization.jaccard.rate,
            "speaker_count_accuracy": diarization.counts.accuracy,
        }
    return {"rates": rates, "speed": asdict(speed), "scores": asdict(scores)}


def _rounded(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Floats to 6 digits after the point, so that sums of floats show no noise."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
