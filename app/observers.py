"""What the server tells about its work while it works: one small interface, so that no layer knows who counts.

`app.telemetry.metrics.Metrics` turns it into figures; `Unobserved` drops it. Called from the event loop and from
threads; a method never raises and never blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

Attributes = Mapping[str, str | int | float | bool]
"""Of a span: by the names of OpenTelemetry's conventions, or `crosstalk.`; never sound, words or keys."""


class Span(Protocol):
    """A piece of work in a trace, from its making until `end`."""

    @property
    def trace(self) -> str:
        """As W3C's `traceparent`, for work that is done elsewhere or later; "" = nothing is traced."""

    def current(self) -> AbstractContextManager[object]:
        """What begins within belongs to it."""

    def note(self, attributes: Attributes, name: str = "") -> None:
        """What has turned out meanwhile, a better name included."""

    def failed(self, code: str) -> None:
        """It did not go well."""

    def end(self) -> None:
        """It is over."""


class NoSpan:
    """A Span of nothing."""

    trace = ""

    def current(self) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def note(self, attributes: Attributes, name: str = "") -> None:
        """Nothing."""

    def failed(self, code: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


@contextmanager
def within(span: Span) -> Iterator[None]:
    """Work in a span, which ends with it."""
    try:
        with span.current():
            yield
    finally:
        span.end()


class Observer(Protocol):
    """Who is told. Times in seconds; `code`: of app/errors, "" = none."""

    def batch(self, step: str, waited_s: Sequence[float], seconds: float) -> None:
        """A batch has been through a model. step: `diarize` or `decode`; waited_s: of each request in it."""

    def engine_call(self, step: str, seconds: float, sound_s: float, code: str) -> None:
        """An engine answered, or failed with `code`. sound_s: of sound that it was given."""

    def words(self, kind: str, number: int) -> None:
        """Words were decoded. kind: `tentative` (they are asked again) or `written`."""

    def live_lag(self, seconds: float) -> None:
        """How far the captions of one session are behind its sound, now."""

    def job_started(self, waited_s: float) -> None:
        """A recording is worked on for the first time."""

    def job_ended(self, outcome: str, seconds: float, sound_s: float | None) -> None:
        """One run of a recording is over. outcome: `succeeded`, `failed`, `again`, `stopped`, `lost`."""

    def webhook(self, outcome: str, seconds: float) -> None:
        """A message was tried. outcome: `delivered`, `again`, `given_up` or `refused`."""

    def transaction(self, kind: str, seconds: float, code: str) -> None:
        """A transaction of the store is over. kind: `read` or `write`."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. route: the path with its variables' names; a socket's status is that of its
        handshake, 101 when it was accepted."""

    def error(self, where: str, code: str) -> None:
        """Somebody was told of an error. where: `http`, `live`, `listen`, `job` or `infer`."""

    def span(self, name: str, attributes: Attributes, parent: str = "") -> Span:
        """Work begins. parent: the `trace` of the span that it belongs to, "" = the current one, if there is one."""


class Unobserved:
    """An Observer that listens to nothing."""

    def batch(self, step: str, waited_s: Sequence[float], seconds: float) -> None:
        """Nothing."""

    def engine_call(self, step: str, seconds: float, sound_s: float, code: str) -> None:
        """Nothing."""

    def words(self, kind: str, number: int) -> None:
        """Nothing."""

    def live_lag(self, seconds: float) -> None:
        """Nothing."""

    def job_started(self, waited_s: float) -> None:
        """Nothing."""

    def job_ended(self, outcome: str, seconds: float, sound_s: float | None) -> None:
        """Nothing."""

    def webhook(self, outcome: str, seconds: float) -> None:
        """Nothing."""

    def transaction(self, kind: str, seconds: float, code: str) -> None:
        """Nothing."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Nothing."""

    def error(self, where: str, code: str) -> None:
        """Nothing."""

    def span(self, name: str, attributes: Attributes, parent: str = "") -> Span:  # noqa: ARG002 - see Observer
        """Nothing."""
        return NoSpan()
