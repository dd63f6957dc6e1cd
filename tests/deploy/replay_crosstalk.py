"""`python -m tests.deploy.replay_crosstalk ...`: the real command line over recorded answers.

What is not in the folder REPLAY_FOLDER yet the fake engine answers, and it is recorded, for every process over the
folder: a process spends its time on all but models.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.cli.main import main
from app.settings import Settings
from tests.engine.fake_worker import fake_engine
from tests.engine.remembered import RememberedEngine


async def build_replay(settings: Settings) -> RememberedEngine:
    """In place of the real engine."""
    return RememberedEngine(fake_engine(), Path(os.environ["REPLAY_FOLDER"]), capacity=64)


if __name__ == "__main__":
    sys.exit(main(build=build_replay))
