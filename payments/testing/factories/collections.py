"""The factory of payment collections."""

from __future__ import annotations

from typing import Any

import factory
from django.utils import timezone

from payments.models import PaymentCollection
from payments.testing.factories.base import HUNDRED, RowFactory, refuse_other_status, settled, share

_SESSION = "payments.testing.factories.sessions.PaymentSessionFactory"
_PAYMENT = "payments.testing.factories.payments.PaymentFactory"


def _with_session(**values: Any) -> factory.Trait:
    return factory.Trait(below=factory.RelatedFactory(_SESSION, "collection", **values))


def _with_payment(**values: Any) -> factory.Trait:
    return factory.Trait(below=factory.RelatedFactory(_PAYMENT, "collection", **values))


class PaymentCollectionFactory(RowFactory[PaymentCollection]):
    """Make a collection, 100.00 euros of which nothing is paid, unless a trait makes sessions and payments too.

    Traits: `awaiting`, `requires_more`, `error` (one session) · `partially_authorized` (60 %), `authorized`,
    `partially_captured` (40 %), `captured`, `partially_refunded` (40 %), `refunded` (one payment) · `canceled`.
    """

    class Meta:
        model = PaymentCollection

    currency_code = "eur"
    amount = HUNDRED
    below = None

    class Params:
        awaiting = _with_session()
        requires_more = _with_session(requires_more=True)
        error = _with_session(error=True)
        authorized = _with_payment()
        partially_authorized = _with_payment(
            amount=factory.LazyAttribute(
                lambda row: share(row.collection.amount, 60, row.collection.currency_code)
            )
        )
        partially_captured = _with_payment(partially_captured=True)
        captured = _with_payment(captured=True)
        partially_refunded = _with_payment(partially_refunded=True)
        refunded = _with_payment(refunded=True)
        canceled = factory.Trait(canceled_at=factory.LazyFunction(timezone.now))

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> PaymentCollection:
        wanted = kwargs.pop("status", None)
        collection = cls._build(model_class, *args, **kwargs)
        if collection.is_canceled:
            collection.cancel()
        collection.save(force_insert=True)
        collection.refresh_from_db(fields=["amount"])  # exact, though it may have been given as a text
        settled(collection)
        refuse_other_status(collection, wanted)
        return collection
