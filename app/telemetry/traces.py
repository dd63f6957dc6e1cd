"""Metrics that trace as well: spans of OpenTelemetry, sent by OTLP. Imported where traces are asked for (extra `otel`).

One provider per app, none of it global: what else in the process traces, or does not, is not touched.
"""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.observers import Attributes
from app.telemetry.metrics import Metrics

_PROPAGATOR = TraceContextTextMapPropagator()
_HEADER = "traceparent"


class TracedMetrics(Metrics):
    """See the module. Closed with its app."""

    def __init__(self, version: str, exporter: SpanExporter, ratio: float = 1.0) -> None:
        super().__init__(version)
        about = {"service.name": "crosstalk", "service.version": version, "service.instance.id": uuid.uuid4().hex}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)), resource=Resource.create(about), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("crosstalk", version)

    def span(self, name: str, attributes: Attributes, parent: str = "") -> OpenSpan:
        """See Observer. A parent that is not W3C's traceparent counts as none."""
        context = _PROPAGATOR.extract({_HEADER: parent}) if parent else None
        return OpenSpan(self._tracer.start_span(name, context, attributes=dict(attributes)))

    def close(self) -> None:
        """See Metrics."""
        self._provider.shutdown()


class OpenSpan:
    """A Span of OpenTelemetry's."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def trace(self) -> str:
        """See Span."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span))
        return carrier.get(_HEADER, "")

    def current(self) -> AbstractContextManager[object]:
        """See Span."""
        # Messages of errors may hold what users sent, so codes are told, and nothing else.
        return trace.use_span(self._span, record_exception=False, set_status_on_exception=False)

    def note(self, attributes: Attributes, name: str = "") -> None:
        """See Span."""
        self._span.set_attributes(dict(attributes))
        if name:
            self._span.update_name(name)

    def failed(self, code: str) -> None:
        """See Span."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(trace.StatusCode.ERROR)

    def end(self) -> None:
        """See Span."""
        self._span.end()


def otlp(version: str, endpoint: str, ratio: float) -> TracedMetrics:
    """Sends by OTLP over HTTP; OTEL_EXPORTER_OTLP_HEADERS may hold headers for it."""
    return TracedMetrics(version, OTLPSpanExporter(endpoint=endpoint), ratio)
