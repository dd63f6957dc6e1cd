"""app/bench/queueing.py against what queueing theory says in closed form."""

from __future__ import annotations

import math

import pytest

from app.bench.queueing import Lane, Pool, Served, simulate


def alone(per_s: float, each_s: float, **more) -> Lane:
    return Lane("one", per_s, each_s, max_batch=1, **more)


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.85])
def test_one_worker_with_fixed_times_is_pollaczek_and_khinchine(busy):
    """M/D/1: mean wait = busy * time / (2 (1 - busy))."""
    served = simulate(Pool(1, 1, (alone(busy, 1.0),)), seconds=120_000, warm_s=1_000, seed=1)
    assert served.busy == pytest.approx(busy, rel=0.02)
    assert served.wait_s == pytest.approx(busy / (2 * (1 - busy)), rel=0.06)


def test_one_worker_with_random_times_is_m_m_1():
    """Mean time to the answer = time / (1 - busy), and 95 % have it within 3 times that: it is exponential."""
    served = simulate(Pool(1, 1, (alone(0.7, 1.0, varies=True),)), seconds=200_000, warm_s=1_000, seed=2)
    assert served.answer_s == pytest.approx(1 / 0.3, rel=0.06)
    assert served.answer_p95_s == pytest.approx(-math.log(0.05) / 0.3, rel=0.06)


@pytest.mark.parametrize("workers", [2, 8])
def test_several_workers_lie_between_one_queue_for_all_and_a_queue_for_each(workers):
    """Random times: at least the wait of M/M/c (Erlang's C), at most that of workers who get every c-th at random."""
    busy, each_s = 0.8, 1.0
    served = simulate(Pool(workers, workers, (alone(busy, each_s, varies=True),)), seconds=20_000, warm_s=500, seed=3)
    offered = busy * workers
    waits = offered**workers / math.factorial(workers) / (1 - busy)
    erlang_c = waits / (sum(offered**n / math.factorial(n) for n in range(workers)) + waits)
    shared_s = erlang_c * each_s / (workers * (1 - busy))
    apart_s = busy * each_s / (1 - busy)
    assert 0.95 * shared_s <= served.wait_s <= apart_s
    assert served.busy == pytest.approx(busy, rel=0.03)


def laws(pool: Pool, served: Served, seconds: float) -> None:
    """What holds for every pool that keeps up: the utilisation law, and Little's."""
    rate = sum(pool.streams * lane.per_s for lane in pool.lanes)
    assert served.requests == pytest.approx(rate * seconds, rel=0.03)
    assert served.inside == pytest.approx(rate * served.answer_s, rel=0.03)


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("max_batch", [1, 8])
def test_the_laws_of_utilisation_and_of_little(regular, max_batch):
    lanes = (
        Lane("diarize", 2.0, 0.01, max_batch=max_batch, regular=regular),
        Lane("decode", 1.2, 0.02, max_batch=max_batch, varies=True),
    )
    pool = Pool(50, 3, lanes, company_s=0.02)
    served = simulate(pool, seconds=300, warm_s=20, seed=4)
    laws(pool, served, 300)
    assert served.busy == pytest.approx(50 * (2.0 * 0.01 + 1.2 * 0.02) / 3, rel=0.05)


def test_streams_in_step_with_room_do_not_wait():
    served = simulate(Pool(10, 10, (alone(1.0, 0.01, regular=True),)), seconds=100, seed=5)
    assert served.wait_s == 0
    assert served.answer_s == pytest.approx(0.01)


def test_batches_fill_when_there_is_no_end_of_requests():
    """In saturation every batch is full: a worker answers max_batch / (fixed + max_batch * each) a second."""
    lane = Lane("one", 400.0, 0.002, fixed_s=0.03, max_batch=8)
    served = simulate(Pool(1, 2, (lane,)), seconds=60, warm_s=5, seed=6)
    assert served.busy == pytest.approx(1.0)
    assert served.batch == pytest.approx(8, rel=0.01)
    without = simulate(Pool(1, 2, (Lane("one", 30.0, 0.002, fixed_s=0.03, max_batch=1),)), seconds=60, warm_s=5, seed=6)
    assert without.busy == pytest.approx(30 * 0.032 / 2, rel=0.06)


def test_the_same_seed_gives_the_same():
    pool = Pool(20, 2, (Lane("one", 2.0, 0.02, varies=True),))
    first, again, other = (simulate(pool, seconds=20, seed=seed) for seed in (7, 7, 8))
    assert first == again != other
