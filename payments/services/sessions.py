"""The verbs of a payment session: create, update, authorize, cancel.

Each that calls a provider refuses to run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import provider_aliases, session_lifetime
from payments.exceptions import InputError, NotSupportedError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import parse_amount
from payments.providers import PaymentContext
from payments.providers.handler import refuse_open_transaction
from payments.services.accounts import with_account
from payments.services.balances import (
    refuse_excess,
    refuse_overauthorization,
    refuse_return,
    remaining_amount,
)
from payments.services.calls import SAVED_METHOD
from payments.services.facts import cancel_session, change_amount
from payments.services.journals import Journal
from payments.services.limits import refuse_excessive_authorizations, refuse_excessive_sessions
from payments.services.operations import claim_operation, raise_for_outcome, refuse_if_busy
from payments.services.origins import Actor, Origin
from payments.services.payments import claim_release
from payments.services.providers import UsableProvider, check_input, plugin_for, usable_provider
from payments.services.records import run_operation
from payments.services.totals import settle
from payments.services.transactions import committed, lock_collection
from payments.states import CollectionStatus, EventSource, OperationKind, OperationStatus, SessionStatus


def create_payment_session(
    collection: PaymentCollection,
    *,
    provider_id: str,
    amount: Decimal | int | str | None = None,
    data: Mapping[str, Any] | None = None,
    context: PaymentContext | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
) -> PaymentSession:
    """Create a session with a provider and have the provider initiate it.

    Without `amount` (major units) the session covers what is left to pay; with it, it is a split. Either way it
    replaces the unauthorized sessions that were not given an amount. `data` is what the payer sends to the provider,
    `context` what the shop tells it.

    Raises NotFoundError, InputError, AmountError, TransitionError, OperationInProgressError, and for the provider's
    answer DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    provider = usable_provider(provider_id)
    sent = check_input(provider.plugin, data)
    with committed():
        locked = lock_collection(collection.pk)
        refuse_excessive_sessions(locked, origin)
        journal = Journal(collection=locked, origin=origin)
        replaced = claim_replacement(locked, journal)
        session = _insert_session(locked, provider, amount, context)
        journal.note("session.created", session, to_status=str(session.status), amount=session.amount)
        operation = claim_operation(
            kind=OperationKind.INITIATE,
            target=session,
            session=session,
            amount=session.amount,
            sent=sent,
            origin=origin,
        )
        settle(locked, journal)
    for cancelation in replaced:
        # Whatever comes of it: until it is certain, the open operation keeps the old session from being authorized.
        run_operation(cancelation)
    return _finish(session, run_operation(operation))


def update_payment_session(
    session: PaymentSession,
    *,
    amount: Decimal | int | str | None = None,
    data: Mapping[str, Any] | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
) -> PaymentSession:
    """Change the amount of an unauthorized session, or what its payer sent, at the provider and here.

    An amount (major units) makes the session a split. Raises as `create_payment_session` does, and NotSupportedError
    where the provider can't change a session.
    """
    refuse_open_transaction()
    if amount is None and data is None:
        raise InputError(_("Give an amount or data to change."), code="nothing_to_change", field="amount")
    plugin = plugin_for(session)
    sent = check_input(plugin, data)
    with committed():
        locked = lock_session(session)
        _require_unauthorized(locked, _("Only an unauthorized session can be changed."))
        operation = claim_update(
            locked,
            _new_amount(locked, amount),
            sent=sent,
            origin=Origin.of(actor=actor, source=source),
            makes_split=locked.is_split or amount is not None,
        )
    if operation is not None:
        raise_for_outcome(run_operation(operation))
    session.refresh_from_db()
    return session


