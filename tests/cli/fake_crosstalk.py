"""`python -m tests.cli.fake_crosstalk ...`: the real command line over the fake engine, for tests that need a process.

FAKE_SLOW_S makes every batch of decoding take so many seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from app.cli.main import main
from app.engine.base import Engine
from app.settings import Settings
from tests.engine.fake_worker import FakeWorker, fake_engine


class SlowWorker(FakeWorker):
    """A fake worker that takes its time."""

    def decode_batch(self, requests):
        time.sleep(float(os.environ.get("FAKE_SLOW_S", "0")))
        return super().decode_batch(requests)


async def build_fake(settings: Settings) -> Engine:
    """In place of the real engine."""
    return fake_engine(SlowWorker())


if __name__ == "__main__":
    # A shell's background jobs, the tests among them, are started with interrupts ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(build=build_fake))
