"""Spans around calls to providers: who was asked for what, and the outcome; never how much, or what was said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from payments.providers import CaptureRequest, CaptureResult, call_provider, calls, get_provider
from payments.states import Outcome
from payments.testing import Script

pytestmark = pytest.mark.database_independent


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Return where the spans of this test end up."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(calls.trace, "get_tracer", provider.get_tracer)
    return exporter


def capture() -> CaptureResult:
    request = CaptureRequest(
        operation_id="payop_1",
        idempotency_key="payop_1",
        collection_id="pay_col_1",
        session_id="payses_1",
        payment_id="pay_1",
        capture_id="capt_1",
        amount=Decimal("12.34"),
        currency_code="eur",
        provider_reference="ch_secret",
        provider_data={"vault": "secret"},
        is_final=True,
    )
    return call_provider(get_provider("scripted").capture, request, result_class=CaptureResult)


def test_a_call_is_a_span_with_the_provider_the_verb_and_the_outcome(
    script: Script, spans: InMemorySpanExporter
) -> None:
    assert capture().outcome == Outcome.SUCCEEDED
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == (
        "payments capture",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "payments.provider": "scripted",
        "payments.verb": "capture",
        "payments.operation_id": "payop_1",
        "payments.session_id": "payses_1",
        "payments.outcome": "succeeded",
    }


def test_an_unknown_outcome_is_an_error_without_the_words_of_the_exception(
    script: Script, spans: InMemorySpanExporter
) -> None:
    script.next("capture", TimeoutError("sent 12.34 with the secret"))
    assert capture().outcome == Outcome.UNKNOWN
    (span,) = spans.get_finished_spans()
    assert span.status.status_code == StatusCode.ERROR
    assert span.events == ()
    assert "sent 12.34" not in _everything(span)
    assert "secret" not in _everything(span)


def test_without_the_package_nothing_changes(
    script: Script, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "trace", None)
    assert capture().outcome == Outcome.SUCCEEDED
    assert spans.get_finished_spans() == ()


def _everything(span: ReadableSpan) -> Any:
    return span.to_json()
