"""The factories of providers, customers, collections, sessions, payments, captures and refunds."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from payments.models import (
    AccountHolder,
    Capture,
    Payment,
    PaymentCollection,
    PaymentProvider,
    PaymentSession,
    Refund,
    RefundReason,
)
from payments.money import ZERO
from payments.services.ledger.books import read_books
from payments.services.ledger.totals import remaining_amount
from payments.states import MovementStatus, SessionStatus
from payments.testing.factories.base import (
    HUNDRED,
    Given,
    GivenOrNew,
    RowFactory,
    refresh_collection,
    refuse_other_status,
    share,
)
from payments.users import email_of


class PaymentProviderFactory(RowFactory[PaymentProvider]):
    """The row of a provider, made or found: an alias has one. It is `system` unless `id` says otherwise."""

    class Meta:
        model = PaymentProvider
        django_get_or_create = ("id",)

    id = "system"
    is_enabled = True


class CustomerFactory(RowFactory[AbstractBaseUser]):
    """A user of the shop's own model, as far as its user name and password go; subclass it for more."""

    class Meta:
        model = settings.AUTH_USER_MODEL

    password = factory.LazyFunction(lambda: make_password(None))

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        kwargs.setdefault(get_user_model().USERNAME_FIELD, f"customer{cls._meta.next_sequence()}@example.com")
        return kwargs


class AccountHolderFactory(RowFactory[AccountHolder]):
    """A customer's account at a provider."""

    class Meta:
        model = AccountHolder

    provider = factory.SubFactory(PaymentProviderFactory)
    customer = factory.SubFactory(CustomerFactory)
    provider_reference = factory.Sequence(lambda number: f"customer-{number}")
    email = factory.LazyAttribute(lambda row: email_of(row.customer) or "customer@example.com")
    provider_data = factory.LazyFunction(lambda: {"vault_token": "vt_private"})


_SESSION = "payments.testing.factories.payments.PaymentSessionFactory"
_PAYMENT = "payments.testing.factories.payments.PaymentFactory"


def _with_session(**values: Any) -> factory.Trait:
    return factory.Trait(below=factory.RelatedFactory(_SESSION, "collection", **values))


def _with_payment(**values: Any) -> factory.Trait:
    return factory.Trait(below=factory.RelatedFactory(_PAYMENT, "collection", **values))


class PaymentCollectionFactory(RowFactory[PaymentCollection]):
    """A collection, 100.00 euros of which nothing is paid, unless a trait makes sessions and payments too.

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
        refresh_collection(collection)
        refuse_other_status(collection, wanted)
        return collection


def amount_left(collection: PaymentCollection) -> Decimal:
    """Return what is left to pay (major units), or the whole amount where nothing is."""
    if collection._state.adding:
        return collection.amount
    left = remaining_amount(read_books(collection.pk))
    return left if left > 0 else collection.amount


class PaymentSessionFactory(RowFactory[PaymentSession]):
    """An initiated session that waits to be authorized, for all that is left of its collection.

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
        refresh_collection(session.collection)
        return session


def _without_payment(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("status") == SessionStatus.AUTHORIZED:
        raise ValueError("An authorized session has a payment: PaymentSessionFactory.create(authorized=True)")
    return values


def _part(row: Any) -> Decimal:
    return share(row.amount, 40, row.collection.currency_code)


class PaymentFactory(RowFactory[Payment]):
    """A payment, with its authorized session, and a collection that it covers.

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
        refresh_collection(payment.collection, payment)
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
        refresh_collection(payment.collection, payment)


def _release(payment: Payment) -> None:
    """Have the session canceled too where all that it held is released, as the services do."""
    session = payment.session
    if payment.canceled_amount == payment.amount and session.status == SessionStatus.AUTHORIZED:
        session.cancel()
        session.canceled_at = timezone.now()
        session.save_fields("status", "canceled_at", "next_action")


def _capturable(row: Any) -> Decimal:
    payment: Payment = row.payment
    return payment.capturable_amount or payment.amount


def _refundable(row: Any) -> Decimal:
    payment: Payment = row.payment
    return payment.refundable_amount or payment.amount


def _succeeded_at(row: Any) -> Any:
    return timezone.now() if row.status == MovementStatus.SUCCEEDED else None


class MovementFactory(RowFactory[Any]):
    """A movement that succeeded, with the totals of its payment and collection refreshed."""

    class Meta:
        abstract = True

    class Params:
        pending = factory.Trait(status=MovementStatus.PENDING)
        failed = factory.Trait(
            status=MovementStatus.FAILED,
            provider_reference=None,
            error_message="The bank declined.",
        )

    status = MovementStatus.SUCCEEDED
    succeeded_at = factory.LazyAttribute(_succeeded_at)
    error_code = factory.LazyAttribute(lambda row: "declined" if row.status == MovementStatus.FAILED else "")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
        movement = super()._create(model_class, *args, **kwargs)
        refresh_collection(movement.payment.collection, movement.payment)
        return movement


class CaptureFactory(MovementFactory):
    """A capture that succeeded, of all that its payment holds. Traits: `pending`, `failed`."""

    class Meta:
        model = Capture

    payment = factory.SubFactory(PaymentFactory)
    amount = factory.LazyAttribute(_capturable)
    provider_reference = factory.Sequence(lambda number: f"capture-{number}")


class RefundReasonFactory(RowFactory[RefundReason]):
    """A reason for refunds."""

    class Meta:
        model = RefundReason

    label = factory.Sequence(lambda number: f"Returned goods {number}")
    description = "The customer sent the goods back."


class RefundFactory(MovementFactory):
    """A refund that succeeded, of all that was captured of its payment. Traits: `pending`, `failed`."""

    class Meta:
        model = Refund

    payment = factory.SubFactory(PaymentFactory, captured=True)
    amount = factory.LazyAttribute(_refundable)
    reason = factory.SubFactory(RefundReasonFactory)
    note = "Size didn't fit."
    provider_reference = factory.Sequence(lambda number: f"refund-{number}")
