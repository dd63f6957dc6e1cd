"""app/cli/failures.py: every error has an exit status and is one line."""

from __future__ import annotations

import pytest

from app import errors
from app.cli.failures import ExitCode, exit_code_of, report


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.AudioEmpty("x"), ExitCode.INPUT),
        (errors.OptionInvalid("x"), ExitCode.INPUT),
        (errors.ModelUnavailable("x"), ExitCode.SETUP),
        (errors.OutputError("x"), ExitCode.OUTPUT),
        (errors.EngineFailed("x"), ExitCode.FAILED),
        (errors.CrosstalkError("x"), ExitCode.FAILED),
        (RuntimeError("x"), ExitCode.FAILED),
    ],
)
def test_statuses(error, code):
    assert exit_code_of(error) == code


def test_a_report_is_one_line_that_names_the_file_once(capsys):
    report(errors.AudioEmpty("a.wav: holds\nno sound"), about="a.wav")
    report(errors.AudioEmpty("holds no sound"), about="b.wav")
    assert capsys.readouterr().err == (
        "error: a.wav: holds no sound [audio_empty]\nerror: b.wav: holds no sound [audio_empty]\n"
    )
