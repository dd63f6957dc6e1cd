"""`crosstalk worker` and `crosstalk infer`: their figures on a port of their own; a server that uses the latter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.engine.inference import Workers
from tests.running import free_port
from tests.telemetry.test_metrics import figures, of
from tests.transport.server import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workers(tmp_path):
    it = Workers(tmp_path)
    yield it
    it.close()


def look(port: int):
    """The figures; None while nobody answers."""
    try:
        answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": "Bearer secret"})
    except httpx2.TransportError:
        return None
    assert answer.status_code == 200
    return figures(answer.text)


def test_a_worker_over_an_inference_worker(tmp_path, workers):
    inference, own = free_port(), free_port()
    token = {"crosstalk_metrics__token": "secret"}
    url = workers.start(crosstalk_metrics__port=inference, **token)
    found = look(inference)
    assert of(found, "crosstalk_engine_waiting", step="decode") == 0
    assert of(found, "crosstalk_build_info") == 1
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTALK_")} | {
        "PYTHONPATH": str(ROOT),
        "CROSSTALK_DATA_DIR": str(tmp_path),
        "CROSSTALK_ENGINE__KIND": "http",
        "CROSSTALK_ENGINE__URLS": f'["{url}"]',
        "CROSSTALK_METRICS__PORT": str(own),
        "CROSSTALK_METRICS__TOKEN": "secret",
    }
    command = [sys.executable, "-m", "app.cli", "worker"]
    with (tmp_path / "worker.log").open("ab") as log:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: worker.poll() is not None or look(own), 120)
        found = look(own)
        assert of(found, "crosstalk_inference_workers", state="up") == 1
        assert of(found, "crosstalk_store_up") == 1
        assert of(found, "crosstalk_jobs", state="queued") == 0
        assert httpx2.get(f"http://127.0.0.1:{own}/metrics").status_code == 401
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, (tmp_path / "worker.log").read_text()
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
