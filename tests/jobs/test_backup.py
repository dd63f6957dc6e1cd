"""The commands of docs/operations.md: a backup of a store at work, and what is there after it was brought back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.jobs.types import Edit, JobState
from tests.jobs.harness import Site, recording
from tests.jobs.postgres import binaries

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def run(name: str, **variables: str) -> None:
    """Run the commands of the page that have this name."""
    (commands,) = re.findall(rf"<!-- test: {name} -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    path = f"{binaries()}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands], env=os.environ | variables | {"PATH": path}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def kept(site: Site, job) -> tuple[object, ...]:
    """What must be the same again: every revision of the transcript, and the sound."""
    store, found = site.store, site.store.jobs.get(job.id)
    revisions = [(it.number, it.body) for it in store.transcripts.revisions(job.id)]
    return found.state, found.options, revisions, b"".join(store.blobs.read(found.blob.id))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_brings_everything_back(kind, tmp_path, request):
    def url(folder: Path) -> str:
        if kind == "postgresql":
            return request.getfixturevalue("postgres").database()
        return f"sqlite:///{folder}/crosstalk.sqlite"

    live, other, backup = tmp_path / "live", tmp_path / "other", tmp_path / "backup"
    live.mkdir()
    site = Site(url(live), live)
    done = site.submit(recording(1))
    worker = site.work()
    site.wait(done)
    site.store.transcripts.edit(done.id, Edit(names={0: "Maya"}), expected=None)
    site.hold()
    running, waiting = site.submit(recording(2)), site.submit(recording(3))
    site.wait_held(worker)
    before = kept(site, done)
    assert len(before[2]) == 2
    run(f"backup {kind}", CROSSTALK_DATA_DIR=str(live), BACKUP=str(backup), CROSSTALK_STORE__URL=site.url)
    site.release()
    site.wait(running)
    worker.terminate()
    worker.wait(60)
    finished = kept(site, running)
    site.close()
    shutil.rmtree(live)

    # On another machine, over what an earlier server left there.
    other.mkdir()
    if kind == "sqlite":
        Site(url(other), other).close()
        (other / "crosstalk.sqlite-wal").write_bytes(b"of another database")
    target = url(other)
    run(f"restore {kind}", CROSSTALK_DATA_DIR=str(other), BACKUP=str(backup), CROSSTALK_STORE__URL=target)
    back = Site(target, other)
    try:
        assert kept(back, done) == before
        assert back.state(waiting) is JobState.QUEUED
        goes_on(back, running, waiting)
        assert kept(back, running) == finished
    finally:
        back.close()


def goes_on(site: Site, *jobs) -> None:
    """They are transcribed, and nothing is computed that the backup held."""
    recorded = site.recorded(jobs[0].id)
    assert recorded
    site.work()
    for job in jobs:
        site.wait(job)
    assert not recorded & set(site.computations())
