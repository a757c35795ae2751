"""The history in words, grouped by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from django.db.models import Model, QuerySet, TextChoices
from django.utils import formats
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.formatting import (
    amount_html,
    amount_text,
    detail_text,
    discrepancy_text,
    localized,
    quiet,
    reasons_text,
    resolution_text,
)
from payments.admin.links import Links, provider_name
from payments.admin.panels import (
    TimelineDay,
    TimelineEntry,
    TimelinePanel,
    may_see_private_data,
    pretty,
    withheld_words,
)
from payments.admin.widgets import Tone, status_badge, tone_of
from payments.models import (
    Capture,
    Payment,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)
from payments.models.events import keys_of_events
from payments.services.operations import Discrepancy
from payments.states import (
    CollectionStatus,
    EventSource,
    MovementStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
)

LIMIT: Final = 60

SENTENCES: Final[dict[str, Promise]] = {
    "collection.created": _("Collection created"),
    "collection.updated": _("Amount of the collection changed"),
    "collection.authorized": _("Whole amount authorized"),
    "collection.unauthorized": _("Whole amount no longer authorized"),
    "collection.changed_hands": _("Given to another customer"),
    "collection.completed": _("Whole amount captured"),
    "collection.canceled": _("Collection canceled"),
    "session.created": _("Session created"),
    "session.updated": _("Session changed"),
    "session.requires_more": _("Waiting for the customer (3-D Secure)"),
    "session.authorized": _("Session authorized"),
    "session.failed": _("Authorization refused"),
    "session.canceled": _("Session canceled"),
    "session.due": _("Installment fell due"),
    "session.charging": _("Installment charged automatically"),
    "session.not_charged": _("Installment could not be charged"),
    "session.expired": _("Session expired"),
    "session.not_found": _("Provider doesn't know the session"),
    "payment.authorized": _("Payment authorized"),
    "payment.captured": _("Money captured"),
    "payment.refunded": _("Money refunded"),
    "payment.released": _("Held money released"),
    "payment.charged_back": _("Payer's bank took money back"),
    "payment.reinstated": _("Charge-back reversed"),
    "payment.canceled": _("Payment canceled"),
    "payment.expired": _("Authorization expired"),
    "capture.failed": _("Capture failed"),
    "refund.failed": _("Refund failed"),
    "operation.needs_attention": _("Operation needs attention"),
    "operation.resolved": _("Operation resolved by a person"),
    "operation.corrected": _("Resolution corrected by a person"),
    "customer.erased": _("Customer's data erased"),
    "webhook.replayed": _("Webhook event replayed"),
    "fact.discrepancy": _("Provider's report differs from the books"),
}
"""What each type of event says. A type that isn't here, such as a plug-in's own, is shown as it is."""

_DEFERRED: Final = ("session__data", "session__provider_data", "session__context", "collection__metadata")
_MOVEMENTS: Final = ("payment.captured", "payment.refunded", "capture.", "refund.")
_STATUSES: Final[dict[str, type[TextChoices]]] = {
    "collection": CollectionStatus,
    "session": SessionStatus,
    "payment": PaymentStatus,
    "operation": OperationStatus,
}
_TONES: Final = {
    "fact.discrepancy": Tone.ALERT,
    "payment.captured": Tone.GOOD,
    "payment.refunded": Tone.RETURNED,
    "payment.released": Tone.QUIET,
    "payment.charged_back": Tone.ALERT,
    "session.expired": Tone.BAD,
    "session.not_found": Tone.ALERT,
    "session.not_charged": Tone.BAD,
    "payment.expired": Tone.BAD,
}


def recent_operations(operations: QuerySet[PaymentOperation], links: Links) -> list[PaymentOperation]:
    """Return the newest operations with what tables and timelines show; none where the user may not view them."""
    if not links.may_view(PaymentOperation):
        return []
    private = ("input",) if may_see_private_data(links.request) else ("input", "provider_log")
    rows = operations.select_related("actor", "collection", "capture").defer(*private, "collection__metadata")
    return list(rows.order_by("-created_at", "-id")[: LIMIT + 1])


def timeline_panel(obj: Model, operations: Sequence[PaymentOperation], links: Links) -> TimelinePanel | None:
    """Return the newest events of a row and calls to providers, oldest first; None where the user may not view events.

    `operations` are those of `recent_operations`.
    """
    if not links.may_view(PaymentEvent):
        return None
    events = PaymentEvent.objects.of(obj)
    rows = events.select_related("actor", "collection", "session").defer(*_DEFERRED)
    newest = list(rows.order_by("-id")[: LIMIT + 1])
    happened: list[tuple[datetime, TimelineEntry]] = [
        (event.created_at, _entry(event, links)) for event in newest[:LIMIT]
    ]
    shows_answers = may_see_private_data(links.request)
    happened += [
        _call(each, links, shows_answer=shows_answers)
        for each in operations[:LIMIT]
        # A report that waits for a person is among the events.
        if (each.kind, each.status) != (OperationKind.SYNC, OperationStatus.ATTENTION)
    ]
    happened.sort(key=itemgetter(0))
    return TimelinePanel(
        title=gettext("Timeline"),
        slug="history",
        days=tuple(_days(happened[-LIMIT:])),
        empty=gettext("Nothing has happened yet."),
        is_cut=len(newest) > LIMIT,
        more_url=links.listing(
            PaymentEvent, **{f"{name}__id__exact": key for name, key in keys_of_events(obj).items()}
        ),
        more_text=gettext("All events"),
    )


def sentence(event: PaymentEvent) -> str:
    """Return what an event says in words."""
    message = _("Report needs attention") if _is_report(event) else SENTENCES.get(event.type)
    return event.type if message is None else str(message)


def remark(event: PaymentEvent) -> str:
    """Return what an event adds to its sentence: the kind of operation, an error's code, what differs."""
    data, currency = _data(event), event.collection.currency_code
    if (discrepancy := Discrepancy.of(data)) is not None:
        return discrepancy_text(discrepancy, currency)
    if event.type in ("operation.resolved", "operation.corrected"):
        message = resolution_text(str(data.get("reason", "")), str(data.get("evidence", "")))
        said = [_said(each, currency) for each in (data.get("before"), data) if each]
        return " · ".join(each for each in (message, " → ".join(filter(None, said))) if each)
    detail = " ".join(reasons_text(str(data.get("detail") or ""), data.get("discrepancies") or (), currency))
    if _is_report(event):
        return detail
    if "received_at" in data:
        return " · ".join(str(data[name]) for name in ("reference", "note") if data.get(name))
    kind = data.get("kind")
    kind_label = OperationKind(kind).label if kind in OperationKind.values else kind
    found = [kind_label, data.get("code"), data.get("error_code"), detail]
    if "old_amount" in data:
        found.append(gettext("before: %(amount)s") % {"amount": _old_amount(event, data["old_amount"])})
    return " · ".join(str(each) for each in found if each)


