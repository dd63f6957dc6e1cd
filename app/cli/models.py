"""`crosstalk models`: which weights there are, in what state; `crosstalk models fetch` gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import write_stdout
from app.errors import ModelUnavailable, OptionInvalid
from app.settings import load_settings
from models.console import ConsoleProgress
from models.errors import ModelError, RegistryError, WeightsMismatch, WeightsMissing
from models.fetch import ensure
from models.registry import DEFAULT_WEIGHTS_DIR, Registry, WeightFile, load_registry
from models.store import require

command = typer.Typer(help="List the models' weights, or fetch them.", invoke_without_command=True)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", help="Weights by name; all of the profile's when none.")
]
Profile = Annotated[str, typer.Option(help="What a decoder needs: default, sot, or all.")]


Row = tuple[str, str, str, str, str, str]


@command.callback()
def list_models(context: typer.Context) -> None:
    """List the weights: present or not, verified, size, licence, source."""
    if context.invoked_subcommand is not None:
        return
    registry, directory = load_registry(), weights_dir()
    rows: list[Row] = [("NAME", "ROLE", "STATE", "SIZE", "LICENCE", "SOURCE")]
    rows += [_row(registry, weight, directory) for weight in registry.files]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    write_stdout("\n".join([*lines, "", f"in {directory}", ""]))


@command.command()
def fetch(names: Names = None, profile: Profile = "default") -> None:
    """Get weights and verify them; those that are there already are left alone."""
    directory = weights_dir()
    try:
        registry = load_registry()
        wanted = names or [weight.name for weight in registry.profile(profile)]
        with ConsoleProgress() as progress:
            ensure(registry, wanted, directory, progress)
            progress.note(f"{len(wanted)} weight files verified in {directory}")
    except RegistryError as error:
        raise OptionInvalid(str(error)) from error
    except ModelError as error:
        raise ModelUnavailable(str(error)) from error


def weights_dir() -> Path:
    """Where the weights lie by the settings."""
    return load_settings().weights_dir or DEFAULT_WEIGHTS_DIR


def _row(registry: Registry, weight: WeightFile, directory: Path) -> Row:
    return (
        weight.name,
        weight.role,
        _state(registry, weight, directory),
        f"{weight.size_bytes / 1e6:.1f} MB",
        weight.licence,
        str(weight.sources[0]),
    )


def _state(registry: Registry, weight: WeightFile, directory: Path) -> str:
    try:
        require(registry, weight.name, directory)
    except WeightsMissing:
        return "missing"
    except WeightsMismatch:
        return "damaged"
    return "verified"
