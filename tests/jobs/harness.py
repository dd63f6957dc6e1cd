"""Recordings, a store, and worker processes that can be killed, frozen and drained."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from app.core.times import SAMPLE_RATE
from app.jobs import tables
from app.jobs.blobs import Blobs
from app.jobs.store import Store, open_store
from app.jobs.types import Job, JobOptions, JobState, NewJob
from app.store import migrate, open_database
from tests.engine.fake_worker import VOCABULARY, Line, meeting
from tests.jobs import worker_process
from tests.transport.server import wav

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.jobs.worker_process", "app.jobs.dbos_engine"])


def recording(seed: int, duration_s: float = 20.0, *, poison: bool = False) -> bytes:
    """A WAV of two voices that take turns; every seed sounds different everywhere."""
    random = np.random.default_rng(seed)
    lines, at_s, voice = [], 0.3, 0
    while at_s < duration_s - 5:
        words = [VOCABULARY[i] for i in random.integers(0, len(VOCABULARY), random.integers(4, 9))]
        lines.append(Line(round(at_s, 2), voice, " ".join(words)))
        at_s = lines[-1].end_s + float(random.uniform(0.3, 1.2))
        voice = 3 - voice
    samples = meeting(lines, duration_s) + random.normal(0, 3e-4, int(duration_s * SAMPLE_RATE)).astype(np.float32)
    if poison:
        samples[len(samples) // 2] = worker_process.LOUD
    return wav(samples)


class WorkerProcess:
    """`crosstalk worker` over the fake engine as a process of its own (tests/jobs/worker_process.py).

    Forked from a server that has imported everything: imports are most of the time that such a process lives.
    """

    def __init__(self, computed: Path, delay_ms: int, environment: dict[str, str], log: Path) -> None:
        arguments = (str(computed), delay_ms, environment, str(log))
        self._process = FORKS.Process(target=worker_process.run, args=arguments, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float = 60) -> int:
        """The exit status once it has ended."""
        self._process.join(timeout_s)
        assert self._process.exitcode is not None, "the worker did not end"
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()


@dataclass
class Site:
    """A store and what its workers share. Made by the fixture `site`."""

    url: str
    folder: Path
    kind: str = "sql"
    store: Store = field(init=False)
    workers: list[WorkerProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        database = open_database(self.url)
        migrate(database)
        self.store = open_store(database, Blobs(str(self.folder / "blobs"), self.folder / "staging"))

    @property
    def computed(self) -> Path:
        """Where the workers' engine writes down every answer that it computes: step, fingerprint, pid."""
        return self.folder / "computed"

    def hold(self, step: str = "decode") -> None:
        """From now on the workers' engine does not answer this step."""
        half = self.folder / "hold.part"
        half.write_text(step)
        half.rename(f"{self.computed}.hold")

    def release(self) -> None:
        """It answers again."""
        Path(f"{self.computed}.hold").unlink()

    def wait_held(self, process: WorkerProcess) -> None:
        """Wait until a worker waits for an answer that is held."""
        self.until(Path(f"{self.computed}.held.{process.pid}").exists)

    def submit(self, data: bytes, **values) -> Job:
        """Queue a recording."""
        options = values.pop("options", JobOptions())
        blob = self.store.blobs.put_stream([data], 1 << 30)
        duration = (len(data) - 44) // 2
        return self.store.jobs.create(NewJob(blob, "m.wav", options=options, duration=duration, **values))[0]

    def work(self, delay_ms: int = 0, **settings) -> WorkerProcess:
        """A worker process; settings of the group `jobs`."""
        chosen = {
            "engine": self.kind,
            "lease_s": 2,
            "poll_s": 0.1,
            "retry_s": 0.1,
            "drain_s": 10,
            "slots": 1,
        } | settings
        environment = {f"CROSSTALK_JOBS__{key.upper()}": str(value) for key, value in chosen.items()}
        environment |= {"CROSSTALK_DATA_DIR": str(self.folder), "CROSSTALK_STORE__URL": self.url}
        process = WorkerProcess(self.computed, delay_ms, environment, self.folder / "workers.log")
        self.workers.append(process)
        return process

    def freeze(self, process: WorkerProcess) -> None:
        """Stop a worker between two writes: stopped within one it would keep SQLite's lock for ever."""
        for _ in range(200):
            process.send_signal(signal.SIGSTOP)
            if not self.url.startswith("sqlite"):
                return
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=0.3)) as own:
                try:
                    own.execute("BEGIN IMMEDIATE")
                    own.rollback()
                    return
                except sqlite3.OperationalError:
                    process.send_signal(signal.SIGCONT)
                    time.sleep(0.03)
        raise AssertionError("the worker was within a write each time")

    def state(self, job: Job) -> JobState:
        return self.store.jobs.get(job.id).state

    def wait(self, job: Job, state: JobState = JobState.SUCCEEDED, timeout_s: float = 90) -> Job:
        """Wait for a state; fails at once when the job ends in another."""

        def there() -> bool:
            found = self.store.jobs.get(job.id)
            assert found.state is state or not found.state.over, f"{found.state}: {found.failure}\n{self.log()}"
            return found.state is state

        self.until(there, timeout_s)
        return self.store.jobs.get(job.id)

    def until(self, condition, timeout_s: float = 90) -> None:
        """Wait for a condition."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f"it did not come true\n{self.log()}"
            time.sleep(0.02)

    def recorded(self, job_id: str | None = None) -> set[str]:
        """Fingerprints of the recorded answers, of one job or of all."""
        window = tables.window
        query = sa.select(window.c.fingerprint).where(window.c.step != "spec")
        with self.store.database.read() as connection:
            return set(
                connection.execute(query if job_id is None else query.where(window.c.job_id == job_id)).scalars()
            )

    def computations(self) -> list[str]:
        """Fingerprints in the order in which they were computed; repeated when computed again."""
        lines = self.computed.read_text().splitlines() if self.computed.exists() else []
        return [line.split()[1] for line in lines]

    def log(self) -> str:
        """The end of what the workers said."""
        return (self.folder / "workers.log").read_text()[-3000:] if (self.folder / "workers.log").exists() else ""

    def body(self, job: Job) -> str:
        """The transcript."""
        return self.store.transcripts.get(job.id).body

    def close(self) -> None:
        """End the workers that still run, by their ids."""
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.store.database.close()


def kill(process: WorkerProcess) -> None:
    """kill -9."""
    process.kill()
    process.wait()
