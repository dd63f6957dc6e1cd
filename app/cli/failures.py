"""Errors -> one line on stderr and an exit status. The only place where the command line knows about either.

| status | meaning                                                           |
|--------|-------------------------------------------------------------------|
| 0      | done                                                              |
| 1      | some of several files failed, or an internal error                |
| 2      | wrong usage                                                       |
| 3      | the input cannot be used                                          |
| 4      | this installation is not set up: weights or settings              |
| 5      | the result cannot be written                                      |
| 130    | interrupted                                                       |
| 141    | the reader of stdout went away                                    |
"""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum

from app.errors import CrosstalkError, InputError, OutputError, SetupError

FETCH_COMMAND = "crosstalk models fetch"


class ExitCode(IntEnum):
    """Exit statuses of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUT = 3
    SETUP = 4
    OUTPUT = 5
    INTERRUPTED = 130
    READER_GONE = 141


_CODES: dict[type[CrosstalkError], ExitCode] = {
    InputError: ExitCode.INPUT,
    SetupError: ExitCode.SETUP,
    OutputError: ExitCode.OUTPUT,
    CrosstalkError: ExitCode.FAILED,
}


class ReaderGone(Exception):
    """Nobody reads stdout any more (`crosstalk transcribe ... | head`): nothing to say, and no one to say it to."""


def exit_code_of(error: Exception) -> ExitCode:
    """The status for an error: that of the nearest class in its ancestry, else 1."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), ExitCode.FAILED)


def report(error: Exception, *, about: str = "", debug: bool = False) -> ExitCode:
    """Write `error: <message> [code]` to stderr, with the traceback under `debug`; returns the status."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, CrosstalkError):
        message, code = error.message, error.code
    else:
        message, code = f"{type(error).__name__}: {error} (CROSSTALK_DEBUG=1 shows where)", "internal_error"
    if about and about not in message:
        message = f"{about}: {message}"
    sys.stderr.write(f"error: {' '.join(message.split())} [{code}]\n")
    sys.stderr.flush()
    return exit_code_of(error)
