"""`crosstalk bench scale`: what 10, 1 000 and 100 000 concurrent meetings need, by simulation (docs/scale.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.errors import OptionInvalid, SetupError

Constants = Annotated[
    Path | None, typer.Option("--constants", metavar="FILE", help="Measured constants (TOML); ours unless set.")
]
Meetings = Annotated[list[int] | None, typer.Option("--meetings", min=1, help="How many at once; may be given again.")]
DeviceSeconds = Annotated[
    list[str] | None,
    typer.Option("--device-seconds", metavar="CALL=S", help="Of one request on your device, as diarize=0.004."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulation.")]


def scale(
    constants: Constants = None, meetings: Meetings = None, device_seconds: DeviceSeconds = None, seed: Seed = 0
) -> None:
    """Simulate streams on inference workers, and tell what so many concurrent meetings need; Markdown on stdout."""
    try:
        from app.bench import scale as bench
        from app.bench.live_report import table
    except ImportError as error:
        raise SetupError(f"this needs {error.name}: pip install 'crosstalk[bench]'") from error
    model = bench.load_model(constants or bench.DEFAULT)
    model = bench.with_device(model, dict(_pair(text) for text in device_seconds or ()))
    found = bench.pools(model, seed=seed)
    parts = (
        ("Streams on devices", bench.pool_rows(found)),
        ("What breaks, in this order", bench.unit_rows(model, found)),
        ("What meetings need", bench.meeting_rows(model, found, meetings or (10, 1_000, 100_000))),
    )
    output.write_stdout("\n".join(f"## {title}\n\n{table(rows)}" for title, rows in parts))


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise OptionInvalid(f"{text[:60]!r} is not CALL=SECONDS", param="device-seconds")
    return name, seconds
