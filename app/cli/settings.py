"""`crosstalk settings page|show`: every setting there is, and what is set."""

from __future__ import annotations

import typer

from app.cli.output import write_stdout
from app.settings.load import load_all
from app.settings.page import page, shown

command = typer.Typer(name="settings", no_args_is_help=True, help="Every setting there is, and what is set.")


@command.command("page")
def write_page() -> None:
    """Write docs/settings.md to stdout."""
    write_stdout(page())


@command.command()
def show() -> None:
    """Every setting with its value and where that comes from: environment, file or default; secrets are masked."""
    write_stdout(shown(load_all()))
