"""`python -m tests.engine.inference_process infer --port N`: the real command over the fake models.

FAKE_IDENTITY: which models it claims to run; FAKE_SLOW_S: how long every batch takes; FAKE_LOG: a file to which every
request's step, index and process id are appended before it is worked on.
"""

from __future__ import annotations

import os
import sys
import time

from app.cli.main import main
from app.engine.base import Engine
from app.engine.local import BatchRules
from app.settings import Settings
from tests.engine.fake_worker import FakeWorker, fake_engine


class ProcessWorker(FakeWorker):
    """A fake worker that takes its time and tells."""

    identity = os.environ.get("FAKE_IDENTITY", "fake")

    def diarize_batch(self, windows):
        self._begin("diarize", windows)
        return super().diarize_batch(windows)

    def decode_batch(self, requests):
        self._begin("decode", requests)
        return super().decode_batch(requests)

    def _begin(self, step, items) -> None:
        if log := os.environ.get("FAKE_LOG"):
            with open(log, "a", encoding="ascii") as file:
                file.write("".join(f"{step} {item.index} {os.getpid()}\n" for item in items))
        time.sleep(float(os.environ.get("FAKE_SLOW_S", "0")))


async def build_fake(settings: Settings) -> Engine:
    """In place of the real engine."""
    engine = settings.engine
    rules = BatchRules(engine.max_diarize_batch, engine.max_decode_batch, engine.max_wait_ms, engine.max_waiting)
    return fake_engine(ProcessWorker(), rules)


if __name__ == "__main__":
    sys.exit(main(build=build_fake))
