"""How a collection is divided: who pays which part, when, and how far that has come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from django.db.models import F
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.admin.badges import Tone, badge, status_badge
from payments.admin.links import Links
from payments.admin.panels import Column, Row, TablePanel
from payments.admin.plugins import provider_name
from payments.admin.tables import PAYMENT_DEFERRED, due_badge
from payments.admin.words import amount_html, lines, moment, quiet
from payments.models import PaymentCollection, PaymentSession
from payments.states import PaymentStatus, SessionStatus

_LIMIT: Final = 60


def plan_panel(collection: PaymentCollection, links: Links) -> TablePanel | None:
    """Return the parts of a collection that is paid in installments or split; None for one that isn't."""
    if not links.may_view(PaymentSession):
        return None
    rows = _parts(collection)
    if len(rows) < 2 and not any(row.installment for row in rows):  # noqa: PLR2004 - one part is no division
        return None
    shown = rows[:_LIMIT]
    return TablePanel(
        title=_("Who pays what, and when"),
        slug="plan",
        note=_note(collection, shown),
        columns=(
            Column(label=_("Part")),
            Column(label=_("Paid with")),
            Column(label=_("Amount"), is_number=True),
            Column(label=_("Due")),
            Column(label=_("State")),
            Column(label=_("Captured"), is_number=True),
        ),
        rows=tuple(_row(session, number, collection, links) for number, session in enumerate(shown, start=1)),
        empty="",
        is_cut=len(rows) > _LIMIT,
        more_url=links.listing(PaymentSession, collection__id__exact=collection.pk),
        more_text=_("All sessions"),
    )


def _parts(collection: PaymentCollection) -> Sequence[PaymentSession]:
    """Return the sessions that are a part of the whole: whoever gave up isn't one."""
    sessions = collection.sessions.exclude(status=SessionStatus.CANCELED).select_related("authorized_payment")
    sessions = sessions.defer("data", "provider_data", "context", *PAYMENT_DEFERRED)
    ordered = sessions.order_by(F("installment").asc(nulls_last=True), "created_at", "id")
    return list(ordered[: _LIMIT + 1])


def _note(collection: PaymentCollection, sessions: Sequence[PaymentSession]) -> str:
    covered = sum((_amount(session) for session in sessions), Decimal(0))
    if covered >= collection.amount:
        return ""
    rest = amount_html(collection.amount - covered, collection.currency_code)
    return format_html(_("Not covered by any part yet: {}"), rest)


def _amount(session: PaymentSession) -> Decimal:
    payment = session.payment
    return session.amount if payment is None else payment.amount - payment.canceled_amount


def _row(session: PaymentSession, number: int, collection: PaymentCollection, links: Links) -> Row:
    payment, currency = session.payment, collection.currency_code
    return Row(
        cells=(
            lines(_name(session, number), links.to_id(PaymentSession, session.pk)),
            provider_name(session.provider_id),
            lines(
                amount_html(_amount(session), currency),
                quiet(f"{round(100 * _amount(session) / collection.amount)} %"),
            ),
            lines(moment(session.due_at) if session.due_at else quiet(_("at once")), due_badge(session)),
            lines(*_state(session)),
            "" if payment is None else amount_html(payment.captured_amount, currency),
        )
    )


def _name(session: PaymentSession, number: int) -> str:
    if session.installment is not None:
        return _("Installment %(number)s") % {"number": session.installment}
    return _("Part %(number)s") % {"number": number}


def _state(session: PaymentSession) -> Iterable[SafeString]:
    payment = session.payment
    if payment is not None:
        yield status_badge(payment.status, PaymentStatus)
    elif session.initiated_at is None and session.due_at is not None:
        yield (
            badge(_("Not due yet"), Tone.QUIET)
            if not due_badge(session)
            else badge(_("Waits for the payer"), Tone.WAITING)
        )
    else:
        yield status_badge(session.status, SessionStatus)
