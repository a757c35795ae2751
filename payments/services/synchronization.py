"""Asking a provider where a session stands, and recording what it says."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    NotSupportedError,
    OutcomeUnknownError,
    PaymentError,
    ProviderUnavailableError,
)
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import RetrieveRequest, RetrieveResult, call_provider
from payments.services.facts import record_fact
from payments.services.journals import Journal
from payments.services.operations import refused_key
from payments.services.origins import Actor, Origin
from payments.services.providers import plugin_for
from payments.services.transactions import committed, lock_collection
from payments.states import EventSource, OperationKind, OperationStatus, Outcome

logger = logging.getLogger("payments.synchronization")

_TELLING: Final = frozenset(
    {OperationKind.UPDATE, OperationKind.CAPTURE, OperationKind.REFUND, OperationKind.CANCEL}
)

NOT_FOUND: Final = "session.not_found"


def sync_payment_session(
    session: PaymentSession, *, actor: Actor = None, source: str = EventSource.API
) -> PaymentSession:
    """Ask the provider about a session and record what it reports; a session it doesn't know stays as it is.

    Raises NotSupportedError where the provider can't be asked, ProviderUnavailableError and OutcomeUnknownError.
    """
    return synchronize(session, origin=Origin.of(actor=actor, source=source)).session


@dataclass(frozen=True, kw_only=True)
class Synchronization:
    """Hold a session as it is after its provider was asked, and whether the provider knows of it at all."""

    session: PaymentSession
    is_known: bool


def synchronize(session: PaymentSession, *, origin: Origin) -> Synchronization:
    """Do what `sync_payment_session` does, and say whether the provider knows of the session; raise as it does.

    That it doesn't is written into the history, once until something else happens to the session.
    """
    result = retrieve(session)
    if result.outcome == Outcome.NOT_SENT:
        words = refused_key(result.failure.code if result.failure else "", origin.source)
        raise ProviderUnavailableError(
            words or _("The payment provider can't be reached right now; try again.")
        )
    if result.outcome != Outcome.SUCCEEDED:
        raise OutcomeUnknownError(_("The payment provider gave no usable answer; try again."))
    if result.fact is None:
        _note_absence(session, origin)
    else:
        record_fact(session, result.fact, origin=origin)
    session.refresh_from_db()
    return Synchronization(session=session, is_known=result.fact is not None)


def learn_from_refusal(operation: PaymentOperation) -> None:
    """Ask a provider why it has refused something, and record what it reports: mostly the session stands elsewhere.

    The payer may have paid meanwhile, or a clerk have captured in the provider's dashboard. Where the provider can't
    be asked right now, the refusal stands by itself.
    """
    if operation.status != OperationStatus.DECLINED or operation.kind not in _TELLING:
        return
    try:
        result = retrieve(operation.session)
    except PaymentError as error:
        logger.info("%s can't be looked up after a refusal: %s", operation.session_id, error.code)
        return
    if result.outcome == Outcome.SUCCEEDED and result.fact is not None:
        record_fact(operation.session, result.fact, origin=Origin.of_operation(operation))


def retrieve(session: PaymentSession) -> RetrieveResult:
    """Ask the provider about a session as it is stored now, and return its answer as it is."""
    session = PaymentSession.objects.select_related("collection").get(pk=session.pk)
    provider = plugin_for(session)
    if not provider.supports_retrieve:
        raise NotSupportedError(
            _("The provider “%(alias)s” can't be asked about a session."), params={"alias": provider.alias}
        )
    request = RetrieveRequest(
        session_id=session.pk,
        amount=session.amount,
        currency_code=session.currency_code,
        provider_reference=session.provider_reference,
        provider_data=session.provider_data,
    )
    return call_provider(provider.retrieve, request, result_class=RetrieveResult)


def _note_absence(session: PaymentSession, origin: Origin) -> None:
    with committed():
        journal = Journal(collection=lock_collection(session.collection_id), origin=origin)
        last = PaymentEvent.objects.filter(session=session).order_by("-id").values_list("type", flat=True)
        if last.first() != NOT_FOUND:  # A sweep asks again and again.
            journal.note(NOT_FOUND, session)
            journal.write()
