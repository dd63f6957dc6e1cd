"""What the server tells (`app.observers`) -> Prometheus figures, in a registry of their own: a fresh one per app.

Names begin with `crosstalk_`, units are seconds, bytes and counts. Labels take few values: routes with their variables'
names, codes of app/errors; never an id, an address or a word of anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.observers import Attributes, NoSpan, Span

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MODEL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LAG_S = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)
_LONG_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0)
_RTF = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


class Metrics:
    """An Observer. Safe from any thread. `registry` also takes collectors that are asked when somebody looks."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        about = Gauge("crosstalk_build_info", "Always 1; the version is its label", ["version"], registry=self.registry)
        about.labels(version).set(1)
        self._engine()
        self._work()
        self._edges()

    def text(self) -> bytes:
        """Every figure in Prometheus's text format. Blocks: collectors may ask the store."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"crosstalk_{name}", about, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"crosstalk_{name}", about, labels, registry=self.registry)

    def _engine(self) -> None:
        self._batch_size = self._histogram("engine_batch_size", "Requests in one batch", _SIZES, "step")
        self._batch_s = self._histogram("engine_batch_seconds", "Time of one batch in the models", _MODEL_S, "step")
        self._wait_s = self._histogram("engine_wait_seconds", "Wait of a request for its batch", _MODEL_S, "step")
        self._call_s = self._histogram(
            "engine_call_seconds", "Time from asking the engine to its answer", _MODEL_S, "step"
        )
        self._calls = self._counter("engine_calls", "Windows asked of the engine, by how it went", "step", "code")
        self._sound_s = self._counter("engine_sound_seconds", "Sound that the engine answered for", "step")
        self._words = self._counter("words", "Words decoded", "kind")

    def _work(self) -> None:
        self._lag_s = self._histogram("live_lag_seconds", "Sound that waits, looked at each second", _LAG_S)
        self._job_wait_s = self._histogram("job_wait_seconds", "From a recording's upload to its first run", _LONG_S)
        self._job_s = self._histogram("job_run_seconds", "Time of one run of a recording", _LONG_S, "outcome")
        self._job_rtf = self._histogram("job_real_time_factor", "Time of a run that succeeded per time of sound", _RTF)
        self._webhook_s = self._histogram(
            "webhook_seconds", "Time of one try of a webhook message", _SHORT_S, "outcome"
        )
        self._store_s = self._histogram("store_transaction_seconds", "Time of one transaction", _SHORT_S, "kind")
        self._store_errors = self._counter("store_errors", "Transactions that the database failed", "kind", "code")

    def _edges(self) -> None:
        labels = ("method", "route", "status")
        self._requests = self._counter("http_requests", "Requests answered, sockets at their handshake", *labels)
        self._request_s = self._histogram(
            "http_request_seconds", "Time of a request to its last byte", _MODEL_S, "route"
        )
        self._errors = self._counter("errors", "Errors that somebody was told of", "where", "code")

    def batch(self, step: str, waited_s: Sequence[float], seconds: float) -> None:
        """See Observer."""
        self._batch_size.labels(step).observe(len(waited_s))
        self._batch_s.labels(step).observe(seconds)
        for waited in waited_s:
            self._wait_s.labels(step).observe(waited)

    def engine_call(self, step: str, seconds: float, sound_s: float, code: str) -> None:
        """See Observer."""
        self._calls.labels(step, code or "ok").inc()
        if not code:
            self._call_s.labels(step).observe(seconds)
            self._sound_s.labels(step).inc(sound_s)

    def words(self, kind: str, number: int) -> None:
        """See Observer."""
        self._words.labels(kind).inc(number)

    def live_lag(self, seconds: float) -> None:
        """See Observer."""
        self._lag_s.observe(seconds)

    def job_started(self, waited_s: float) -> None:
        """See Observer."""
        self._job_wait_s.observe(waited_s)

    def job_ended(self, outcome: str, seconds: float, sound_s: float | None) -> None:
        """See Observer."""
        self._job_s.labels(outcome).observe(seconds)
        if outcome == "succeeded" and sound_s:
            self._job_rtf.observe(seconds / sound_s)

    def webhook(self, outcome: str, seconds: float) -> None:
        """See Observer."""
        self._webhook_s.labels(outcome).observe(seconds)

    def transaction(self, kind: str, seconds: float, code: str) -> None:
        """See Observer."""
        self._store_s.labels(kind).observe(seconds)
        if code:
            self._store_errors.labels(kind, code).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """See Observer."""
        self._requests.labels(method, route, str(status)).inc()
        # A socket is open for as long as somebody talks; that is no time of an answer.
        if method != "WEBSOCKET":
            self._request_s.labels(route).observe(seconds)

    def error(self, where: str, code: str) -> None:
        """See Observer."""
        self._errors.labels(where, code).inc()

    def span(self, name: str, attributes: Attributes, parent: str = "") -> Span:  # noqa: ARG002 - see Observer
        """Nothing: traces are an option (app/telemetry/traces.py)."""
        return NoSpan()

    def close(self) -> None:
        """Send what waits to be sent; blocks."""
