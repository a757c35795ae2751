"""The claims of a session: what is checked and committed before its provider is asked for anything.

Each runs in a transaction that holds the collection's lock, and calls no provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import provider_aliases
from payments.exceptions import InputError, NotSupportedError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers import PaymentContext
from payments.services.accounts import with_account
from payments.services.balances import refuse_overauthorization, refuse_return
from payments.services.journals import Journal
from payments.services.limits import refuse_excessive_authorizations
from payments.services.operations import claim_operation, refuse_if_busy
from payments.services.origins import Origin
from payments.services.payments import claim_release, refuse_release
from payments.services.providers import plugin_for
from payments.services.requests import note_claim
from payments.services.totals import settle
from payments.services.transactions import committed, lock_collection
from payments.services.transitions import cancel_session, change_amount
from payments.states import OperationKind, OperationStatus, SessionStatus


def lock_session(session: PaymentSession) -> PaymentSession:
    """Lock a session's collection, and return the session as it is now."""
    collection = lock_collection(session.collection_id)
    locked = PaymentSession.objects.select_related("authorized_payment", "provider").get(pk=session.pk)
    locked.collection = collection
    if locked.payment is not None:
        locked.payment.collection, locked.payment.session = collection, locked
    return locked


def require_unauthorized(session: PaymentSession, message: object) -> None:
    """Raise TransitionError, with this message, for a session that is authorized or canceled."""
    if not session.is_unauthorized:
        raise TransitionError(message, code="invalid_transition", field="status")


def claim_authorization(
    session: PaymentSession, sent: Mapping[str, Any], origin: Origin
) -> PaymentOperation | None:
    """Claim the authorization of a session, or first its initiation, in a transaction of its own.

    It is initiated where no provider knows of it yet. Return None where it is authorized, or the provider will tell
    how that ends.
    """
    with committed():
        locked = lock_session(session)
        if locked.status == SessionStatus.AUTHORIZED or _waits_for_provider(locked):
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


def claim_whole_release(payment: Payment, origin: Origin) -> PaymentOperation | None:
    """Claim the release of all that a locked payment holds; raise TransitionError where some of it was taken."""
    _refuse_captured(payment)
    return claim_release(payment, origin)


def refuse_session_cancelation(session: PaymentSession) -> None:
    """Raise what `cancel_payment_session` raises before a provider is asked, where a session can't be canceled now."""
    if session.payment is None:
        refuse_if_busy(session.pk)
        return
    _refuse_captured(session.payment)
    refuse_release(session.payment)


def _refuse_captured(payment: Payment) -> None:
    if payment.captured_amount:
        raise TransitionError(_("Money was captured already: refund it instead."), code="already_captured")


def _refuse_authorization(session: PaymentSession) -> None:
    require_unauthorized(session, _("A canceled session can't be authorized."))
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


def _waits_for_provider(session: PaymentSession) -> bool:
    """Return whether the provider has accepted the authorization and will tell how it ends; note that one."""
    rows = PaymentOperation.objects.filter(
        target_id=session.pk, kind=OperationKind.AUTHORIZE, status=OperationStatus.PENDING
    )
    awaited = rows.first()
    if awaited is not None:
        note_claim(awaited.pk)
    return awaited is not None


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
