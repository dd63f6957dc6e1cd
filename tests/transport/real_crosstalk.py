"""`python -m tests.transport.real_crosstalk ...`: the real command line and models, which hear the same sound once."""

from __future__ import annotations

import sys

from app.cli.main import main
from app.settings import Settings
from app.wiring import build_from
from tests.engine.remembered import RememberedEngine


async def build(settings: Settings) -> RememberedEngine:
    """The engine of the settings; what it has answered before costs nothing."""
    return RememberedEngine(await build_from(settings))


if __name__ == "__main__":
    sys.exit(main(build=build))
