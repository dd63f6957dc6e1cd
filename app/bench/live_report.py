"""What the live benchmarks found -> JSON and Markdown, with the machine, the commit and the settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.bench.latency import LiveItem
from app.bench.live_trace import LiveMeasures, percentile, pooled_live
from app.bench.machine import Machine, commit, this_machine, versions
from app.bench.values import Scores, pooled

Row = Mapping[str, str | float | int | None]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """When, on what and how a benchmark ran."""

    title: str
    date: datetime
    commit: str | None
    machine: Machine
    versions: Mapping[str, str]
    settings: Mapping[str, str]


def run_facts(title: str, settings: Mapping[str, str]) -> RunFacts:
    """Of here and now."""
    return RunFacts(title, datetime.now(UTC), commit(Path(__file__).parent), this_machine(), versions(), settings)


def latency_rows(items: Sequence[LiveItem]) -> list[Row]:
    """One row per meeting, and one for all."""
    rows = [_row(item.session, item.measures, item.live, item.batch) for item in items]
    batches = [item.batch for item in items if item.batch is not None]
    batch = pooled(batches, Scores()) if batches else None
    return [
        *rows,
        _row("all", pooled_live([it.measures for it in items]), pooled((it.live for it in items), Scores()), batch),
    ]


def _row(name: str, found: LiveMeasures, live: Scores, batch: Scores | None) -> Row:
    live_cp, batch_cp = _cp(live), _cp(batch)
    return {
        "meeting": name,
        "words": len(found.final_s),
        "first shown p50 s": percentile(found.first_s, 0.5),
        "first shown p90 s": percentile(found.first_s, 0.9),
        "final p50 s": percentile(found.final_s, 0.5),
        "final p90 s": percentile(found.final_s, 0.9),
        "label p50 s": percentile(found.label_s, 0.5),
        "label p90 s": percentile(found.label_s, 0.9),
        "UPWR %": _percent(found.upwr),
        "flips after final": f"{found.flips}/{found.segments}",
        "cpWER live %": _percent(live_cp),
        "cpWER batch %": _percent(batch_cp),
        "live worse by % relative": _percent(
            (live_cp - batch_cp) / batch_cp if live_cp is not None and batch_cp else None
        ),
        "max lag s": found.max_lag_s,
        "RTF": found.real_time_factor,
        "lost connections": found.lost_connections,
    }


def _cp(scores: Scores | None) -> float | None:
    return scores.words.cp.rate if scores is not None and scores.words is not None else None


def _percent(rate: float | None) -> float | None:
    return None if rate is None else 100 * rate


def render_json(facts: RunFacts, rows: Sequence[Row]) -> str:
    """The report as JSON."""
    content = asdict(facts) | {
        "date": facts.date.isoformat(timespec="seconds"),
        "rows": [_rounded(row) for row in rows],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def render_markdown(facts: RunFacts, rows: Sequence[Row]) -> str:
    """The report as Markdown."""
    machine = facts.machine
    lines = [
        f"# {facts.title}",
        "",
        f"- Date: {facts.date.isoformat(timespec='seconds')}",
        f"- Commit: {facts.commit or 'unknown'}",
        f"- Processor: {machine.cpu}, {machine.cores} cores, {machine.memory_bytes / 2**30:.1f} GiB memory",
        f"- GPU: {', '.join(machine.gpus) or 'none'}",
        f"- System: {machine.system}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in sorted(facts.versions.items()))}",
        f"- Settings: {', '.join(f'{name}={value}' for name, value in sorted(facts.settings.items())) or 'defaults'}",
        "",
    ]
    return "\n".join(lines) + "\n" + (table(rows) if rows else "")


def table(rows: Sequence[Row]) -> str:
    """Rows as a table; the first column is text. Columns are those of the first row."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"| --- |{' ---: |' * (len(names) - 1)}"]
    lines += [f"| {' | '.join(_shown(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _rounded(row: Row) -> Row:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}


def _shown(value: str | float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value).replace("|", "\\|")
