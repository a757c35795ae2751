"""Verbs that call a provider refuse the caller's transaction; a test case's own doesn't count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from payments import services
from payments.exceptions import OpenTransactionError
from payments.models import Payment, PaymentOperation, PaymentSession
from tests.services.facts import AUTHORIZED, WEBHOOK, books
from tests.services.results import SCRIPTS

VERBS: dict[str, Callable[[PaymentSession, Payment], Any]] = {
    "update_payment_collection": lambda row, _: services.update_payment_collection(
        row.collection, amount=150
    ),
    "cancel_payment_collection": lambda row, _: services.cancel_payment_collection(row.collection),
    "mark_payment_collection_as_paid": lambda row, _: services.mark_payment_collection_as_paid(
        row.collection
    ),
    "create_payment_session": lambda row, _: services.create_payment_session(
        row.collection, provider_id="card"
    ),
    "update_payment_session": lambda row, _: services.update_payment_session(row, amount=1),
    "authorize_payment_session": lambda row, _: services.authorize_payment_session(row),
    "cancel_payment_session": lambda row, _: services.cancel_payment_session(row),
    "sync_payment_session": lambda row, _: services.sync_payment_session(row),
    "capture_payment": lambda _, payment: services.capture_payment(payment),
    "refund_payment": lambda _, payment: services.refund_payment(payment),
    "cancel_payment": lambda _, payment: services.cancel_payment(payment),
    "correct_operation": lambda _, payment: services.correct_operation(
        PaymentOperation.objects.get(kind="capture"), has_happened=False, reason="Misread."
    ),
}


@pytest.fixture
def payment(collection: Any) -> Payment:
    """Return a payment of 60.00 euros, 20.00 of them captured."""
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    payment = services.authorize_payment_session(held).payment
    assert payment is not None
    return services.capture_payment(payment, amount="20.00")


@pytest.fixture
def session(payment: Payment) -> PaymentSession:
    """Return a session over the 40.00 euros that are left."""
    return services.create_payment_session(payment.collection, provider_id="card")


@pytest.mark.django_db
@pytest.mark.parametrize("name", VERBS)
def test_verb_refuses_the_callers_transaction(session: PaymentSession, payment: Payment, name: str) -> None:
    before, asked = books(), list(SCRIPTS["card"].verbs)
    with pytest.raises(OpenTransactionError, match="on_commit"), transaction.atomic():
        VERBS[name](session, payment)
    assert books() == before
    assert SCRIPTS["card"].verbs == asked


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", VERBS)
def test_verb_refuses_a_real_transaction_too(session: PaymentSession, payment: Payment, name: str) -> None:
    with pytest.raises(OpenTransactionError), transaction.atomic():
        VERBS[name](session, payment)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.django_db
def test_transaction_of_a_test_case_does_not_count(payment: Payment) -> None:
    assert connection.in_atomic_block
    assert services.capture_payment(payment).status == "captured"


@pytest.mark.django_db
def test_record_of_a_fact_must_be_durable(session: PaymentSession) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        services.record_fact(session, AUTHORIZED, origin=WEBHOOK)


@pytest.mark.django_db(transaction=True)
def test_view_under_atomic_requests_is_refused_and_told_the_way_out(
    session: PaymentSession, payment: Payment
) -> None:
    @transaction.atomic
    def under_atomic_requests(request: HttpRequest) -> HttpResponse:
        services.capture_payment(payment)
        return HttpResponse()

    with pytest.raises(OpenTransactionError, match="non_atomic_requests"):
        under_atomic_requests(RequestFactory().post("/"))
    payment.refresh_from_db()
    assert payment.captures.count() == 1


@pytest.mark.django_db(transaction=True)
def test_connection_that_does_not_commit_by_itself_is_a_transaction(payment: Payment) -> None:
    transaction.set_autocommit(False)
    try:
        with pytest.raises(OpenTransactionError):
            services.capture_payment(payment)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert payment.captures.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_runs_after_the_commit_may_call_a_provider(payment: Payment) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: services.capture_payment(payment))
        assert payment.captures.count() == 1
    assert payment.captures.count() == 2
