"""Asking a provider for the state of a session, and recording its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import OutcomeUnknownError, ProviderUnavailableError
from payments.models import PaymentEvent, PaymentSession
from payments.services.collections import fit_outgrown
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.calls import retrieve
from payments.services.ledger.facts import keep_fact
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
    """Ask the provider about a session and record what it reports; a session that it doesn't know stays unchanged.

    Raises NotSupportedError if the provider can't be asked, ProviderUnavailableError, OutcomeUnknownError, and
    InputError (`pretend_money`) if it reports pretend money where real money is expected.
    """
    return synchronize(session, origin=Origin.of(actor=actor, source=source, by_payer=by_payer)).session


@dataclass(frozen=True, kw_only=True)
class Synchronization:
    """A session after its provider was asked, and whether the provider knows the session."""

    session: PaymentSession
    is_known: bool


def synchronize(session: PaymentSession, *, origin: Origin) -> Synchronization:
    """Do what `sync_payment_session` does, and return also whether the provider knows the session; raise as it does.

    If the provider doesn't know it, the history records that, once until something else happens to the session.
    """
    asked_at = timezone.now()
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
        books, _session = keep_fact(session, result.fact, origin=origin.finding(), asked_at=asked_at)
        fit_outgrown(session.collection_id, books=books)
    session.refresh_from_db()
    return Synchronization(session=session, is_known=result.fact is not None)


def last_event_of(session: PaymentSession) -> int:
    """Return the id of the last event in a session's history, for `events_since`."""
    return PaymentEvent.objects.of(session).aggregate(last=Max("id"))["last"] or 0


def events_since(session: PaymentSession, last: int) -> list[PaymentEvent]:
    """Return the events of a session after the one with the id `last`, oldest first, whatever caused them."""
    news = PaymentEvent.objects.of(session).filter(id__gt=last).exclude(type=NOT_FOUND)
    return list(news.select_related("collection", "refund", "capture").order_by("id"))


def _note_absence(session: PaymentSession, origin: Origin) -> None:
    events = PaymentEvent.objects.of(session)
    last = events.order_by("-id").values_list("type", flat=True).first()
    if last == NOT_FOUND:  # Workers ask again and again; one event is enough.
        return

    def rule(books: Books) -> None:
        books.note(NOT_FOUND, books.session(session.pk))

    keep(session.collection_id, rule, origin=origin, scope=Scope())
