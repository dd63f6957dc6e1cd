"""The entry point: version, help, no arguments."""

from __future__ import annotations

from app.version import installed_version


def test_version(crosstalk):
    result = crosstalk("--version")
    assert (result.status, result.out) == (0, f"crosstalk {installed_version()}\n")


def test_help_names_every_command_and_the_exit_statuses(crosstalk):
    result = crosstalk("--help")
    assert result.status == 0
    for word in ("transcribe", "serve", "models", "bench", "Exit status"):
        assert word in result.out


def test_unknown_command(crosstalk):
    assert crosstalk("nonsense").status == 2
