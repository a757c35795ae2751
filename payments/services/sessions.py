"""The verbs of a payment session: create, update, authorize, cancel.

Each that calls a provider refuses to run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import session_lifetime
from payments.exceptions import AmountError, InputError, TransitionError
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.money import parse_amount
from payments.providers import BaseProvider, PaymentContext, ProviderResult
from payments.providers.handler import refuse_open_transaction
from payments.services.accounts import with_account
from payments.services.balances import (
    refuse_excess,
    refuse_overauthorization,
    refuse_return,
    remaining_amount,
)
from payments.services.calls import SAVED_METHOD
from payments.services.claims import (
    claim_authorization,
    claim_cancelation,
    claim_replacement,
    claim_update,
    claim_whole_release,
    lock_session,
    require_unauthorized,
)
from payments.services.journals import Journal
from payments.services.limits import refuse_excessive_sessions, refuse_excessive_updates
from payments.services.operations import claim_operation, raise_for_outcome
from payments.services.origins import Actor, Origin
from payments.services.providers import (
    UsableProvider,
    check_input,
    plugin_for,
    refuse_odd_amount,
    refuse_to_payers,
    usable_provider,
)
from payments.services.records import record_result, run_operation
from payments.services.totals import settle
from payments.services.transactions import committed, lock_collection
from payments.states import CollectionStatus, EventSource, OperationKind, OperationStatus, Outcome


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
    refuse_to_payers(provider.plugin, origin)
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
    # Whatever comes of it: until it is certain, the open operation keeps the old session from being authorized.
    answered = [run_operation(cancelation) for cancelation in replaced]
    if any(row.status == OperationStatus.DECLINED for row in answered):
        _refuse_second_payment(session, operation)
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
    origin = Origin.of(actor=actor, source=source)
    if amount is None and data is None:
        raise InputError(_("Give an amount or data to change."), code="nothing_to_change", field="amount")
    plugin = plugin_for(session)
    sent = check_input(plugin, data)
    with committed():
        locked = lock_session(session)
        require_unauthorized(locked, _("Only an unauthorized session can be changed."))
        refuse_excessive_updates(locked.collection, origin)
        operation = claim_update(
            locked,
            _new_amount(locked, amount, plugin),
            sent=sent,
            origin=origin,
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
    plugin = plugin_for(session)
    refuse_to_payers(plugin, origin)
    sent = check_input(plugin, data)
    if saved_method is not None:
        sent[SAVED_METHOD] = saved_method
    operation = claim_authorization(session, sent, origin)
    if operation is not None and operation.kind == OperationKind.INITIATE:
        raise_for_outcome(run_operation(operation))
        operation = claim_authorization(session, sent, origin)
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
            else claim_whole_release(locked.payment, origin)
        )
    if operation is not None:
        raise_for_outcome(run_operation(operation))
    session.refresh_from_db()
    return session


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
    refuse_odd_amount(provider.plugin, asked, collection.currency_code)
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


def _refuse_second_payment(session: PaymentSession, operation: PaymentOperation) -> None:
    """Raise AmountError where a session that was to be replaced has been paid with meanwhile: nobody pays twice."""
    session.collection.refresh_from_db()
    try:
        refuse_overauthorization(session)
    except AmountError:
        record_result(operation, ProviderResult(outcome=Outcome.NOT_SENT))
        raise


def _default_context(collection: PaymentCollection) -> PaymentContext:
    customer = collection.customer
    if customer is None:
        return PaymentContext()
    return PaymentContext(customer_id=str(customer.pk), email=getattr(customer, "email", "") or None)


def _new_amount(
    session: PaymentSession, amount: Decimal | int | str | None, plugin: BaseProvider[Any]
) -> Decimal:
    """Return the amount that a session is to have."""
    if amount is None:
        refuse_return(session)
        return session.amount
    collection = session.collection
    new_amount = parse_amount(amount, collection.currency_code)
    refuse_excess(new_amount, remaining_amount(collection, besides=session), collection.currency_code)
    refuse_odd_amount(plugin, new_amount, collection.currency_code)
    return new_amount


def _finish(session: PaymentSession, operation: PaymentOperation) -> PaymentSession:
    raise_for_outcome(operation)
    session.refresh_from_db()
    return session
