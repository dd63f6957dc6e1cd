"""What README and docs name is there: commands with their options, settings, files, pages, make's targets."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from app.cli.main import command
from app.settings import setting_names

ROOT = Path(__file__).parents[1]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/README.md")})
FILES = [*PAGES, ROOT / "docker-compose.yml", ROOT / "Dockerfile"]
PLACES = ("app", "models", "tests", "deploy", "docs", ".ci")
MADE_UP = {"models/weights"}
ELSEWHERE = {"CROSSTALK_CONFIG", "CROSSTALK_DEBUG", "CROSSTALK_URL", "CROSSTALK_API_KEY"}
"""Variables that are no settings: where settings are, and the clients' own."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(text: str) -> Iterator[str]:
    """Every call of the command line, in a block of code or between backticks, without what the shell does with it."""
    for found in re.finditer(r"(?:^[ \t$]*|`|; |exec \w+ |-- )crosstalk (\w[^`\n;]*)", text, re.MULTILINE):
        yield re.split(r"\s#|[|>&)]| \\$", found[1])[0].strip()


def check_call(call: str) -> str | None:
    """What is wrong with a call."""
    words = re.sub(r"[\[\]]", "", call).split()
    at: click.Command = typer.main.get_command(command)
    while words and hasattr(at, "commands") and not words[0].startswith("-"):
        if words[0] not in at.commands:
            return f"no command {words[0]!r}"
        at = at.commands[words.pop(0)]
    known = {name for it in at.params for name in (*it.opts, *it.secondary_opts)} | {"--help", "-h"}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"{unknown} of {call!r}" if unknown else None


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_commands_and_their_options_are_known(path):
    assert [wrong for call in calls(path.read_text()) if (wrong := check_call(call)) is not None] == []


def test_the_check_of_commands_can_fail():
    text = "`crosstalk serve --prot 1`\n    crosstalk sing  # loud\n    crosstalk submit a.mp3; crosstalk fetch ID\n"
    found = list(calls(text))
    assert found == ["serve --prot 1", "sing", "submit a.mp3", "fetch ID"]
    assert [check_call(call) is None for call in found] == [False, False, True, True]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_settings_are_known(path):
    known = set(setting_names()) | ELSEWHERE
    named = set(re.findall(r"CROSSTALK_[A-Z0-9_*]*[A-Z0-9*]", path.read_text()))
    assert [it for it in named if not fnmatch.filter(known, it)] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, heading = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, target


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_and_targets_that_are_named_are_there(path):
    text = path.read_text()
    for name in re.findall(rf"`((?:{'|'.join(map(re.escape, PLACES))})/[\w./-]*\w)/?`", text):
        assert name in MADE_UP or (ROOT / name).exists(), name
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= targets
