"""A whole live session and a job over a running server -> the figures; who may see them; what they are called."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from app.access import Access, AccessRules, NewKey, Scope
from app.errors import SetupError, StoreUnavailable
from app.monitoring import make_metrics
from app.settings import AccessGroup, MetricsGroup, Settings
from app.store import open_database
from app.telemetry.collect import (
    EngineCollector,
    EngineState,
    LiveCollector,
    LiveState,
    QueueCollector,
    QueueState,
    WorkerCollector,
)
from app.telemetry.port import metrics_port
from app.wiring import store_url
from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import SOUND, START, send, until
from tests.transport.server import serving, wait_until, wav


def figures(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value; fails for text that Prometheus would not read."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found, name: str, **labels: str) -> float:
    """The sum of a figure over what its labels leave open."""
    return sum(value for (it, has), value in found.items() if it == name and labels.items() <= dict(has).items())


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    engine = fake_engine()
    with serving(engine, Settings(data_dir=tmp_path_factory.mktemp("metrics"))) as base:
        yield base
    asyncio.run(engine.aclose())


async def talk(url: str) -> None:
    """A live session from its start to `done`."""
    async with connect(url.replace("http", "ws") + "/v1/live") as socket:
        await socket.send(json.dumps(START))
        await until(socket, "ready")
        await send(socket, SOUND)
        await socket.send('{"type": "stop"}')
        await until(socket, "done")


def look(url: str):
    answer = httpx2.get(f"{url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return figures(answer.text)


def test_a_session_a_job_and_an_error_are_counted(url):
    asyncio.run(talk(url))
    job = httpx2.post(f"{url}/v1/recordings", files={"file": ("m.wav", wav())}).json()
    wait_until(lambda: httpx2.get(f"{url}/v1/recordings/{job['id']}").json()["state"] == "succeeded", 60)
    assert httpx2.get(f"{url}/v1/recordings/rec_{'0' * 32}").status_code == 404
    wait_until(lambda: of(look(url), "crosstalk_job_run_seconds_count", outcome="succeeded") == 1)
    found = look(url)
    assert of(found, "crosstalk_jobs", state="succeeded") == 1
    assert of(found, "crosstalk_job_wait_seconds_count") == 1
    assert of(found, "crosstalk_job_real_time_factor_count") == 1
    for step in ("diarize", "decode"):
        asked = of(found, "crosstalk_engine_calls_total", step=step, code="ok")
        assert asked > 0
        assert of(found, "crosstalk_engine_batch_size_sum", step=step) >= asked
        assert of(found, "crosstalk_engine_batch_seconds_count", step=step) > 0
        assert of(found, "crosstalk_engine_sound_seconds_total", step=step) > 10
    assert of(found, "crosstalk_words_total", kind="written") >= 20  # the recording's alone
    assert of(found, "crosstalk_store_transaction_seconds_count", kind="write") > 0
    assert of(found, "crosstalk_store_up") == 1
    assert of(found, "crosstalk_errors_total", where="http", code="job_not_found") == 1
    assert of(found, "crosstalk_http_requests_total", route="/v1/recordings", method="POST", status="202") == 1
    assert of(found, "crosstalk_http_requests_total", route="/v1/recordings/{recording_id}", status="404") == 1
    assert of(found, "crosstalk_http_requests_total", route="/v1/live", method="WEBSOCKET", status="101") == 1
    assert of(found, "process_resident_memory_bytes") > 0
    assert not any("rec_" in str(labels) for _, labels in found), "no ids in labels"


def test_lag_is_looked_at_while_a_session_is_open(url):
    async def open_and_wait():
        async with connect(url.replace("http", "ws") + "/v1/live") as socket:
            await socket.send(json.dumps(START))
            await until(socket, "ready")
            await send(socket, SOUND)
            before = of(await asyncio.to_thread(look, url), "crosstalk_live_lag_seconds_count")
            await asyncio.to_thread(wait_until, lambda: of(look(url), "crosstalk_live_lag_seconds_count") > before, 20)
            assert of(await asyncio.to_thread(look, url), "crosstalk_live_sessions") >= 1

    asyncio.run(open_and_wait())


def test_names_have_our_prefix_and_base_units():
    names = [family.name for family in text_string_to_metric_families(make_metrics(Settings()).text().decode())]
    assert names
    for name in names:
        assert name.startswith(("crosstalk_", "process_"))
        assert not re.search(r"_(ms|milliseconds|kb|mb|minutes)$", name)


def test_two_apps_share_no_figures():
    one, other = make_metrics(Settings()), make_metrics(Settings())
    one.words("written", 5)
    assert of(figures(one.text().decode()), "crosstalk_words_total") == 5
    assert of(figures(other.text().decode()), "crosstalk_words_total") == 0


def test_off_it_is_not_there_and_with_keys_it_wants_admin_or_its_token(tmp_path):
    engine = fake_engine()
    with serving(engine, Settings(data_dir=tmp_path / "off", metrics=MetricsGroup(enabled=False))) as url:
        assert httpx2.get(f"{url}/metrics").status_code == 404
    chosen = Settings(
        data_dir=tmp_path / "keys", access=AccessGroup(required=True), metrics=MetricsGroup(token="for prometheus")
    )
    with serving(engine, chosen) as url:
        database = open_database(store_url(chosen))
        keys = Access(database, AccessRules()).keys
        admin, _ = keys.create(NewKey("a", "one", frozenset({Scope.ADMIN})))
        reader, _ = keys.create(NewKey("r", "one", frozenset({Scope.READ})))
        database.close()

        def status(shown):
            headers = {} if shown is None else {"Authorization": f"Bearer {shown}"}
            return httpx2.get(f"{url}/metrics", headers=headers).status_code

        assert [status(it) for it in ("for prometheus", admin, reader, "for prometheu", None)] == [
            200,
            200,
            403,
            401,
            401,
        ]
    asyncio.run(engine.aclose())


def test_a_port_of_its_own_answers_to_its_token_alone():
    with metrics_port(("127.0.0.1", 0), lambda: b"crosstalk_x 1\n", "text/plain", "secret") as port:
        base = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{base}/metrics").status_code == 401
        answer = httpx2.get(f"{base}/metrics", headers={"Authorization": "Bearer secret"})
        assert (answer.status_code, answer.text) == (200, "crosstalk_x 1\n")
        assert httpx2.get(f"{base}/other", headers={"Authorization": "Bearer secret"}).status_code == 404
        with (
            pytest.raises(SetupError, match="metrics cannot listen"),
            metrics_port(("127.0.0.1", port), lambda: b"", "text/plain"),
        ):
            pass


def test_a_store_that_is_away_is_told_and_not_asked_each_time():
    asked = []

    def away():
        asked.append(1)
        raise StoreUnavailable("away")

    collector = QueueCollector(away, keep_s=60)
    for _ in range(3):
        (up,) = collector.collect()
        assert (up.name, up.samples[0].value) == ("crosstalk_store_up", 0)
    assert len(asked) == 1


def test_the_page_names_every_figure_and_no_other():
    metrics, none = make_metrics(Settings()), EngineState({"decode": 0}, (1, 2))
    metrics.registry.register(EngineCollector(lambda: none))
    metrics.registry.register(LiveCollector(lambda: LiveState(0, 1, 0.0, 0)))
    metrics.registry.register(QueueCollector(lambda: QueueState({"queued": 0}, 0.0)))
    metrics.registry.register(WorkerCollector(lambda: {"up": 1}))
    page = (Path(__file__).parents[2] / "docs/observability.md").read_text()
    table = set(re.findall(r"`(crosstalk_[a-z_]+)`", "\n".join(it for it in page.splitlines() if it.startswith("| `"))))
    there = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(metrics.text().decode())
        if family.name.startswith("crosstalk_") and not family.name.endswith("_created")
    }
    assert table == there
