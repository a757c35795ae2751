"""The factory of payments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from payments.models import Capture, Payment, PaymentSession, Refund
from payments.money import ZERO
from payments.states import SessionStatus
from payments.testing.factories.base import (
    HUNDRED,
    Given,
    GivenOrNew,
    RowFactory,
    refuse_other_status,
    settled,
    share,
)
from payments.testing.factories.collections import PaymentCollectionFactory
from payments.testing.factories.providers import PaymentProviderFactory
from payments.testing.factories.sessions import PaymentSessionFactory, amount_left


def _part(row: Any) -> Decimal:
    return share(row.amount, 40, row.collection.currency_code)


class PaymentFactory(RowFactory[Payment]):
    """Make a payment, with its authorized session, and a collection that it covers.

    `captured_amount` and `refunded_amount` (major units) make one capture and one refund each; `canceled_amount` is
    what was released, `charged_back_amount` what the payer's bank took back. Traits: `captured`, `partially_captured`
    (40 %), `refunded`, `partially_refunded` (40 %), `charged_back`, `canceled`.
    """

    class Meta:
        model = Payment

    class Params:
        captured = factory.Trait(captured_amount=factory.SelfAttribute("amount"))
        partially_captured = factory.Trait(captured_amount=factory.LazyAttribute(_part))
        refunded = factory.Trait(
            captured_amount=factory.SelfAttribute("amount"), refunded_amount=factory.SelfAttribute("amount")
        )
        partially_refunded = factory.Trait(
            captured_amount=factory.SelfAttribute("amount"), refunded_amount=factory.LazyAttribute(_part)
        )
        charged_back = factory.Trait(
            captured_amount=factory.SelfAttribute("amount"),
            charged_back_amount=factory.SelfAttribute("amount"),
        )
        canceled = factory.Trait(canceled_amount=factory.SelfAttribute("amount"))

    amount = Given(HUNDRED, session=lambda session: session.amount, collection=amount_left)
    collection = GivenOrNew(
        "session", "collection", PaymentCollectionFactory, amount=factory.SelfAttribute("..amount")
    )
    provider = GivenOrNew("session", "provider", PaymentProviderFactory)
    session = factory.SubFactory(
        PaymentSessionFactory,
        collection=factory.SelfAttribute("..collection"),
        provider=factory.SelfAttribute("..provider"),
        amount=factory.SelfAttribute("..amount"),
    )
    captured_amount = ZERO
    refunded_amount = ZERO
    canceled_amount = ZERO
    charged_back_amount = ZERO
    provider_data = factory.LazyAttribute(lambda row: dict(row.session.provider_data))
    provider_reference = factory.SelfAttribute("session.provider_reference")

    @classmethod
    def _build(cls, model_class: Any, *args: Any, **kwargs: Any) -> Payment:
        payment = super()._build(model_class, *args, **kwargs)
        if "status" not in kwargs:
            payment.move_to(payment.derive_status())
        return payment

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Payment:
        wanted = kwargs.pop("status", None)
        captured, refunded = kwargs.pop("captured_amount"), kwargs.pop("refunded_amount")
        charged_back = kwargs.pop("charged_back_amount")
        _authorize(kwargs["session"], kwargs)
        amounts = {name: Decimal(kwargs[name]) for name in ("amount", "canceled_amount")}
        payment = cls._build(model_class, *args, **{**kwargs, **amounts})
        payment.save(force_insert=True)
        _move(Capture, payment, Decimal(captured))
        _move(Refund, payment, Decimal(refunded))
        settled(payment.collection, payment)
        _charge_back(payment, Decimal(charged_back))
        _release(payment)
        refuse_other_status(payment, wanted)
        return payment


def _authorize(session: PaymentSession, values: dict[str, Any]) -> None:
    if session.collection_id != values["collection"].pk:
        raise ValueError("A payment is of its session's collection: give one of the two.")
    if session.status != SessionStatus.AUTHORIZED:
        session.authorize()
        session.authorized_at = timezone.now()
        session.save_fields(
            "status", "authorized_at", "canceled_at", "next_action", "error_code", "error_message"
        )


def _move(model: type[Capture | Refund], payment: Payment, amount: Decimal) -> None:
    if amount:
        row = model(payment=payment, amount=amount, succeeded_at=timezone.now())
        row.succeed()
        row.save()


def _charge_back(payment: Payment, amount: Decimal) -> None:
    if amount:
        payment.charged_back_amount = amount
        payment.save_fields("charged_back_amount")
        settled(payment.collection, payment)


def _release(payment: Payment) -> None:
    """Have the session canceled too where all that it held is released, as the services do."""
    session = payment.session
    if payment.canceled_amount == payment.amount and session.status == SessionStatus.AUTHORIZED:
        session.cancel()
        session.canceled_at = timezone.now()
        session.save_fields("status", "canceled_at", "next_action")
