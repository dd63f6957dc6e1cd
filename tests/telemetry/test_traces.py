"""Spans of a running server: a job and a session belong to the request that began them, engine calls to those."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx2
import numpy as np
import pytest
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.asyncio.client import connect

from app.core.types import Window
from app.engine.http_client import open_http
from app.engine.infer_app import create_infer_app
from app.engine.infer_rules import InferRules
from app.engine.observed import ObservedEngine
from app.errors import EngineFailed, SetupError
from app.main import create_app
from app.monitoring import make_metrics
from app.settings import Settings, TracesGroup
from app.telemetry.traces import TracedMetrics
from app.transport.server import DrainingServer, socket_options
from tests.engine.fake_worker import VOCABULARY, fake_engine
from tests.engine.inference import http_rules
from tests.engine.inference import serving as inference
from tests.running import running
from tests.transport.live.talk import SOUND, START, send, until
from tests.transport.server import settings, wait_until, wav

CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


class Memory(InMemorySpanExporter):
    """Keeps what it holds when its server ends."""

    def shutdown(self) -> None:
        """Nothing."""


def serve(folder, work, **given):
    """Do `work(url)` with a server, and let it end."""
    engine = fake_engine()
    app = create_app(given.pop("settings", settings(folder)), engine, **given)
    config = uvicorn.Config(app, log_config=None, lifespan="on", **socket_options(1 << 20))
    with running(DrainingServer(config, app)) as url:
        work(url)
    asyncio.run(engine.aclose())


def transcribe(url: str, **headers: str) -> str:
    """A recording's id, when it is done."""
    job = httpx2.post(f"{url}/v1/recordings", files={"file": ("m.wav", wav())}, headers=headers).json()["id"]
    wait_until(lambda: httpx2.get(f"{url}/v1/recordings/{job}").json()["state"] == "succeeded", 60)
    return job


async def talk(url: str) -> None:
    async with connect(url.replace("http", "ws") + "/v1/live") as socket:
        await socket.send(json.dumps(START))
        await until(socket, "ready")
        await send(socket, SOUND)
        await socket.send('{"type": "stop"}')
        await until(socket, "done")


@pytest.fixture(scope="module")
def spans(tmp_path_factory):
    """Those of a job that a caller with a trace of its own began, and of a live session."""
    memory = Memory()

    def work(url):
        transcribe(url, traceparent=CALLER)
        asyncio.run(talk(url))
        httpx2.get(f"{url}/healthz")

    serve(tmp_path_factory.mktemp("traces"), work, metrics=TracedMetrics("1", memory))
    return memory.get_finished_spans()


def named(spans, name: str):
    return [span for span in spans if span.name == name]


def test_a_job_and_its_engine_calls_belong_to_the_request_that_queued_it(spans):
    (asked,) = named(spans, "POST /v1/recordings")
    (job,) = named(spans, "job")
    assert format(asked.context.trace_id, "032x") == "ab" * 16
    assert format(asked.parent.span_id, "016x") == "cd" * 8
    assert (job.context.trace_id, job.parent.span_id) == (asked.context.trace_id, asked.context.span_id)
    assert job.attributes["crosstalk.outcome"] == "succeeded"
    assert asked.attributes["http.response.status_code"] == 202
    for step in ("engine diarize", "engine decode"):
        calls = [it for it in named(spans, step) if it.parent.span_id == job.context.span_id]
        assert calls
        assert all(it.attributes["crosstalk.sound_s"] > 0 for it in calls)


def test_a_session_and_its_engine_calls_belong_to_its_connection(spans):
    (socket,) = named(spans, "WEBSOCKET /v1/live")
    (session,) = named(spans, "live session")
    assert (session.parent.span_id, socket.parent) == (socket.context.span_id, None)
    assert socket.attributes["http.response.status_code"] == 101
    for step in ("engine diarize", "engine decode"):
        assert [it for it in named(spans, step) if it.parent.span_id == session.context.span_id]


def test_spans_hold_ids_and_figures_and_nothing_that_was_said(spans):
    assert not named(spans, "GET /healthz")
    for span in spans:
        assert not span.events
        for name, value in span.attributes.items():
            assert name.startswith(("http.", "crosstalk.")), name
            assert not any(word in str(value).split() for word in VOCABULARY)


def test_an_error_is_told_by_its_code_alone():
    memory = Memory()
    metrics = TracedMetrics("1", memory)
    span = metrics.span("engine decode", {})
    span.failed("engine_failed")
    with pytest.raises(EngineFailed), span.current():
        raise EngineFailed("alpha bravo")
    span.end()
    metrics.close()
    (found,) = memory.get_finished_spans()
    assert (found.attributes["error.type"], found.status.is_ok, found.events) == ("engine_failed", False, ())


def test_a_parent_that_is_none_counts_as_none_and_a_ratio_of_nothing_keeps_nothing():
    memory = Memory()
    metrics = TracedMetrics("1", memory, ratio=0)
    metrics.span("a", {}, "nonsense").end()
    metrics.span("b", {}, CALLER).end()
    metrics.close()
    assert [span.name for span in memory.get_finished_spans()] == ["b"]


def test_off_there_are_none_and_without_the_extra_it_is_told(monkeypatch):
    assert make_metrics(Settings()).span("a", {}).trace == ""
    monkeypatch.setitem(__import__("sys").modules, "app.telemetry.traces", None)
    with pytest.raises(SetupError, match=r"crosstalk\[otel\]"):
        make_metrics(Settings(traces=TracesGroup(endpoint="http://127.0.0.1:1/v1/traces")))


def test_spans_are_sent_by_otlp(tmp_path):
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=collector.serve_forever)
    thread.start()
    traces = TracesGroup(endpoint=f"http://127.0.0.1:{collector.server_port}/v1/traces")
    chosen = settings(tmp_path).model_copy(update={"traces": traces})
    try:
        serve(tmp_path, lambda url: httpx2.get(f"{url}/v1/models"), settings=chosen)
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    names = {
        span.name
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert "GET /v1/models" in names


def test_an_inference_worker_goes_on_with_the_trace_of_its_caller():
    memory = Memory()
    metrics, inner = TracedMetrics("1", memory), fake_engine()
    app = create_infer_app(inner, InferRules(), observer=metrics)

    async def ask(url):
        engine = ObservedEngine(await open_http(http_rules(url)), metrics)
        samples = np.zeros(engine.spec.window_samples, dtype=np.float32)
        await engine.diarize(Window(0, 0, samples, len(samples), 0, len(samples)))
        await engine.aclose()

    with inference(app) as url:
        asyncio.run(ask(url))
    asyncio.run(inner.aclose())
    metrics.close()
    spans = memory.get_finished_spans()
    (asked,), (answered,) = named(spans, "engine diarize"), named(spans, "infer diarize")
    assert (answered.context.trace_id, answered.parent.span_id) == (asked.context.trace_id, asked.context.span_id)
