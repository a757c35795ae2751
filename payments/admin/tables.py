"""The tables that more than one page has, and the parts of a collection.

Each reads at most a screenful of rows, in a fixed number of queries, and links to the filtered list for the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from django.db.models import Case, F, IntegerField, Model, QuerySet, Value, When
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from payments.admin.actions.views import buttons_html
from payments.admin.formatting import amount_html, amount_remark, failure, lines, moment, quiet, trouble_html
from payments.admin.links import Links, movement_reference_html, provider_name, reference_html
from payments.admin.panels import Row, TablePanel, Text, columns, next_action_text
from payments.admin.timelines import operation_origin
from payments.admin.unclear import attach_unclear
from payments.admin.widgets import Tone, badge, status_badge
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    Refund,
    WebhookEvent,
)
from payments.states import (
    MovementStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)

LIMIT: Final = 40
PLAN_LIMIT: Final = 60
PAYMENT_DEFERRED: Final = ("authorized_payment__provider_data", "authorized_payment__metadata")

RowT = TypeVar("RowT", bound=Model)


def recent_sessions(collection: PaymentCollection, links: Links) -> list[PaymentSession]:
    """Return sessions with what tables show, those that still count first; none where the user may not view them."""
    if not links.may_view(PaymentSession):
        return []
    canceled_last = Case(
        When(status=SessionStatus.CANCELED, then=Value(1)), default=Value(0), output_field=IntegerField()
    )
    rows = collection.sessions.select_related("authorized_payment")
    rows = rows.defer("data", "provider_data", "context", *PAYMENT_DEFERRED)
    in_order = rows.order_by(canceled_last, F("installment").asc(nulls_last=True), "created_at", "id")
    found = list(in_order[: PLAN_LIMIT + 1])
    attach_unclear(found, among=collection)
    return found


def session_table(
    sessions: Sequence[PaymentSession], links: Links, currency_code: str, **lookups: object
) -> TablePanel | None:
    """Return `recent_sessions` by their age, canceled ones last; None where the user may not view sessions."""
    if not links.may_view(PaymentSession):
        return None
    rows = sorted(
        sessions, key=lambda each: (each.status == SessionStatus.CANCELED, each.created_at, each.pk)
    )
    return TablePanel(
        title=capfirst(str(PaymentSession._meta.verbose_name_plural)),
        slug="sessions",
        columns=columns(
            _("Session"),
            _("Status"),
            _("Amount"),
            _("Due or expires"),
            _("Reference and actions"),
            numbers={2},
        ),
        rows=tuple(_session_row(row, links, currency_code) for row in rows[:LIMIT]),
        empty=_("No session has been opened."),
        is_cut=len(rows) > LIMIT,
        more_url=links.listing(PaymentSession, **lookups),
        more_text=_("All sessions"),
    )


def payment_table(
    payments: Sequence[Payment], links: Links, currency_code: str, **lookups: object
) -> TablePanel | None:
    """Return payments, each followed by its captures and refunds; None where the user may not view payments."""
    if not links.may_view(Payment):
        return None
    rows, is_cut = payments[:LIMIT], len(payments) > LIMIT
    parts, are_parts_cut = _movements(rows, links)
    return TablePanel(
        title=_("Payments"),
        slug="payments",
        columns=columns(
            _("Payment"),
            _("Status"),
            _("Authorized"),
            _("Captured"),
            _("Refunded"),
            _("When"),
            _("Reference and actions"),
            numbers={2, 3, 4},
        ),
        rows=tuple(
            row
            for payment in rows
            for row in (
                _payment_row(payment, links, currency_code),
                *(_movement_row(part, payment, links, currency_code) for part in parts[payment.pk]),
            )
        ),
        empty=_("Nothing has been authorized."),
        is_cut=is_cut or are_parts_cut,
        more_url=links.listing(Payment, **lookups),
        more_text=_("All payments"),
    )


def operation_table(
    operations: Sequence[PaymentOperation], links: Links, currency_code: str, **lookups: object
) -> TablePanel | None:
    """Return `recent_operations`, oldest first; None where the user may not view operations."""
    if not links.may_view(PaymentOperation):
        return None
    return TablePanel(
        title=_("Operations"),
        slug="operations",
        note=_("Every call to a provider, written down before it was made. Its id is its idempotency key."),
        columns=columns(
            _("Operation"),
            _("Status"),
            _("Amount"),
            _("Attempts"),
            _("When and by whom"),
            _("Error"),
            numbers={2, 3},
        ),
        rows=tuple(_operation_row(row, links, currency_code) for row in reversed(operations[:LIMIT])),
        empty=_("No provider has been called."),
        is_cut=len(operations) > LIMIT,
        more_url=links.listing(PaymentOperation, **lookups),
        more_text=_("All operations"),
    )


def webhook_table(events: QuerySet[WebhookEvent], links: Links, **lookups: object) -> TablePanel | None:
    """Return events that a provider sent, oldest first; None where the user may not view them."""
    if not links.may_view(WebhookEvent):
        return None
    newest, is_cut = _screenful(events.defer("payload").order_by("-created_at", "-id"))
    return TablePanel(
        title=_("Webhook events"),
        slug="webhooks",
        columns=columns(_("Event"), _("Status"), _("When"), _("Remarks")),
        rows=tuple(_webhook_row(row, links) for row in reversed(newest)),
        empty=_("The provider has sent no events."),
        is_cut=is_cut,
        more_url=links.listing(WebhookEvent, **lookups),
        more_text=_("All webhook events"),
    )


def due_text(session: PaymentSession) -> SafeString:
    """Return when a session falls due and when it expires, and whether that is over."""
    now = timezone.now()
    is_open = session.is_unauthorized
    due = session.due_at
    expires = session.expires_at if is_open else None
    return lines(
        installment_text(session),
        format_html("{} {}", _("due"), moment(due)) if due else "",
        due_badge(session),
        quiet(_("charged automatically")) if session.is_automatic and is_open else "",
        format_html("{} {}", _("expires"), moment(expires)) if expires else "",
        badge(_("Expired"), Tone.BAD) if session.is_expired(now) and is_open else "",
    )


def due_badge(session: PaymentSession) -> SafeString:
    """Return whether an unauthorized session should have been paid by now, or nothing."""
    is_overdue = session.due_at is not None and session.is_unauthorized and session.due_at <= timezone.now()
    return badge(_("Overdue"), Tone.BAD) if is_overdue else SafeString()


def installment_text(session: PaymentSession) -> str:
    """Return which installment a session is, or nothing."""
    if session.installment is None:
        return ""
    return _("Installment %(number)s") % {"number": session.installment}


def _screenful(rows: QuerySet[RowT]) -> tuple[list[RowT], bool]:
    found = list(rows[: LIMIT + 1])
    return found[:LIMIT], len(found) > LIMIT


def _session_row(session: PaymentSession, links: Links, currency_code: str) -> Row:
    return Row(
        cells=(
            lines(links.to_id(PaymentSession, session.pk), session.provider_id),
            status_badge(session.status, SessionStatus),
            amount_html(session.amount, currency_code),
            due_text(session),
            lines(
                failure(session.error_code, session.error_text),
                _labelled(_("Next action"), next_action_text(session.next_action)),
                _labelled(_("Authorized"), moment(session.authorized_at)),
                _labelled(_("Canceled"), moment(session.canceled_at)),
                reference_html(session.provider_id, session.provider_reference),
                buttons_html(session, links),
            ),
        )
    )


def _payment_row(payment: Payment, links: Links, currency_code: str) -> Row:
    return Row(
        cells=(
            lines(links.to_id(Payment, payment.pk), payment.provider_id),
            status_badge(payment.status, PaymentStatus),
            amount_html(payment.amount, currency_code),
            amount_html(payment.captured_amount, currency_code),
            amount_html(payment.refunded_amount, currency_code),
            moment(payment.created_at),
            lines(
                amount_remark(_("Released"), payment.canceled_amount, currency_code),
                amount_remark(_("Charged back"), payment.charged_back_amount, currency_code),
                amount_remark(_("Reinstated"), payment.reinstated_amount, currency_code),
                reference_html(payment.provider_id, payment.provider_reference),
                buttons_html(payment, links),
            ),
        )
    )


def _movement_row(movement: Capture | Refund, payment: Payment, links: Links, currency_code: str) -> Row:
    is_capture = isinstance(movement, Capture)
    amount = amount_html(movement.amount, currency_code)
    kind = _("Capture") if is_capture else _("Refund")
    return Row(
        is_part=True,
        cells=(
            lines(kind, links.to_id(type(movement), movement.pk)),
            status_badge(movement.status, MovementStatus),
            "",
            amount if is_capture else "",
            "" if is_capture else amount,
            moment(movement.succeeded_at or movement.created_at),
            lines(
                failure(movement.error_code, movement.error_text),
                *_reason(movement),
                movement_reference_html(payment.provider_id, movement),
            ),
        ),
    )


def _reason(movement: Capture | Refund) -> tuple[Text, ...]:
    if isinstance(movement, Capture):
        received = movement.received_at
        when = format_html("{} {}", _("received"), moment(received)) if received else ""
        return (when, movement.reference, movement.note)
    return (str(movement.reason or ""), movement.note)


def _operation_row(operation: PaymentOperation, links: Links, currency_code: str) -> Row:
    return Row(
        cells=(
            lines(
                OperationKind(operation.kind).label,
                links.to_id(PaymentOperation, operation.pk),
            ),
            status_badge(operation.status, OperationStatus),
            amount_html(operation.amount, currency_code),
            str(operation.attempts),
            lines(moment(operation.created_at), quiet(operation_origin(operation))),
            lines(trouble_html(operation, currency_code), buttons_html(operation, links)),
        )
    )


def _webhook_row(event: WebhookEvent, links: Links) -> Row:
    return Row(
        cells=(
            lines(links.to(WebhookEvent, event.pk, event.type), quiet(event.event_id)),
            status_badge(event.status, WebhookEventStatus),
            moment(event.created_at),
            lines(event.detail, buttons_html(event, links)),
        )
    )


def _movements(
    payments: Sequence[Payment], links: Links
) -> tuple[defaultdict[str, list[Capture | Refund]], bool]:
    """Return captures and refunds by payment, in the order in which they were asked for."""
    captures, are_captures_cut = _newest(Capture.objects.filter(payment__in=payments), links)
    refunds, are_refunds_cut = _newest(
        Refund.objects.filter(payment__in=payments).select_related("reason"), links
    )
    found: list[Capture | Refund] = [*captures, *refunds]
    by_payment: defaultdict[str, list[Capture | Refund]] = defaultdict(list)
    for movement in sorted(found, key=lambda each: (each.created_at, each.pk)):
        by_payment[movement.payment_id].append(movement)
    return by_payment, are_captures_cut or are_refunds_cut


def _newest(rows: QuerySet[RowT], links: Links) -> tuple[list[RowT], bool]:
    return _screenful(rows.order_by("-created_at", "-id")) if links.may_view(rows.model) else ([], False)


def _labelled(label: str, value: Text) -> SafeString:
    return format_html('<span class="payments-remark">{}</span> {}', label, value) if value else SafeString()


def plan_panel(
    collection: PaymentCollection, sessions: Sequence[PaymentSession], links: Links
) -> TablePanel | None:
    """Return the `recent_sessions` of a collection that is paid in installments or split; None of another."""
    rows = [session for session in sessions if session.status != SessionStatus.CANCELED]
    if len(rows) < 2 and not any(row.installment for row in rows):  # noqa: PLR2004 - one part is no division
        return None
    shown = rows[:PLAN_LIMIT]
    return TablePanel(
        title=_("Who pays what, and when"),
        slug="plan",
        note=_note(collection, shown),
        columns=columns(
            _("Part"), _("Paid with"), _("Amount"), _("Due"), _("State"), _("Captured"), numbers={2, 5}
        ),
        rows=tuple(_row(session, number, collection, links) for number, session in enumerate(shown, start=1)),
        empty="",
        is_cut=len(rows) > PLAN_LIMIT,
        more_url=links.listing(PaymentSession, collection__id__exact=collection.pk),
        more_text=_("All sessions"),
    )


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
            lines(
                installment_text(session) or _("Part %(number)s") % {"number": number},
                links.to_id(PaymentSession, session.pk),
            ),
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
