"""Situations that an operator meets, made by the services."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model

from payments import models
from payments.exceptions import DeclinedError, OutcomeUnknownError
from payments.providers import AuthorizeResult, CaptureResult, NextAction
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_collection,
    create_payment_session,
    refund_payment,
)
from payments.states import Outcome
from tests.admin.answers import answering
from tests.shop.models import Order


def make_customer(name: str = "anna") -> Any:
    """Return a shopper."""
    user, _created = get_user_model().objects.get_or_create(
        username=name, defaults={"email": f"{name}@shop.example"}
    )
    return user


def make_collection(
    amount: str = "100.00",
    currency_code: str = "eur",
    *,
    customer: Any = None,
    number: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> models.PaymentCollection:
    """Return a collection for an order."""
    order = Order.objects.create(
        number=number or f"Order {Order.objects.count() + 1}", total=amount, currency_code=currency_code
    )
    return create_payment_collection(
        amount=amount, currency_code=currency_code, payable=order, customer=customer, metadata=metadata
    )


def make_authorized(
    collection: models.PaymentCollection, *, provider_id: str = "card", amount: Any = None
) -> models.Payment:
    """Return the payment of a new session."""
    session = create_payment_session(collection, provider_id=provider_id, amount=amount)
    payment = authorize_payment_session(session).payment
    assert payment is not None
    return payment


def make_eventful(actor: Any = None) -> models.PaymentCollection:
    """Return 100.00 split over two providers: 3DS, a declined capture, two captures, a refund, a lost refund."""
    collection = make_collection(customer=make_customer(), metadata={"cart": "c_991"})
    card = create_payment_session(collection, provider_id="card", amount="60.00")
    action = NextAction(type="challenge", url="https://bank.example/3ds")
    with answering(AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action)):
        authorize_payment_session(card)
    payment = authorize_payment_session(card, data={"code": "987654"}).payment
    assert payment is not None
    make_authorized(collection, provider_id="system")
    capture_payment(payment, amount="25.00", actor=actor, source="admin")
    with answering(DeclinedError("Try again later.", code="processing_error")):
        _ignoring(DeclinedError, capture_payment, payment, amount="35.00")
    capture_payment(payment, amount="35.00")
    reason, _created = models.RefundReason.objects.get_or_create(label="Damaged in transit")
    refund_payment(payment, amount="15.00", reason=reason, note="The cup is broken.", actor=actor)
    with answering(TimeoutError()):
        _ignoring(OutcomeUnknownError, refund_payment, payment, amount="5.00")
    collection.refresh_from_db()
    return collection


def make_attention() -> models.PaymentOperation:
    """Return an operation that needs a person: the provider captured another amount than it was asked to."""
    payment = make_authorized(make_collection("55.00"))
    wrong = CaptureResult(
        outcome=Outcome.SUCCEEDED,
        amount=Decimal("54.00"),
        currency_code="eur",
        provider_log={"request": {"amount": "55.00"}, "response": {"amount": 5400}},
    )
    with answering(wrong):
        _ignoring(OutcomeUnknownError, capture_payment, payment)
    return models.PaymentOperation.objects.get(status="attention", kind="capture")


def make_webhook(collection: models.PaymentCollection) -> models.WebhookEvent:
    """Return an event that a provider sent about a collection's first session."""
    return models.WebhookEvent.objects.create(
        provider_id="card",
        event_id="evt_77",
        type="payment.captured",
        session=collection.sessions.first(),
        payload={"amount": 6000},
    )


def make_account_holder(customer: Any) -> models.AccountHolder:
    """Return a customer as the card provider knows them."""
    return models.AccountHolder.objects.create(
        provider_id="card",
        customer=customer,
        provider_reference="cus_42",
        email=customer.email,
        provider_data={"customer_secret": "sk_private_holder"},
    )


def _ignoring(error: type[Exception], verb: Any, *args: Any, **kwargs: Any) -> None:
    try:
        verb(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")