def authorize_payment_session(
    session: PaymentSession,
    *,
    data: Mapping[str, Any] | None = None,
    saved_method: str | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
) -> PaymentSession:
    """Have a session's amount held by its provider; `session.payment` is set once it is.

    A declined authorization doesn't raise: the session is then in `error`. A session that is authorized already is
    returned as it is, so that authorizing twice gives the one payment. `saved_method` is for
    `charge_saved_payment_method`: it is charged while its customer is away.

    Raises TransitionError for a canceled session, AmountError where more would be held than is due,
    LimitError where a payer has tried too often, OperationInProgressError, ProviderUnavailableError and
    OutcomeUnknownError.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    sent = check_input(plugin_for(session), data)
    if saved_method is not None:
        sent[SAVED_METHOD] = saved_method
    operation = _claim_authorization(session, sent, origin)
    if operation is not None and operation.kind == OperationKind.INITIATE:
        raise_for_outcome(run_operation(operation))
        operation = _claim_authorization(session, sent, origin)
    if operation is not None:
        operation = run_operation(operation)
        if operation.status != OperationStatus.DECLINED:
            raise_for_outcome(operation)
    session.refresh_from_db()
    return session


def cancel_payment_session(
    session: PaymentSession, *, actor: Actor = None, source: str = EventSource.API
) -> PaymentSession:
    """Abandon an unauthorized session, or release the whole authorization of an authorized one.

    Raises TransitionError where money was captured, OperationInProgressError, and for the provider's answer
    DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    with committed():
        locked = lock_session(session)
        operation = (
            claim_cancelation(locked, origin)
            if locked.payment is None
            else _claim_whole_release(locked.payment, origin)
        )
    if operation is not None:
        raise_for_outcome(run_operation(operation))
    session.refresh_from_db()
    return session


def lock_session(session: PaymentSession) -> PaymentSession:
    """Lock a session's collection, and return the session as it is now."""
    collection = lock_collection(session.collection_id)
    locked = PaymentSession.objects.select_related("authorized_payment", "provider").get(pk=session.pk)
    locked.collection = collection
    if locked.payment is not None:
        locked.payment.collection, locked.payment.session = collection, locked
    return locked


def claim_replacement(collection: PaymentCollection, journal: Journal) -> list[PaymentOperation]:
    """Claim the cancelation of every unauthorized session that was not given an amount.

    One is left as it is while nobody can authorize it anyway: it is being canceled, or it isn't known whether its
    provider knows of it. Waiting for that would keep the payer from going elsewhere.
    """
    sessions = list(collection.sessions.unauthorized().filter(is_split=False).select_related("provider"))
    is_lost = Q(kind=OperationKind.INITIATE, status__in=[OperationStatus.UNKNOWN, OperationStatus.ATTENTION])
    idle = PaymentOperation.objects.open().filter(
        Q(kind=OperationKind.CANCEL) | is_lost, target_id__in=[row.pk for row in sessions]
    )
    known = set(idle.values_list("session_id", flat=True)) if sessions else set()
    claims = [claim_abandonment(row, collection, journal) for row in sessions if row.pk not in known]
    return [operation for operation in claims if operation is not None]


def claim_update(
    session: PaymentSession,
    amount: Decimal,
    *,
    sent: Mapping[str, Any],
    origin: Origin,
    makes_split: bool = False,
) -> PaymentOperation | None:
    """Claim the change of a locked session's amount; one that no provider knows of is changed at once."""
    refuse_if_busy(session.pk)
    if session.initiated_at is None:
        _refuse_early_input(sent)
        journal = Journal(collection=session.collection, origin=origin)
        change_amount(session, amount, journal, makes_split=makes_split)
        settle(session.collection, journal)
        return None
    _check_update_support(session)
    return claim_operation(
        kind=OperationKind.UPDATE,
        target=session,
        session=session,
        amount=amount,
        sent=sent,
        origin=origin,
        makes_split=makes_split,
    )


def claim_cancelation(session: PaymentSession, origin: Origin) -> PaymentOperation | None:
    """Claim the cancelation of a locked session; None where no provider needs to be asked."""
    if session.status == SessionStatus.CANCELED:
        return None
    journal = Journal(collection=session.collection, origin=origin)
    operation = claim_abandonment(session, session.collection, journal)
    if operation is None:
        settle(session.collection, journal)
    return operation


def claim_abandonment(
    session: PaymentSession, collection: PaymentCollection, journal: Journal
) -> PaymentOperation | None:
    """Claim the cancelation of an unauthorized session; the caller settles the collection.

    One that no provider knows of, or whose provider has left the settings, is canceled at once: there is nobody to ask.
    """
    session.collection = collection
    refuse_if_busy(session.pk)
    if session.initiated_at is None or session.provider_id not in provider_aliases():
        cancel_session(session, journal)
        return None
    return claim_operation(
        kind=OperationKind.CANCEL,
        target=session,
        session=session,
        amount=session.amount,
        origin=journal.origin,
    )


