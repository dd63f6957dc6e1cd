"""kill -9 at random moments while recordings are queued: every transcript is that of an undisturbed run, to the byte,
and no recorded answer is computed again."""

from __future__ import annotations

import random
import time

import pytest

from tests.jobs.harness import Site, kill, recording

SLOTS, IN_FLIGHT = 2, 16


def undisturbed(folder, recordings) -> tuple[list[str], int]:
    """The transcripts, and how many answers they take."""
    site = Site(f"sqlite:///{folder / 'store.sqlite'}", folder)
    try:
        jobs = [site.submit(data) for data in recordings]
        site.work(slots=SLOTS)
        bodies = [site.body(site.wait(job, timeout_s=900)) for job in jobs]
        return bodies, len(site.computations())
    finally:
        site.close()


def crash(site: Site, recordings, workers: int, kills: int, total: int) -> tuple[list[str], int]:
    """Transcripts after `kills` kills, and how many answers were computed again."""
    chance = random.Random(kills)
    start = lambda: site.work(slots=SLOTS, lease_s=1, max_attempts=10_000, retry_s=0)  # noqa: E731
    jobs = [site.submit(data) for data in recordings]
    running = [start() for _ in range(workers)]
    seen = []
    for _ in range(kills):
        goal = len(site.computations()) + chance.randint(1, max(1, int(1.4 * total / kills)))
        # A goal may lie beyond the end of the work.
        site.until(lambda goal=goal: len(site.computations()) >= goal or all(site.state(job).over for job in jobs), 120)
        time.sleep(chance.uniform(0, 0.05))
        victim = chance.randrange(workers)
        kill(running[victim])
        kept = site.recorded()
        seen.append((kept, len(site.computations())))
        running[victim] = start()
    bodies = [site.body(site.wait(job, timeout_s=900)) for job in jobs]
    computed = site.computations()
    for kept, position in seen:
        assert not kept.intersection(computed[position:])
    return bodies, len(computed) - len(set(computed))


def check(url, tmp_path, recordings, wanted, kills, kind="sql") -> None:
    bodies_wanted, total = wanted
    workers = 1 if url.startswith("sqlite") else 3
    assert len(set(bodies_wanted)) == len(recordings)
    site = Site(url, make(tmp_path, "killed"), kind)
    began_s = time.monotonic()
    try:
        bodies, again = crash(site, recordings, workers, kills, total)
    finally:
        site.close()
    assert bodies == bodies_wanted
    assert again <= kills * SLOTS * IN_FLIGHT
    took_s = time.monotonic() - began_s
    (tmp_path / "figures").write_text(
        f"{kills} kills, {total} answers, {again} of them in flight at a kill, {took_s:.0f} s"
    )


def make(folder, name):
    path = folder / name
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def short():
    """Recordings of two minutes in all."""
    return [recording(seed, 40.0) for seed in range(3)]


@pytest.fixture(scope="module")
def short_undisturbed(short, tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), short)


def test_three_kills(url, tmp_path, short, short_undisturbed):
    check(url, tmp_path, short, short_undisturbed, 3)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", ["sql", "dbos"])
def test_fifty_kills_over_an_hour_of_recordings(url, tmp_path, kind):
    recordings = [recording(seed, 300.0) for seed in range(12)]
    check(url, tmp_path, recordings, undisturbed(make(tmp_path, "undisturbed"), recordings), 50, kind)
