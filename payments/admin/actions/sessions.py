"""Authorizing, canceling and syncing sessions."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final

from django.contrib import messages
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, RowT, Values
from payments.admin.formatting import amount_text
from payments.admin.links import can_be_asked, provider_name
from payments.admin.panels import Text
from payments.admin.unclear import news_text, was_lost
from payments.models import PaymentSession
from payments.services import (
    Origin,
    authorize_payment_session,
    cancel_payment_session,
    check_session_cancelation,
)
from payments.services.sync import events_since, last_event_of, synchronize
from payments.states import EventSource, PaymentStatus, SessionStatus


class AuthorizeSession(Action[PaymentSession]):
    """An authorization without the payer's help."""

    slug = "authorize"
    label = gettext_lazy("Authorize…")
    heading = gettext_lazy("Authorize a session")
    permission = "authorize_session"

    def is_offered(self, row: PaymentSession) -> bool:
        """Offer it until it is authorized or canceled."""
        return row.is_unauthorized

    def effects(self, row: PaymentSession, values: Values | None = None) -> Iterable[Text]:
        """Say how much is held."""
        yield _("%(provider)s will be asked to hold %(amount)s of the payer's money.") % {
            "provider": provider_name(row.provider_id),
            "amount": amount_text(row.amount, row.currency_code),
        }
        yield _(
            "The payer isn't there to help: it may be refused, or wait for something that only they can do."
        )

    def run(self, row: PaymentSession, values: Values, actor: Any) -> None:
        """Have it held."""
        authorize_payment_session(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: PaymentSession, values: Values) -> Report:
        """Say whether it is held."""
        if row.status == SessionStatus.AUTHORIZED:
            held = row.amount if row.payment is None else row.payment.amount
            return Report(
                text=_("%(amount)s is held now.") % {"amount": amount_text(held, row.currency_code)}
            )
        if row.status == SessionStatus.ERROR:
            message = _("The provider refused: %(message)s Nothing is held.")
            return Report(text=message % {"message": row.error_text or row.error_code}, level=messages.ERROR)
        message = _("Nothing is held yet. The session's status: %(status)s.")
        return Report(text=message % {"status": SessionStatus(row.status).label}, level=messages.WARNING)


class CancelSession(Action[PaymentSession]):
    """The end of a session, which releases its whole authorization."""

    slug = "cancel"
    label = gettext_lazy("Cancel…")
    heading = gettext_lazy("Cancel a session")
    bulk_label = gettext_lazy("Cancel sessions")
    permission = "cancel_session"
    is_grave = True

    def is_offered(self, row: PaymentSession) -> bool:
        """Offer it until it is canceled, and unless money was taken."""
        is_taken = row.payment is not None and row.payment.captured_amount > 0
        return row.status != SessionStatus.CANCELED and not is_taken

    def check(self, row: PaymentSession) -> None:
        """Refuse where it can't be canceled now."""
        check_session_cancelation(row)

    def moving_amount(self, row: PaymentSession, values: Values) -> Decimal | None:
        """Return how much is released."""
        return None if row.payment is None else row.payment.capturable_amount

    def effects(self, row: PaymentSession, values: Values | None = None) -> Iterable[Text]:
        """Say how much is released."""
        parts = {
            "amount": amount_text(row.amount, row.currency_code),
            "provider": provider_name(row.provider_id),
        }
        if row.payment is None:
            yield _("The session of %(amount)s with %(provider)s is canceled. No money moves.") % parts
            return
        parts["amount"] = amount_text(row.payment.capturable_amount, row.currency_code)
        yield _("%(provider)s will release the %(amount)s hold.") % parts
        yield _("This can't be undone: to take it later, the payer has to authorize it again.")

    def run(self, row: PaymentSession, values: Values, actor: Any) -> None:
        """Abandon it."""
        cancel_payment_session(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: PaymentSession, values: Values) -> Report:
        """Say that it is over."""
        return Report(text=_("The session is canceled. Nothing is held by it any more."))


class Sync(Action[RowT]):
    """A question to the provider about a row; `unknown` is what is said where the provider doesn't know it."""

    slug = "sync"
    label = gettext_lazy("Sync")
    heading = bulk_label = gettext_lazy("Refresh from provider")
    permission = "sync_session"
    unknown: ClassVar[str | Promise]

    def effects(self, row: Any, values: Values | None = None) -> Iterable[Text]:
        """Say that no money moves."""
        yield _("%(provider)s is asked how this stands, and what it reports is recorded. No money moves.") % {
            "provider": provider_name(row.provider_id)
        }

    def run(self, row: Any, values: Values, actor: Any) -> Report:
        """Ask, and say what was news."""
        session = row if isinstance(row, PaymentSession) else row.session
        last = last_event_of(session)
        answer = synchronize(session, origin=Origin.of(actor=actor, source=EventSource.ADMIN))
        news = news_text(events_since(session, last))
        if not answer.is_known:
            return Report(text=str(self.unknown), level=messages.WARNING)
        message = f"{news or _('Nothing new.')} {_standing(answer.session)}"
        return Report(text=message, level=messages.SUCCESS if news else messages.INFO)


class SyncSession(Sync[PaymentSession]):
    """A question to the provider about a session."""

    unknown = gettext_lazy("The provider doesn't know this session. Nothing was changed.")

    def is_offered(self, row: PaymentSession) -> bool:
        """Offer it where the provider can be asked, and knows the session, or may know it."""
        is_known = row.initiated_at is not None or row.provider_reference is not None or was_lost(row)
        return can_be_asked(row.provider_id) and is_known


SESSION_ACTIONS: Final = (AuthorizeSession(), CancelSession(), SyncSession())


def _standing(session: PaymentSession) -> str:
    """Return how a session stands, or what it has become."""
    payment, currency = session.payment, session.currency_code
    if payment is None:
        return _("The session's status: %(status)s.") % {"status": SessionStatus(session.status).label}
    return _("The payment's status: %(status)s, captured %(captured)s, refunded %(refunded)s.") % {
        "status": PaymentStatus(payment.status).label,
        "captured": amount_text(payment.captured_amount, currency),
        "refunded": amount_text(payment.refunded_amount, currency),
    }
