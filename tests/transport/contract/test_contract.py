"""The server does what its OpenAPI document says: schemathesis sends requests that fit it, and requests that do not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from app.access import Access, AccessRules, NewKey, Scope
from app.settings import AccessGroup, JobsGroup, StoreGroup
from app.store import open_database
from app.wiring import store_url
from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import START
from tests.transport.server import serving, settings, wait_until, wav

ROOT = Path(__file__).parents[3]
HERE = "tests/transport/contract"


@dataclass
class Target:
    """A server, a key that may everything, and the ids of what there is."""

    url: str
    key: str
    key_id: str
    ids: dict[str, list[str]]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def target(request, tmp_path):
    store = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""
    chosen = settings(
        tmp_path,
        {"heartbeat_s": 0.2, "upload_stall_timeout_s": 1.0},
        {"max_upload_bytes": 4 * 1024**2},
        store=StoreGroup(url=store),
        access=AccessGroup(required=True),
        jobs=JobsGroup(poll_s=0.05),
    )
    engine = fake_engine()
    with serving(engine, chosen) as url:
        database = open_database(store_url(chosen))
        key, made = Access(database, AccessRules()).keys.create(NewKey("all", "", frozenset(Scope)))
        database.close()
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
            yield Target(url, key, made.id, things(http, url, key))
    asyncio.run(engine.aclose())


def things(http, url: str, key: str) -> dict[str, list[str]]:
    """Make one of everything; parameter of a path -> ids."""
    upload = {"files": {"file": ("meeting.wav", wav())}}
    recordings = [http.post("/v1/recordings", **upload).json()["id"] for _ in range(3)]
    for it in recordings:
        wait_until(lambda it=it: http.get(f"/v1/recordings/{it}").json()["state"] == "succeeded", 60)
    voice = {"name": "Maya", "recording": recordings[0], "speaker": 0}
    speaker = http.post("/v1/speakers", json=voice).json()["id"]
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}
    part = http.post("/v1/uploads", headers=tus).json()["id"]
    with connect(f"{url.replace('http', 'ws')}/v1/live", additional_headers={"Authorization": f"Bearer {key}"}) as live:
        live.send(json.dumps(START))
        session = json.loads(live.recv())["session"]
        live.send(json.dumps({"type": "stop"}))
        while json.loads(live.recv())["type"] != "done":
            pass
    return {"recording_id": recordings, "speaker_id": [speaker], "upload_id": [part], "session": [session]}


def run(target: Target, folder: Path, *options: str, timeout_s: float) -> str:
    """Schemathesis over all routes; what it says. Fails with that when it found anything."""
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": f"{HERE.replace('/', '.')}.hooks",
        "CONTRACT_IDS": json.dumps(target.ids),
        "CONTRACT_KEY_ID": target.key_id,
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / HERE / "schemathesis.toml")]
    command += ["run", f"{target.url}/openapi.json", "--header", f"Authorization: Bearer {target.key}"]
    command += ["--no-color", "--continue-on-failure", "--generation-database", "none", "--seed", "1", *options]
    # How fast requests are made up says something of the machine, nothing of the server.
    command += ["--suppress-health-check", "too_slow"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    said = "\n".join(line[:300] for line in done.stdout.splitlines())
    assert done.returncode == 0, f"{said[-20_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout


def answered(target: Target) -> dict[str, int]:
    """Requests by the status of their answer."""
    text = httpx2.get(f"{target.url}/metrics", headers=target.headers).text
    found: dict[str, int] = {}
    for status, count in re.findall(r'^crosstalk_http_requests_total\{.*status="([^"]+)".*\} ([0-9.e+]+)$', text, re.M):
        found[status] = found.get(status, 0) + int(float(count))
    return found


def check(target: Target, caplog, requests: int) -> dict[str, int]:
    """No answer but good ones and refusals; nothing that the log calls an error."""
    counts = answered(target)
    assert not [status for status in counts if status.startswith("5")], counts
    assert sum(counts.values()) >= requests
    assert [it.getMessage() for it in caplog.records if it.levelno >= logging.ERROR] == []
    return counts


@pytest.mark.timeout(300)
def test_a_few_requests_of_every_kind(target, tmp_path, caplog):
    run(target, tmp_path, "--phases", "fuzzing", "--max-examples", "4", timeout_s=280)
    check(target, caplog, 100)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("phase", "examples", "requests"), [("coverage", 250, 1_500), ("fuzzing", 300, 8_300), ("stateful", 250, 300)]
)
def test_ten_thousand_requests(target, tmp_path, caplog, phase, examples, requests):
    said = run(target, tmp_path, "--phases", phase, "--max-examples", str(examples), timeout_s=3500)
    counts = check(target, caplog, requests)
    (tmp_path / "figures").write_text(f"{counts}\n{said[-1500:]}")
