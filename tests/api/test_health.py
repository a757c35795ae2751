"""Health and metrics: one word for everybody, figures for those who may see them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import PaymentEvent, PaymentOperation
from payments.services.background.metrics import current_figures
from payments.testing.factories import PaymentEventFactory, PaymentOperationFactory, WebhookEventFactory
from tests.api.client import Visitor
from tests.api.conftest import MakeStaff

pytestmark = pytest.mark.django_db

TOKEN = "n3-QmWc6H1kB0x9aVtYu2Lr8"
NOTHING = {
    "oldest_unresolved_operation_seconds": {},
    "inbox_lag_seconds": 0.0,
    "outbox_lag_seconds": 0.0,
    "attention_count": 0,
    "failed_event_count": 0,
}


@pytest.fixture
def backlog() -> None:
    """Leave things undone: for 10 minutes at one provider, 5 in the inbox, 3 in the outbox; and others done."""
    now = timezone.now()

    def ago(minutes: int) -> Any:
        return now - timedelta(minutes=minutes)

    for minutes, traits in (
        (10, {"unknown": True}),
        (4, {"attention": True}),
        (90, {"pending": True}),
        (95, {"declined": True}),
    ):
        operation = PaymentOperationFactory.create(**traits)
        PaymentOperation.objects.filter(pk=operation.pk).update(created_at=ago(minutes))
    due = WebhookEventFactory.create(next_attempt_at=ago(5))
    WebhookEventFactory.create(deferred=True)
    WebhookEventFactory.create(applied=True, provider=due.provider)
    WebhookEventFactory.create(failed=True, provider=due.provider)
    PaymentEvent.objects.all().update(published_at=now)
    PaymentEventFactory.create(unpublished=True, created_at=ago(3))


def test_everybody_learns_whether_it_works_and_no_more(
    backlog: None, shopper: Any, make_staff: MakeStaff
) -> None:
    for visitor in (Visitor(), Visitor(user=shopper), make_staff("view_payment")):
        answer = visitor.get("health/")
        assert (answer.status, answer.body) == (200, {"status": "ok"})
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_database_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any, **_kwargs: Any) -> Any:
        raise OperationalError("could not connect to db.internal")

    monkeypatch.setattr(connections["default"], "cursor", away)
    answer = Visitor().get("health/")
    assert answer.error == (503, "unavailable", "database_unavailable", [])
    assert b"db.internal" not in answer.raw


@pytest.mark.database_independent
def test_who_may_see_operations_sees_the_figures(backlog: None, make_staff: MakeStaff) -> None:
    answer = make_staff("view_paymentoperation").get("health/")
    assert set(answer.body) == {"status", "figures"}
    figures = answer.body["figures"]
    assert set(figures) == set(NOTHING)
    (unresolved,) = set(figures["oldest_unresolved_operation_seconds"].values()) - {0.0}
    assert unresolved == pytest.approx(600, abs=30)
    assert figures["inbox_lag_seconds"] == pytest.approx(300, abs=30)
    assert figures["outbox_lag_seconds"] == pytest.approx(180, abs=30)
    assert (figures["attention_count"], figures["failed_event_count"]) == (1, 1)


def test_where_nothing_waits_the_figures_are_zero(make_staff: MakeStaff) -> None:
    assert make_staff("view_paymentoperation").get("health/").body["figures"] == NOTHING


def test_a_quiet_provider_has_a_figure_too(backlog: None) -> None:
    PaymentOperation.objects.update(created_at=timezone.now() + timedelta(hours=1))  # a clock that is ahead
    assert set(current_figures().oldest_unresolved_operation_seconds.values()) == {0.0}


def test_the_figures_take_a_few_queries_however_much_there_is(backlog: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        current_figures()
    assert len(queries) == 6


@pytest.mark.database_independent
def test_prometheus_reads_the_same_figures(backlog: None, settings: Any) -> None:
    settings.PAYMENTS = {**settings.PAYMENTS, "METRICS_TOKEN": TOKEN}
    client = Visitor().client
    response = client.get(
        "/payments/metrics/",
        headers={"Authorization": f"Bearer {TOKEN}", "Accept": "application/openmetrics-text;version=1.0.0"},
    )
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = response.content.decode()
    samples = dict(re.findall(r"^(payments_\S+) (\d+(?:\.\d+)?)$", text, re.MULTILINE))
    assert samples["payments_attention_count"] == "1"
    assert float(samples["payments_inbox_lag_seconds"]) == pytest.approx(300, abs=30)
    provider_id = PaymentOperation.objects.get(status="unknown").provider_id
    name = f'payments_oldest_unresolved_operation_seconds{{provider="{provider_id}"}}'
    assert float(samples[name]) == pytest.approx(600, abs=30)
    described = re.findall(r"^# TYPE (\S+) gauge$", text, re.MULTILINE)
    assert {sample.partition("{")[0] for sample in samples} == set(described)
    assert text.endswith("\n")


@pytest.mark.database_independent
def test_metrics_are_for_the_token_and_for_operators(
    settings: Any, shopper: Any, make_staff: MakeStaff, backlog: None
) -> None:
    def status(visitor: Visitor, token: str | None = None) -> int:
        headers = {} if token is None else {"Authorization": token}
        return visitor.client.get("/payments/metrics/", headers=headers).status_code

    assert status(make_staff("view_paymentoperation")) == 200
    assert status(make_staff("view_payment")) == 403
    assert status(Visitor(user=shopper)) == 403
    assert status(Visitor()) == 401
    assert status(Visitor(), "Bearer ") == 401
    assert status(Visitor(), "Bearer None") == 401
    settings.PAYMENTS = {**settings.PAYMENTS, "METRICS_TOKEN": TOKEN}
    assert status(Visitor(), f"Bearer {TOKEN}") == 200
    for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}", "Bearer schlüssel"):
        assert status(Visitor(), wrong) == 401
    token_holder = Visitor()
    token_holder.headers = {"Authorization": f"Bearer {TOKEN}"}
    assert set(token_holder.get("health/").body) == {"status", "figures"}
    assert token_holder.get("staff/operations/").status == 401


@pytest.mark.database_independent
def test_a_providers_name_can_not_break_the_text(settings: Any) -> None:
    event = WebhookEventFactory.create(provider__id='odd"\\\nname')
    assert event.provider_id == 'odd"\\\nname'
    settings.PAYMENTS = {**settings.PAYMENTS, "METRICS_TOKEN": TOKEN}
    text = (
        Visitor()
        .client.get("/payments/metrics/", headers={"Authorization": f"Bearer {TOKEN}"})
        .content.decode()
    )
    assert r'{provider="odd\"\\\nname"} 0.0' in text
