"""The verbs of a payment collection: create, update, cancel, mark as paid.

Creating one joins the caller's transaction, so that an order and its collection are born together; the others call
providers, and refuse to.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import mark_as_paid_provider
from payments.exceptions import AmountError, DeclinedError, InputError, PaymentError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import display_amount, normalize_currency, parse_amount
from payments.providers.handler import refuse_open_transaction
from payments.services.balances import held_amount, promised_amount
from payments.services.claims import claim_abandonment, claim_cancelation, claim_update
from payments.services.journals import Journal
from payments.services.operations import raise_for_outcome, refuse_if_busy
from payments.services.origins import Actor, Origin
from payments.services.payments import capture_payment, claim_release, refuse_release
from payments.services.records import run_operation
from payments.services.sessions import (
    authorize_payment_session,
    cancel_payment_session,
    create_payment_session,
)
from payments.services.totals import settle
from payments.services.transactions import committed, joined, lock_collection
from payments.states import CollectionStatus, EventSource


def create_payment_collection(
    *,
    amount: Decimal | int | str,
    currency_code: str,
    payable: models.Model | None = None,
    customer: AbstractBaseUser | None = None,
    metadata: Mapping[str, Any] | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
) -> PaymentCollection:
    """Create a collection for `amount` (major units) of `currency_code` (ISO 4217, any case).

    `payable` is the row of the shop that is to be paid, `customer` the user who pays. It calls no provider and joins
    the caller's transaction. Raises AmountError, CurrencyError, and InputError where `payable` isn't saved.
    """
    currency = normalize_currency(currency_code)
    exact = parse_amount(amount, currency)
    with joined():
        collection = PaymentCollection(
            amount=exact,
            currency_code=currency,
            customer=customer,  # type: ignore[misc]  # which user model it is, the settings decide
            metadata=dict(metadata or {}),
            **_link_to(payable),
        )
        collection.save(force_insert=True)
        journal = Journal(collection=collection, origin=Origin.of(actor=actor, source=source))
        journal.note("collection.created", collection, to_status=str(collection.status), amount=exact)
        journal.write()
    return collection


def update_payment_collection(
    collection: PaymentCollection,
    *,
    amount: Decimal | int | str,
    actor: Actor = None,
    source: str = EventSource.API,
) -> PaymentCollection:
    """Change what is to be paid (major units), and with it the sessions that cover what is left.

    Raises AmountError below what is authorized or promised by splits, TransitionError for a canceled collection,
    OperationInProgressError, NotSupportedError, and for the providers' answers DeclinedError, ProviderUnavailableError
    or OutcomeUnknownError.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    with committed():
        locked = lock_collection(collection.pk)
        _change_amount(locked, parse_amount(amount, locked.currency_code), origin)
        operations = _claim_resizes(locked, origin)
    _run_all(operations)
    collection.refresh_from_db()
    return collection


