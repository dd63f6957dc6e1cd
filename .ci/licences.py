"""The licences of everything that is installed beside Crosstalk, against .ci/licences.toml: `python .ci/licences.py`.

Looked at: what pyproject.toml needs, with every extra but `dev`, and all that those need, by the metadata of what is
installed here. Needs no network. Exit status 1 with a line for each package whose licence is not allowed, is not known,
or is an exception that NOTICE does not name. What only extras need that are not installed here is named, not looked at.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import Distribution, distributions
from pathlib import Path

from license_expression import ExpressionError, Licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_GRANT_OF_MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
_EXPRESSION = r"[\w.-]*\d[\w.-]*( (AND|OR) [\w.-]+)*|MIT( (AND|OR) [\w.-]+)*"
"""What people write into the old field for the licence and is an SPDX expression."""
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class Excused:
    """Packages (names, or a start with *) that may be under a licence (* = any) that is not allowed to others."""

    packages: tuple[str, ...]
    licence: str

    def covers(self, name: str, licence: str | None) -> bool:
        """Whether it excuses this package under this licence."""
        named = any(fnmatchcase(name, pattern) for pattern in self.packages)
        return named and self.licence in ("*", licence)


@dataclass(frozen=True, slots=True)
class Rules:
    """What .ci/licences.toml says. names: what packages call a licence -> its SPDX expression."""

    allowed: frozenset[str]
    exceptions: tuple[Excused, ...]
    names: Mapping[str, str]


def read_rules(path: Path) -> Rules:
    """Raises ValueError for an exception without a reason."""
    told = tomllib.loads(path.read_text())
    for it in told["exception"]:
        if not it.get("reason"):
            raise ValueError(f"the exception for {it['packages']} has no reason")
    exceptions = tuple(Excused(tuple(it["packages"]), it["licence"]) for it in told["exception"])
    return Rules(frozenset(told["allowed"]), exceptions, told["names"])


def licence_of(package: Distribution, names: Mapping[str, str]) -> str | None:
    """Its SPDX expression; None where nothing that it says is known."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    text = metadata.get("License", "")
    first = text.strip().partition("\n")[0].strip()
    if first in names:
        return names[first]
    if re.fullmatch(_EXPRESSION, first):
        return first
    told = [it.removeprefix(_CLASSIFIER) for it in metadata.get_all("Classifier", []) if it.startswith(_CLASSIFIER)]
    if told:
        return " AND ".join(names[it] for it in told) if all(it in names for it in told) else None
    for content in (text, *_files(package)):
        if _GRANT_OF_MIT in " ".join(content.split()):
            return "MIT"
        first = content.strip().partition("\n")[0].strip()
        if first in names:
            return names[first]
    return None


def _files(package: Distribution) -> Iterator[str]:
    """The texts of its licence as a whole, without those of what it carries."""
    declared = set(package.metadata.get_all("License-File", []))
    for file in package.files or ():
        below = file.as_posix().partition(".dist-info/")[2]
        if below.removeprefix("licenses/") in declared:
            yield file.read_text()


def is_allowed(licence: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression asks for nothing but allowed licences; of a choice (OR) one is enough."""
    licensing = Licensing()

    def holds(term: object) -> bool:
        if isinstance(term, licensing.AND):
            return all(holds(it) for it in term.args)
        if isinstance(term, licensing.OR):
            return any(holds(it) for it in term.args)
        return str(term) in allowed

    try:
        return holds(licensing.parse(licence))
    except ExpressionError:
        return False


def needed(requirements: Iterable[str], installed: Mapping[str, Distribution]) -> tuple[set[str], set[str]]:
    """(names that are installed, names that are not) of these packages and all that they need."""
    wanted = [Requirement(it) for it in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    found, missing = set(), set()
    while wanted:
        it = wanted.pop()
        name = canonicalize_name(it.name)
        if (name, frozenset(it.extras)) in seen:
            continue
        seen.add((name, frozenset(it.extras)))
        if name not in installed:
            missing.add(name)
            continue
        found.add(name)
        for text in installed[name].requires or ():
            below = Requirement(text)
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in ("", *it.extras)):
                wanted.append(below)
    return found, missing


def problems(packages: Mapping[str, Distribution], rules: Rules, notice: str) -> list[str]:
    """A line for each package that may not be used."""
    lines = []
    for name, package in sorted(packages.items()):
        licence = licence_of(package, rules.names)
        if licence is not None and is_allowed(licence, rules.allowed):
            continue
        if not any(it.covers(name, licence) for it in rules.exceptions):
            said = "which licence it has is not known" if licence is None else f"its licence is {licence}"
            lines.append(f"{name} {package.version}: {said}; .ci/licences.toml does not allow that")
        elif not re.search(rf"(?<![\w-]){re.escape(name.partition('-')[0])}", notice, re.IGNORECASE):
            lines.append(f"{name} {package.version}: an exception of .ci/licences.toml that NOTICE does not name")
    return lines


def main(pyproject: Path = ROOT / "pyproject.toml", sites: list[str] | None = None) -> int:
    """Print what was found. sites: folders of packages, in place of those of this Python."""
    there = distributions() if sites is None else distributions(path=sites)
    installed = {canonicalize_name(it.name): it for it in there}
    project = tomllib.loads(pyproject.read_text())["project"]
    found, missing = needed(project["dependencies"], installed)
    extras = project.get("optional-dependencies", {})
    more, left = needed([it for name, items in extras.items() if name != "dev" for it in items], installed)
    packages = {name: installed[name] for name in found | more}
    wrong = [f"{name}: is needed and not installed" for name in sorted(missing)]
    wrong += problems(packages, read_rules(ROOT / ".ci" / "licences.toml"), (ROOT / "NOTICE").read_text())
    for line in wrong:
        sys.stdout.write(f"{line}\n")
    passed_by = f"; of extras that are not installed, not looked at: {', '.join(sorted(left))}" if left else ""
    sys.stdout.write(f"licences: {len(packages)} packages, {len(wrong)} refused{passed_by}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
