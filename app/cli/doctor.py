"""`crosstalk doctor`: looks at the machine, the weights, the store, the ports and the exposure, and says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from app.cli.checks import Finding, State
from app.cli.checks.finding import fail
from app.cli.failures import ExitCode
from app.cli.output import write_stdout
from app.observe import set_up_logging
from app.settings import SettingsInvalid
from app.settings.load import Loaded, load_all

Json = Annotated[bool, typer.Option("--json", help="One JSON object: status and checks.")]


def doctor(as_json: Json = False) -> None:
    """Look whether this installation can work, and say what to do where it cannot: exit status 4.

    Nothing is changed, and nobody is asked but the store, the inference workers and the collector of traces that the
    settings name.
    """
    set_up_logging("error", "text")
    findings = look()
    write_stdout(as_object(findings) if as_json else as_text(findings))
    if worst(findings) is State.FAIL:
        raise typer.Exit(ExitCode.SETUP)


def look() -> list[Finding]:
    """Every finding."""
    try:
        loaded = load_all()
    except SettingsInvalid as error:
        return [fail("settings", error.message, "docs/settings.md lists every setting")]
    return list(_checks(loaded))


def worst(findings: Sequence[Finding]) -> State:
    """The worst state among them."""
    return max((finding.state for finding in findings), key=list(State).index, default=State.OK)


def as_object(findings: Sequence[Finding]) -> str:
    """For machines."""
    checks = [
        {"name": it.name, "state": it.state.value, "message": it.said, "advice": it.advice or None} for it in findings
    ]
    return json.dumps({"status": worst(findings).value, "checks": checks}, ensure_ascii=False) + "\n"


def as_text(findings: Sequence[Finding]) -> str:
    """For people: what to do stands below what is wrong."""
    marks = {State.OK: "ok  ", State.WARN: "warn", State.FAIL: "FAIL"}
    lines: list[str] = []
    for it in findings:
        lines.append(f"{marks[it.state]}  {it.name:<9} {it.said}")
        if it.advice:
            lines.append(f"{'':16}-> {it.advice}")
    faults, warnings = (sum(it.state is state for it in findings) for state in (State.FAIL, State.WARN))
    lines.append("all is well" if not faults + warnings else f"faults: {faults}, warnings: {warnings}")
    return "\n".join(lines) + "\n"


def _checks(loaded: Loaded) -> Iterator[Finding]:
    # Imported here: every other command starts without torch and a database.
    from app.cli.checks.machine import check_machine
    from app.cli.checks.reach import check_reach_and_keys
    from app.cli.checks.store import check_store
    from app.cli.checks.traces import check_traces
    from app.cli.checks.weights import check_weights

    yield from check_machine(loaded.settings)
    yield from check_weights(loaded.settings)
    yield from check_store(loaded.settings)
    yield from check_reach_and_keys(loaded)
    yield from check_traces(loaded.settings)
