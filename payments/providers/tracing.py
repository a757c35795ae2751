"""OpenTelemetry spans around calls to providers, where `opentelemetry-api` is installed; nothing where it isn't.

A span says which provider was asked for what, for which operation, and with what outcome: no amount, no private data,
and no words of an exception, which may quote what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def _installed() -> Any:
    try:
        return import_module("opentelemetry.trace")
    except ImportError:
        return None


trace: Any = _installed()
"""OpenTelemetry's tracing, or None where there is nobody to tell."""


class CallSpan:
    """Take note of what comes of one call."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def end(self, outcome: str) -> None:
        """Note the outcome; one that nobody knows is an error."""
        if self._span is None:
            return
        self._span.set_attribute("payments.outcome", outcome)
        if outcome == "unknown":
            self._span.set_status(trace.StatusCode.ERROR)


@contextmanager
def call_span(*, provider_id: str, verb: str, request: Any) -> Iterator[CallSpan]:
    """Be in a span named after the verb for as long as the block takes."""
    if trace is None:
        yield CallSpan()
        return
    attributes = {"payments.provider": provider_id, "payments.verb": verb}
    for name in ("operation_id", "session_id"):
        value = getattr(request, name, None)
        if value is not None:
            attributes[f"payments.{name}"] = str(value)
    tracer = trace.get_tracer("payments")
    with tracer.start_as_current_span(
        f"payments {verb}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield CallSpan(span)