def _said(data: Any, currency_code: str) -> str:
    """Return what a person has said of an operation: whether it has happened, and with which amount."""
    if not isinstance(data, dict) or "has_happened" not in data:
        return ""
    if not data["has_happened"]:
        return gettext("not done")
    amount = data.get("amount")
    return gettext("done") if amount is None else amount_text(Decimal(str(amount)), currency_code)


def change(event: PaymentEvent) -> SafeString:
    """Return from which status an event led to which."""
    choices = _choices(event.type)
    badges = [
        format_html("<span>{}</span>", status) if choices is None else status_badge(status, choices)
        for status in (event.from_status, event.to_status)
        if status
    ]
    if len(badges) < 2:  # noqa: PLR2004 - from and to
        return SafeString("".join(badges))
    return format_html(
        '{} <span class="payments-arrow" role="img" aria-label="{}">→</span> {}',
        badges[0],
        gettext("to"),
        badges[1],
    )


def origin(event: PaymentEvent) -> str:
    """Return the source of an event, and the user who caused it."""
    return _source(event.source, event.actor_label or (event.actor.get_username() if event.actor else ""))


def operation_origin(operation: PaymentOperation) -> str:
    """Return the source of an operation, and the user who asked for it."""
    return _source(operation.source, operation.actor.get_username() if operation.actor else "")


def subject(event: PaymentEvent, links: Links) -> SafeString:
    """Return a link to the row that an event is about, with its provider; nothing for the collection itself."""
    target = _target(event, links)
    return format_html("{} · {}", target, event.session.provider_id) if event.session else target


def _source(source: str, name: str) -> str:
    label = EventSource(source).label if source in EventSource.values else source
    if source == EventSource.PROVIDER and name:
        return gettext("Found at the provider (asked by %(name)s)") % {"name": name}
    return f"{label} · {name}" if name else str(label)


