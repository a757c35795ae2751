"""Asking a provider where a session stands, and recording what it says."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotSupportedError, OutcomeUnknownError, ProviderUnavailableError
from payments.models import PaymentSession
from payments.providers import RetrieveRequest, RetrieveResult, call_provider
from payments.services.facts import record_fact
from payments.services.origins import Actor, Origin
from payments.services.providers import plugin_for
from payments.states import EventSource, Outcome


def sync_payment_session(
    session: PaymentSession, *, actor: Actor = None, source: str = EventSource.API
) -> PaymentSession:
    """Ask the provider about a session and record what it reports; a session it doesn't know stays as it is.

    Raises NotSupportedError where the provider can't be asked, ProviderUnavailableError and OutcomeUnknownError.
    """
    result = retrieve(session)
    if result.outcome == Outcome.NOT_SENT:
        raise ProviderUnavailableError(_("The payment provider can't be reached right now; try again."))
    if result.outcome != Outcome.SUCCEEDED:
        raise OutcomeUnknownError(_("The payment provider gave no usable answer; try again."))
    if result.fact is not None:
        record_fact(session, result.fact, origin=Origin.of(actor=actor, source=source))
    session.refresh_from_db()
    return session


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
