"""What a Dockerfile says, as far as the tests need it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One stage; what it takes from the stage that it is built on is in it. copies: (from stage or "", sources)."""

    env: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    user: str = ""
    copies: list[tuple[str, list[str]]] = field(default_factory=list)


def read_stages(path: Path) -> dict[str, Stage]:
    """Every stage by its name. Build arguments in ENV stand as they are."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    stages: dict[str, Stage] = {}
    now = Stage()
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            origin, _, name = (part.strip() for part in rest.partition(" AS "))
            base = stages.get(origin, Stage())
            now = stages[name] = Stage(dict(base.env), list(base.command), list(base.health), base.user)
        elif word == "ENV":
            now.env |= dict(part.split("=", 1) for part in shlex.split(rest))
        elif word == "USER":
            now.user = rest
        elif word == "CMD":
            now.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            now.health = json.loads(rest.partition(" CMD ")[2])
        elif word == "COPY":
            flags = [part for part in rest.split() if part.startswith("--from=")]
            plain = [part for part in rest.split() if not part.startswith("--")]
            now.copies.append((flags[0].removeprefix("--from=") if flags else "", plain[:-1]))
    return stages