def _old_amount(event: PaymentEvent, value: Any) -> str:
    try:
        return amount_text(Decimal(str(value)), event.collection.currency_code)
    except InvalidOperation:
        return str(value)


def _target(event: PaymentEvent, links: Links) -> SafeString:
    if event.type.startswith(("operation.", "fact.")) and event.operation_id:
        return links.to_id(PaymentOperation, event.operation_id)
    if event.refund_id:
        return links.to_id(Refund, event.refund_id)
    if event.capture_id:
        return links.to_id(Capture, event.capture_id)
    if event.payment_id:
        return links.to_id(Payment, event.payment_id)
    return links.to_id(PaymentSession, event.session_id)


def _days(happened: Iterable[tuple[datetime, TimelineEntry]]) -> Iterable[TimelineDay]:
    for day, members in groupby(happened, key=lambda each: localized(each[0]).date()):
        yield TimelineDay(
            date=formats.date_format(day, "DATE_FORMAT"), entries=tuple(entry for _at, entry in members)
        )


def _entry(event: PaymentEvent, links: Links) -> TimelineEntry:
    return TimelineEntry(
        time=_time(event.created_at),
        tone=_tone(event),
        sentence=format_html("{} {}", sentence(event), quiet(remark(event))),
        change=change(event),
        # The amount of a report's operation is the session's, whatever was reported.
        amount=amount_html(None if _is_report(event) else event.amount, event.collection.currency_code),
        origin=tuple(part for part in (subject(event, links), origin(event)) if part),
    )


def _call(operation: PaymentOperation, links: Links, *, shows_answer: bool) -> tuple[datetime, TimelineEntry]:
    """Return when a call to a provider ended, or began, and its entry."""
    is_report = operation.kind == OperationKind.SYNC
    at, currency = operation.finished_at or operation.created_at, operation.collection.currency_code
    remarks = ["" if is_report else operation.get_kind_display(), operation.error_code]
    detail = detail_text(operation, currency)
    entry = TimelineEntry(
        time=_time(at),
        tone=tone_of(operation.status, OperationStatus),
        sentence=format_html(
            "{} {}", _ending(operation), quiet(" · ".join(each for each in (*remarks, detail) if each))
        ),
        change=status_badge(operation.status, OperationStatus),
        amount=SafeString("") if is_report else amount_html(operation.amount, currency),
        origin=(
            format_html("{} · {}", links.to_id(PaymentOperation, operation.pk), operation.provider_id),
            operation_origin(operation),
        ),
        question="" if is_report else _question(operation, currency),
        answer=pretty(operation.provider_log) if shows_answer and not is_report else "",
        withheld="" if shows_answer else withheld_words(),
    )
    return at, entry


def _ending(operation: PaymentOperation) -> Promise:
    """Return in words how a call has ended, if it has."""
    if operation.is_open:
        return _("Provider asked")
    if operation.kind == OperationKind.SYNC:
        return _("Report acknowledged")
    return _("Outcome recorded") if operation.resolution_reason else _("Provider's answer recorded")


def _time(moment: datetime) -> SafeString:
    clock = formats.time_format(localized(moment), "H:i:s")
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), clock)


def _data(event: PaymentEvent) -> dict[str, Any]:
    return event.data if isinstance(event.data, dict) else {}


def _is_report(event: PaymentEvent) -> bool:
    """Return whether an event is about an operation that stands for an unasked report."""
    return event.type == "operation.needs_attention" and _data(event).get("kind") == OperationKind.SYNC


def _question(operation: PaymentOperation, currency_code: str) -> str:
    """Return what a provider was asked, in words."""
    message = gettext("%(provider)s was asked: %(kind)s, %(amount)s, with the idempotency key %(key)s.")
    return message % {
        "provider": provider_name(operation.provider_id),
        "kind": OperationKind(operation.kind).label,
        "amount": amount_text(operation.amount, currency_code),
        "key": operation.pk,
    }


def _choices(event_type: str) -> type[TextChoices] | None:
    if event_type.startswith(_MOVEMENTS):
        return MovementStatus
    return _STATUSES.get(event_type.partition(".")[0])


def _tone(event: PaymentEvent) -> Tone:
    choices = _choices(event.type)
    if event.type in _TONES:
        return _TONES[event.type]
    return Tone.QUIET if choices is None else tone_of(event.to_status, choices)