def cancel_payment_collection(
    collection: PaymentCollection, *, actor: Actor = None, source: str = EventSource.API
) -> PaymentCollection:
    """Abandon a collection: cancel its unauthorized sessions and release what its payments hold.

    From the first moment on no new session can be made. Where a provider can't be reached, calling this again goes on.
    Raises TransitionError where captured money was not refunded, OperationInProgressError, and for the providers'
    answers DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    with committed():
        locked = lock_collection(collection.pk)
        operations = _claim_everything(locked, origin)
    _run_all(operations)
    collection.refresh_from_db()
    return collection


def mark_payment_collection_as_paid(
    collection: PaymentCollection, *, actor: Actor = None, source: str = EventSource.API
) -> PaymentCollection:
    """Record that what is left was paid outside of any provider.

    The unauthorized sessions are canceled; one with the `MARK_AS_PAID_PROVIDER` is created, authorized and captured.
    What another provider already holds stays for its own capture. After an interruption, calling this again goes on.
    Raises AmountError where nothing is left, TransitionError for a canceled collection.
    """
    refuse_open_transaction()
    provider_id = mark_as_paid_provider()
    taken = _capture_leftovers(collection, provider_id, actor=actor, source=source)
    collection.refresh_from_db()
    if collection.authorized_amount < collection.amount:
        _pay_rest(collection, provider_id, actor=actor, source=source)
        collection.refresh_from_db()
    elif not taken:
        raise AmountError(_("There is nothing left to pay; capture what is authorized."), code="nothing_left")
    return collection


def _link_to(payable: models.Model | None) -> dict[str, Any]:
    if payable is None:
        return {}
    if payable.pk is None:
        raise InputError(
            _("What is to be paid for isn't saved yet."), code="payable_not_saved", field="payable"
        )
    content_type = ContentType.objects.get_for_model(payable, for_concrete_model=True)
    return {"payable_type": content_type, "payable_id": str(payable.pk)}


def _change_amount(collection: PaymentCollection, amount: Decimal, origin: Origin) -> None:
    if collection.is_canceled or collection.status == CollectionStatus.CANCELED:
        raise TransitionError(_("The collection is canceled."), code="collection_canceled")
    needed = held_amount(collection) + promised_amount(collection.sessions.all())
    if amount < needed:
        raise AmountError(
            _("%(needed)s are authorized or promised by splits; cancel some of that first."),
            code="below_authorized",
            params={"needed": display_amount(needed, collection.currency_code)},
        )
    old, collection.amount = collection.amount, amount
    journal = Journal(collection=collection, origin=origin)
    journal.note("collection.updated", collection, amount=amount, data={"old_amount": str(old)})
    settle(collection, journal, due_before=old)


def _claim_resizes(collection: PaymentCollection, origin: Origin) -> list[PaymentOperation]:
    """Claim that the session which covers what is left covers the new rest, or none where there is none."""
    left = collection.amount - held_amount(collection) - promised_amount(collection.sessions.all())
    operations = []
    for session in collection.sessions.unauthorized().filter(is_split=False).select_related("provider"):
        session.collection = collection
        if session.amount == left:
            continue
        if left <= 0:
            operations.append(claim_cancelation(session, origin))
        else:
            operations.append(claim_update(session, left, sent={}, origin=origin))
    return [operation for operation in operations if operation is not None]


def refuse_collection_cancelation(collection: PaymentCollection) -> None:
    """Raise what `cancel_payment_collection` raises before a provider is asked, where it can't be canceled now."""
    _refuse_kept_money(collection)
    for session in collection.sessions.unauthorized():
        refuse_if_busy(session.pk)
    for payment in collection.payments.all():
        if payment.capturable_amount:
            refuse_release(payment)


def _refuse_kept_money(collection: PaymentCollection) -> None:
    if collection.captured_amount > collection.refunded_amount:
        raise TransitionError(_("Money was captured: refund it before canceling."), code="already_captured")


def _claim_everything(collection: PaymentCollection, origin: Origin) -> list[PaymentOperation]:
    _refuse_kept_money(collection)
    collection.canceled_at = collection.canceled_at or timezone.now()
    journal = Journal(collection=collection, origin=origin)
    operations = []
    for session in collection.sessions.unauthorized().select_related("provider"):
        operations.append(claim_abandonment(session, collection, journal))
    for payment in collection.payments.select_related("session__provider"):
        payment.collection = payment.session.collection = collection
        if payment.capturable_amount:
            operations.append(claim_release(payment, origin))
    settle(collection, journal)
    return [operation for operation in operations if operation is not None]


def _run_all(operations: list[PaymentOperation]) -> None:
    """Run every operation, then raise the first error: one provider's trouble doesn't spare the others."""
    errors: list[PaymentError] = []
    for operation in operations:
        try:
            raise_for_outcome(run_operation(operation))
        except PaymentError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _capture_leftovers(
    collection: PaymentCollection, provider_id: str, *, actor: Actor, source: str
) -> list[Payment]:
    payments = Payment.objects.filter(collection=collection, provider=provider_id)
    held = [payment for payment in payments if payment.capturable_amount]
    return [capture_payment(payment, actor=actor, source=source) for payment in held]


def _pay_rest(collection: PaymentCollection, provider_id: str, *, actor: Actor, source: str) -> None:
    for split in collection.sessions.unauthorized().filter(is_split=True):
        _abandon(split, actor=actor, source=source)
    session = create_payment_session(collection, provider_id=provider_id, actor=actor, source=source)
    authorize_payment_session(session, actor=actor, source=source)
    _capture_leftovers(collection, provider_id, actor=actor, source=source)


def _abandon(split: PaymentSession, *, actor: Actor, source: str) -> None:
    """Cancel a split, unless the refusal shows that it has been paid with meanwhile."""
    try:
        cancel_payment_session(split, actor=actor, source=source)
    except DeclinedError:
        split.refresh_from_db()
        if split.payment is None:
            raise
