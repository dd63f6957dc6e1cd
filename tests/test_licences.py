"""The check of `make lint` on licences: what it reads, what it refuses."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("licences", ROOT / ".ci" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["licences"]


@pytest.fixture
def rules(check):
    return check.read_rules(ROOT / ".ci" / "licences.toml")


def installed(site, name, *lines, text=None):
    """A package of this name with these lines of metadata, and a file with its licence."""
    folder = site / f"{name}-1.0.dist-info"
    (folder / "licenses").mkdir(parents=True)
    more = [] if text is None else ["License-File: LICENSE"]
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, *more])
    )
    record = [f"{folder.name}/METADATA,,"]
    if text is not None:
        (folder / "licenses" / "LICENSE").write_text(text)
        record.append(f"{folder.name}/licenses/LICENSE,,")
    (folder / "RECORD").write_text("\n".join(record))
    return PathDistribution(folder)


def refused(check, rules, package, notice="psycopg"):
    return check.problems({package.name: package}, rules, notice)


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: MIT"],
        ["License-Expression: MIT AND (GPL-3.0-only OR BSD-3-Clause)"],
        ["License-Expression: Apache-2.0 WITH LLVM-exception"],
        ["License: Apache 2.0"],
        ["License: MIT OR AFL-2.1"],
        ["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"],
    ],
)
def test_what_is_allowed_passes(check, rules, tmp_path, lines):
    assert refused(check, rules, installed(tmp_path, "fine", *lines)) == []


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["License: UNKNOWN"],
        ["License: My very own licence"],
        ["License-Expression: GPL-3.0-only"],
        ["License-Expression: MIT AND AGPL-3.0-only"],
        ["License-Expression: LGPL-3.0-only"],
        ["License-Expression: MIT AND ("],
        ["Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)"],
        ["Classifier: License :: OSI Approved :: MIT License", "Classifier: License :: OSI Approved :: Other"],
    ],
)
def test_what_is_unknown_or_not_allowed_is_refused_by_name(check, rules, tmp_path, lines):
    (line,) = refused(check, rules, installed(tmp_path, "strange", *lines))
    assert line.startswith("strange 1.0: ")


def test_where_the_metadata_names_none_the_file_is_read(check, rules, tmp_path):
    assert refused(check, rules, installed(tmp_path, "one", text="\nMIT License\n\nCopyright ...")) == []
    assert refused(check, rules, installed(tmp_path, "two", text="GNU GENERAL PUBLIC LICENSE\n")) != []


def test_an_exception_holds_for_its_package_and_licence_and_when_notice_names_it(check, rules, tmp_path):
    psycopg = installed(tmp_path / "a", "psycopg", "License-Expression: LGPL-3.0-only")
    assert refused(check, rules, psycopg) == []
    assert refused(check, rules, psycopg, notice="nothing of it") != []
    assert refused(check, rules, installed(tmp_path / "b", "psycopg", "License-Expression: AGPL-3.0-only")) != []


def test_the_whole_check_follows_what_is_needed_and_fails(check, tmp_path, capsys):
    site = tmp_path / "site"
    installed(site, "fine", "License-Expression: MIT", "Requires-Dist: below", 'Requires-Dist: extra; extra == "more"')
    installed(site, "below", "License: UNKNOWN")
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\ndependencies = ["fine"]\n[project.optional-dependencies]\nx = ["gone"]\ndev = ["y"]\n'
    )
    assert check.main(project, [str(site)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("below 1.0: which licence it has is not known")
    assert out[1] == "licences: 2 packages, 1 refused; of extras that are not installed, not looked at: gone"
    project.write_text('[project]\ndependencies = ["gone"]\n')
    assert check.main(project, [str(site)]) == 1
    assert capsys.readouterr().out.startswith("gone: is needed and not installed\n")


def test_what_we_use_passes(check):
    assert check.main() == 0
