"""The factory of payment sessions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from payments.models import PaymentCollection, PaymentSession
from payments.services.ledger.books import open_books
from payments.services.ledger.history import Origin
from payments.services.ledger.totals import remaining_amount
from payments.states import SessionStatus
from payments.testing.factories.base import HUNDRED, Given, RowFactory, settled
from payments.testing.factories.collections import PaymentCollectionFactory
from payments.testing.factories.providers import PaymentProviderFactory

_PAYMENT = "payments.testing.factories.payments.PaymentFactory"


def amount_left(collection: PaymentCollection) -> Decimal:
    """Return what is left to pay (major units), or the whole amount where nothing is."""
    if collection._state.adding:
        return collection.amount
    left = remaining_amount(open_books(collection.pk, origin=Origin(), is_locked=False))
    return left if left > 0 else collection.amount


class PaymentSessionFactory(RowFactory[PaymentSession]):
    """Make an initiated session that waits to be authorized, for all that is left of its collection.

    With `amount` it is a split; a new collection has just that amount. Traits: `requires_more`, `error`, `canceled`,
    `authorized` (with a payment) · `uninitiated`, `expired`, `installment_due` (the first of a plan, due in a month).
    """

    class Meta:
        model = PaymentSession

    class Params:
        requires_more = factory.Trait(
            status=SessionStatus.REQUIRES_MORE,
            next_action=factory.LazyFunction(
                lambda: {"type": "redirect", "url": "https://bank.example/challenge"}
            ),
        )
        error = factory.Trait(
            status=SessionStatus.ERROR, error_code="card_declined", error_message="The card was declined."
        )
        canceled = factory.Trait(
            status=SessionStatus.CANCELED, canceled_at=factory.LazyFunction(timezone.now)
        )
        authorized = factory.Trait(below=factory.RelatedFactory(_PAYMENT, "session"))
        uninitiated = factory.Trait(
            initiated_at=None, data=factory.Dict({}), provider_data=factory.Dict({}), provider_reference=None
        )
        expired = factory.Trait(
            expires_at=factory.LazyFunction(lambda: timezone.now() - timedelta(minutes=1))
        )
        installment_due = factory.Trait(
            uninitiated=True,
            is_split=True,
            installment=1,
            due_at=factory.LazyFunction(lambda: timezone.now() + timedelta(days=30)),
        )

    amount = Given(HUNDRED, collection=amount_left)
    collection = factory.SubFactory(PaymentCollectionFactory, amount=factory.SelfAttribute("..amount"))
    provider = factory.SubFactory(PaymentProviderFactory)
    is_split = Given(default=False, amount=lambda _amount: True)
    provider_reference = factory.Sequence(lambda number: f"reference-{number}")
    data = factory.LazyAttribute(lambda row: {"client_token": f"public-{row.provider_reference}"})
    provider_data = factory.LazyAttribute(lambda row: {"network_token": f"private-{row.provider_reference}"})
    initiated_at = factory.LazyFunction(timezone.now)
    below = None

    @classmethod
    def _build(cls, model_class: Any, *args: Any, **kwargs: Any) -> PaymentSession:
        return super()._build(model_class, *args, **_without_payment(kwargs))

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> PaymentSession:
        session = super()._create(model_class, *args, **_without_payment(kwargs))
        settled(session.collection)
        return session


def _without_payment(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("status") == SessionStatus.AUTHORIZED:
        raise ValueError("An authorized session has a payment: PaymentSessionFactory.create(authorized=True)")
    return values