def _insert_session(
    collection: PaymentCollection,
    provider: UsableProvider,
    amount: Decimal | int | str | None,
    context: PaymentContext | None,
) -> PaymentSession:
    if collection.is_canceled or collection.status == CollectionStatus.CANCELED:
        raise TransitionError(_("The collection is canceled."), code="collection_canceled")
    left = remaining_amount(collection)
    asked = left if amount is None else parse_amount(amount, collection.currency_code)
    refuse_excess(asked, left, collection.currency_code)
    lifetime = session_lifetime()
    session = PaymentSession(
        collection=collection,
        provider=provider.row,
        amount=asked,
        is_split=amount is not None,
        context=asdict(with_account(context or _default_context(collection), collection, provider.row.pk)),
        expires_at=None if lifetime is None else timezone.now() + lifetime,
    )
    session.save(force_insert=True)
    return session


def _default_context(collection: PaymentCollection) -> PaymentContext:
    customer = collection.customer
    if customer is None:
        return PaymentContext()
    return PaymentContext(customer_id=str(customer.pk), email=getattr(customer, "email", "") or None)


def _check_update_support(session: PaymentSession) -> None:
    plugin = plugin_for(session)
    if not plugin.supports_update:
        raise NotSupportedError(
            _("The provider “%(alias)s” can't change a session; cancel it and create another."),
            params={"alias": plugin.alias},
        )


def _refuse_early_input(sent: Mapping[str, Any]) -> None:
    if sent:
        raise InputError(
            _("No provider knows of the session yet; send the data when it is authorized."),
            code="not_initiated",
            field="data",
        )


def _new_amount(session: PaymentSession, amount: Decimal | int | str | None) -> Decimal:
    """Return the amount that a session is to have."""
    if amount is None:
        refuse_return(session)
        return session.amount
    collection = session.collection
    new_amount = parse_amount(amount, collection.currency_code)
    refuse_excess(new_amount, remaining_amount(collection, besides=session), collection.currency_code)
    return new_amount


def _claim_authorization(
    session: PaymentSession, sent: Mapping[str, Any], origin: Origin
) -> PaymentOperation | None:
    """Claim the authorization of a session, or first its initiation where no provider knows of it yet.

    Return None where it is authorized, or the provider will tell how that ends.
    """
    with committed():
        locked = lock_session(session)
        if locked.status == SessionStatus.AUTHORIZED or _is_awaited(locked):
            return None
        _refuse_authorization(locked)
        refuse_excessive_authorizations(locked.collection, origin)
        if locked.initiated_at is None:
            return _claim_initiation(locked, origin)
        return claim_operation(
            kind=OperationKind.AUTHORIZE,
            target=locked,
            session=locked,
            amount=locked.amount,
            sent=sent,
            origin=origin,
        )


def _refuse_authorization(session: PaymentSession) -> None:
    _require_unauthorized(session, _("A canceled session can't be authorized."))
    refuse_if_busy(session.pk)
    if session.collection.is_canceled:
        raise TransitionError(_("The collection is canceled."), code="collection_canceled")
    if session.is_expired(timezone.now()):
        raise TransitionError(_("The session has expired; create another."), code="session_expired")
    refuse_return(session)
    refuse_overauthorization(session)


def _claim_initiation(session: PaymentSession, origin: Origin) -> PaymentOperation:
    """Claim the initiation of a session that no provider knows of, such as an installment that is paid now."""
    journal = Journal(collection=session.collection, origin=origin)
    if session.status == SessionStatus.ERROR:
        change_amount(session, session.amount, journal)
    # The account may be newer than the session, and what is sent has to be the same however often it is sent.
    context = PaymentContext(**session.context)
    session.context = asdict(with_account(context, session.collection, session.provider_id))
    session.save_fields("context")
    operation = claim_operation(
        kind=OperationKind.INITIATE, target=session, session=session, amount=session.amount, origin=origin
    )
    settle(session.collection, journal)
    return operation


def _claim_whole_release(payment: Payment, origin: Origin) -> PaymentOperation | None:
    if payment.captured_amount:
        raise TransitionError(_("Money was captured already: refund it instead."), code="already_captured")
    return claim_release(payment, origin)


def _is_awaited(session: PaymentSession) -> bool:
    """Return whether the provider has accepted the authorization and will tell how it ends."""
    rows = PaymentOperation.objects.filter(
        target_id=session.pk, kind=OperationKind.AUTHORIZE, status=OperationStatus.PENDING
    )
    return rows.exists()


def _require_unauthorized(session: PaymentSession, message: object) -> None:
    if not session.is_unauthorized:
        raise TransitionError(message, code="invalid_transition", field="status")


def _finish(session: PaymentSession, operation: PaymentOperation) -> PaymentSession:
    raise_for_outcome(operation)
    session.refresh_from_db()
    return session
