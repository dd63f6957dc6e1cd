"""The inference worker on Ray Serve, over two nodes of a real cluster: the contract of every engine, lost replicas,
and who is let in. Needs the extra `ray`: pip install 'crosstalk[ray]', then pytest -m slow tests/engine/ray."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from app.core.times import SAMPLE_RATE
from app.engine.http_client import open_http
from app.errors import SetupError
from tests.engine.engine_cases import ask_all
from tests.engine.fake_worker import fake_engine
from tests.engine.inference import http_rules
from tests.engine.ray.cluster import TOKEN, Cluster
from tests.engine.test_contract import (  # noqa: F401 - run here over Ray
    Made,
    test_after_close_every_call_says_so,
    test_an_answer_does_not_depend_on_what_else_is_in_flight,
    test_cancelling_one_request_leaves_the_others,
    test_closing_hangs_nobody,
    test_one_failing_request_fails_alone,
    test_spec_and_shapes,
)
from tests.engine.test_http_client import until
from tests.engine.test_inference_faults import SOUND, begun, busy, in_process, transcript

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'crosstalk[ray]'"
    ),
]

WINDOW_S = 0.2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # A short path: Ray makes sockets in it, whose names may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="xr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder), fake_slow_s=WINDOW_S, fake_log=Path(folder) / "begun")
        try:
            cluster.start()
            cluster.deploy("tests.engine.ray.worker_app:application")
            yield cluster
        finally:
            cluster.close()


@pytest.fixture
def make(cluster: Cluster):
    async def make_ray(_folder: Path) -> Made:
        return Made(await open_http(http_rules(*cluster.urls, token=TOKEN)), None)

    return make_ray


def run(main) -> None:
    asyncio.run(asyncio.wait_for(main, 300))


def test_both_replicas_work_on_one_recording_and_the_transcript_is_that_of_one_process(
    cluster: Cluster, tmp_path: Path
) -> None:
    async def main() -> None:
        expected = await in_process(tmp_path / "a")
        engine = await open_http(http_rules(*cluster.urls, token=TOKEN))
        # Two proxies, each of which reaches two replicas that 16 requests keep busy.
        await until(lambda: engine.capacity == 2 * 2 * 16)
        log = cluster.folder / "begun"
        log.unlink()
        assert await transcript(engine, tmp_path / "b") == expected
        assert expected.segments
        assert begun(log) == {str(pid) for pid in cluster.replicas()}
        assert len(begun(log)) == 2
        await engine.aclose()

    run(main())


async def half_way(cluster: Cluster, folder: Path, caught: Callable[[Sequence[int]], bool]):
    """(engine, the transcript of one process, the same under way on the cluster), once both replicas work and the calls
    that are out at each proxy are as wanted."""
    expected = await in_process(folder / "a")
    engine = await open_http(http_rules(*cluster.urls, token=TOKEN))
    await until(lambda: engine.capacity == 64)
    log = cluster.folder / "begun"
    log.unlink(missing_ok=True)
    under_way = asyncio.create_task(transcript(engine, folder / "b"))
    await until(lambda: len(begun(log)) == 2 and caught(busy(engine)))
    return engine, expected, under_way


def test_a_killed_replica_costs_time_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    async def main() -> None:
        assert len(SOUND) == 60 * SAMPLE_RATE
        engine, expected, under_way = await half_way(cluster, tmp_path, lambda calls: sum(calls) > 0)
        victim = cluster.replicas()[0]
        os.kill(victim, signal.SIGKILL)
        assert await under_way == expected
        await asyncio.to_thread(wait_for_replicas, cluster, victim)
        local = fake_engine()
        assert await ask_all(engine) == await ask_all(local)
        await asyncio.gather(engine.aclose(), local.aclose())

    run(main())


def wait_for_replicas(cluster: Cluster, without: int) -> None:
    """Serve has put another one in the place of the killed one."""

    async def both() -> None:
        for _ in range(600):
            pids = cluster.replicas()
            if len(pids) == 2 and without not in pids:
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"{cluster.replicas()}")

    asyncio.run(both())


def test_a_worker_on_ray_wants_its_token(cluster: Cluster) -> None:
    async def main() -> None:
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                for url in cluster.urls:
                    about = await client.get(f"{url}/v1/infer/about", headers=headers)
                    assert about.status_code == 401
                    asked = await client.post(f"{url}/v1/infer/diarize", headers=headers, content=b"x")
                    assert (asked.status_code, asked.json()["error"]["code"]) == (401, "unauthorized")
            assert (await client.get(f"{cluster.urls[0]}/healthz")).status_code == 200
        with pytest.raises(SetupError, match="401"):
            await open_http(http_rules(*cluster.urls, token="wrong"))

    run(main())


def test_a_stranger_is_let_into_the_cluster_neither(cluster: Cluster) -> None:
    told = cluster.refused("ray", "status", "--address", "127.0.0.2:6399", RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN="")
    assert "uthentic" in told
    wrong = cluster.refused("ray", "status", "--address", "127.0.0.2:6399", RAY_AUTH_TOKEN="f" * 32)
    assert "uthentic" in wrong


def test_a_lost_machine_costs_time_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    """The last test: the second node does not come back."""

    async def main() -> None:
        engine, expected, under_way = await half_way(cluster, tmp_path, lambda calls: min(calls) > 0)
        # Half of the replicas, and the proxy that has half of the connections.
        cluster.kill_node(1)
        assert await under_way == expected
        await engine.aclose()

    run(main())
