"""The provider for money that the merchant handles: it agrees to everything, and knows nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from payments import providers, services
from payments.exceptions import NotSupportedError
from payments.models import PaymentCollection, PaymentSession
from payments.states import Outcome

COMMON: dict[str, Any] = {
    "operation_id": "payop_1",
    "idempotency_key": "payop_1",
    "collection_id": "pay_col_1",
    "session_id": "payses_1",
    "amount": Decimal("12.34"),
    "currency_code": "eur",
}


@pytest.mark.database_independent
def test_every_verb_succeeds_with_what_was_asked() -> None:
    provider = providers.get_provider("system")
    stated: list[Any] = [
        provider.update(providers.UpdateRequest(**COMMON)),
        provider.authorize(providers.AuthorizeRequest(**COMMON)),
        provider.capture(providers.CaptureRequest(**COMMON, payment_id="pay_1", capture_id="capt_1")),
        provider.refund(providers.RefundRequest(**COMMON, payment_id="pay_1", refund_id="ref_1")),
    ]
    assert {result.outcome for result in stated} == {Outcome.SUCCEEDED}
    assert {(result.amount, result.currency_code) for result in stated} == {(Decimal("12.34"), "eur")}
    assert provider.initiate(providers.InitiateRequest(**COMMON)).outcome == Outcome.SUCCEEDED
    assert provider.cancel(providers.CancelRequest(**COMMON)).outcome == Outcome.SUCCEEDED


@pytest.mark.database_independent
def test_nothing_is_published_and_nothing_is_taken_from_a_payer() -> None:
    provider = providers.get_provider("system")
    assert provider.initiate(providers.InitiateRequest(**COMMON)).data == {}
    assert (provider.public_data_keys, provider.input_keys) == (frozenset(), frozenset())
    assert list(provider.check()) == []


@pytest.mark.django_db
def test_cash_on_delivery_from_order_to_refund() -> None:
    collection = services.create_payment_collection(amount="49.90", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="system")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.capture_payment(payment)
    services.refund_payment(payment, amount="9.90")
    collection = PaymentCollection.objects.get()
    assert (collection.status, collection.captured_amount, collection.refunded_amount) == (
        "completed",
        Decimal("49.90"),
        Decimal("9.90"),
    )
    assert PaymentSession.objects.get().data == {}
    with pytest.raises(NotSupportedError):
        services.sync_payment_session(session)
