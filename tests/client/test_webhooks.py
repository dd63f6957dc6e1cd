"""A recording's webhook through the client, from its upload to a receiver on the loopback."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.client.recording_types import UploadOptions
from app.client.recordings import RecordingsClient
from app.errors import OptionInvalid
from app.settings import WebhooksGroup
from tests.engine.fake_worker import fake_engine
from tests.jobs.test_webhooks import RULES, receiver  # noqa: F401 - a fixture
from tests.transport.server import serving, settings, wait_until, wav


@pytest.fixture
def client(tmp_path):
    engine = fake_engine()
    hooks = WebhooksGroup(secret=RULES.secret, allow_private=True, retry_s=0.01)
    with serving(engine, settings(tmp_path, webhooks=hooks)) as url, RecordingsClient(url) as it:
        yield it
    asyncio.run(engine.aclose())


def test_the_wanted_states_arrive_and_the_log_says_so(client, receiver, tmp_path):  # noqa: F811
    file = tmp_path / "m.wav"
    file.write_bytes(wav())
    hook = f"http://127.0.0.1:{receiver.server_port}/hook"
    receiver.answers = [500]
    made = client.submit(file, UploadOptions(webhook=hook, events=("succeeded", "running")))
    assert client.wait(made.id, timeout_s=120).state == "succeeded"
    wait_until(lambda: [it.state for it in client.deliveries(made.id)] == ["delivered"] * 2, 60)
    log = client.deliveries(made.id)
    assert {it.event: (it.attempts, it.status, it.next_at) for it in log} in (
        {"recording.running": (2, 204, None), "recording.succeeded": (1, 204, None)},
        {"recording.running": (1, 204, None), "recording.succeeded": (2, 204, None)},
    )
    bodies = [json.loads(body) for _, _, body in receiver.got]
    assert {it["event"] for it in bodies} == {"recording.running", "recording.succeeded"}
    assert {it["recording"]["id"] for it in bodies} == {made.id}
    for wrong in (UploadOptions(events=("failed",)), UploadOptions(webhook=hook, events=("queued",))):
        with pytest.raises(OptionInvalid) as refused:
            client.submit(file, wrong)
        assert refused.value.param == "events"
