"""The entry point `crosstalk`: commands, and what becomes of their errors.

Exit statuses stand in app/cli/failures.py. Errors are one line on stderr; CROSSTALK_DEBUG=1 adds the traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from app.cli import bench, keys, migrate, models, settings, speakers
from app.cli.doctor import doctor
from app.cli.failures import ExitCode, ReaderGone, report
from app.cli.fetch import fetch
from app.cli.infer import infer
from app.cli.live import live
from app.cli.output import write_stdout
from app.cli.serve import serve
from app.cli.status import status
from app.cli.submit import submit
from app.cli.tools import EngineBuilder, Tools
from app.cli.transcribe import transcribe
from app.cli.worker import worker
from app.version import installed_version
from app.wiring import build_from

command = typer.Typer(
    name="crosstalk",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 some file failed, 2 wrong usage, 3 input unusable, 4 weights or settings missing, "
    "5 result not written, 130 interrupted.",
)
command.command()(transcribe)
command.command()(serve)
command.command()(worker)
command.command()(infer)
command.command()(live)
command.command()(submit)
command.command()(status)
command.command()(fetch)
command.command()(doctor)
command.add_typer(keys.command, name="keys")
command.add_typer(speakers.command, name="speakers")
command.add_typer(models.command, name="models")
command.add_typer(migrate.command, name="migrate")
command.add_typer(bench.command, name="bench")
command.add_typer(settings.command, name="settings")


def _show_version(asked: bool) -> None:
    if asked:
        write_stdout(f"crosstalk {installed_version()}\n")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")]


@command.callback()
def _crosstalk(version: Version = False) -> None:
    """Self-hosted multi-talker meeting transcription: who spoke, when, and what."""


def main(arguments: Sequence[str] | None = None, build: EngineBuilder = build_from) -> int:
    """Run one command line (that of the process when none is given); returns the exit status."""
    debug = os.environ.get("CROSSTALK_DEBUG", "").lower() in {"1", "true", "yes", "on"}
    try:
        command(args=None if arguments is None else list(arguments), obj=Tools(build))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return ExitCode.INTERRUPTED
    except ReaderGone:
        return ExitCode.READER_GONE
    except Exception as error:  # noqa: BLE001 - the outermost edge: a person gets one line, never a traceback
        return report(error, debug=debug)
    return ExitCode.OK
