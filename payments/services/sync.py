"""Asking a provider where a session stands, and recording what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from payments.exceptions import OutcomeUnknownError, ProviderUnavailableError
from payments.models import PaymentEvent, PaymentSession
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.calls import retrieve
from payments.services.ledger.facts import record_fact
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.operations import refused_key
from payments.states import EventSource, Outcome

NOT_FOUND: Final = "session.not_found"


def sync_payment_session(
    session: PaymentSession,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentSession:
    """Ask the provider about a session and record what it reports; a session it doesn't know stays as it is.

    Raises NotSupportedError where the provider can't be asked, ProviderUnavailableError, OutcomeUnknownError and, where
    it tells of pretend money that isn't meant, InputError (`pretend_money`).
    """
    return synchronize(session, origin=Origin.of(actor=actor, source=source, by_payer=by_payer)).session


@dataclass(frozen=True, kw_only=True)
class Synchronization:
    """A session after its provider was asked, and whether the provider knows it at all."""

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
        record_fact(session, result.fact, origin=origin.finding())
    session.refresh_from_db()
    return Synchronization(session=session, is_known=result.fact is not None)


def last_event_of(session: PaymentSession) -> int:
    """Return the id of the last event in a session's history, for `events_since`."""
    return PaymentEvent.objects.filter(session=session.pk).aggregate(last=Max("id"))["last"] or 0


def events_since(session: PaymentSession, last: int) -> list[PaymentEvent]:
    """Return what has happened to a session since an event, in its order, whoever has caused it."""
    news = PaymentEvent.objects.filter(session=session.pk, id__gt=last).exclude(type=NOT_FOUND)
    return list(news.select_related("collection", "refund", "capture").order_by("id"))


def _note_absence(session: PaymentSession, origin: Origin) -> None:
    events = PaymentEvent.objects.filter(session=session.pk)
    last = events.order_by("-id").values_list("type", flat=True).first()
    if last == NOT_FOUND:  # A sweep asks again and again.
        return

    def rule(books: Books) -> None:
        books.note(NOT_FOUND, books.session(session.pk))

    keep(session.collection_id, rule, origin=origin, scope=Scope())
