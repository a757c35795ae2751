"""Badges that show a status in words, colour and sign, and the bar that shows how an amount divides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.db.models import TextChoices
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from payments.admin.formatting import amount_text
from payments.models import Payment, PaymentCollection
from payments.money import ZERO
from payments.states import (
    CollectionStatus,
    MovementStatus,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)


class Tone(StrEnum):
    """What a status means to an operator, shown by a colour and by a sign beside the words."""

    GOOD = "good"
    HELD = "held"
    WAITING = "waiting"
    RETURNED = "returned"
    BAD = "bad"
    ALERT = "alert"
    QUIET = "quiet"


_SIGNS: Final[dict[Tone, str]] = {
    Tone.GOOD: "\N{CHECK MARK}",
    Tone.HELD: "\N{BLACK CIRCLE}",
    Tone.WAITING: "\N{HORIZONTAL ELLIPSIS}",
    Tone.RETURNED: "\N{LEFTWARDS ARROW}",
    Tone.BAD: "\N{MULTIPLICATION SIGN}",
    Tone.ALERT: "!",
    Tone.QUIET: "\N{EN DASH}",
}

# One table per status: members of different enums with the same word are equal, so they can't share one.
_TONES: Final[dict[type[TextChoices], dict[str, Tone]]] = {
    CollectionStatus: {
        CollectionStatus.NOT_PAID: Tone.QUIET,
        CollectionStatus.AWAITING: Tone.WAITING,
        CollectionStatus.PARTIALLY_AUTHORIZED: Tone.WAITING,
        CollectionStatus.AUTHORIZED: Tone.HELD,
        CollectionStatus.PARTIALLY_CAPTURED: Tone.HELD,
        CollectionStatus.COMPLETED: Tone.GOOD,
        CollectionStatus.CANCELED: Tone.QUIET,
    },
    SessionStatus: {
        SessionStatus.PENDING: Tone.WAITING,
        SessionStatus.REQUIRES_MORE: Tone.WAITING,
        SessionStatus.AUTHORIZED: Tone.GOOD,
        SessionStatus.ERROR: Tone.BAD,
        SessionStatus.CANCELED: Tone.QUIET,
    },
    PaymentStatus: {
        PaymentStatus.AUTHORIZED: Tone.HELD,
        PaymentStatus.PARTIALLY_CAPTURED: Tone.HELD,
        PaymentStatus.CAPTURED: Tone.GOOD,
        PaymentStatus.PARTIALLY_REFUNDED: Tone.RETURNED,
        PaymentStatus.REFUNDED: Tone.RETURNED,
        PaymentStatus.CANCELED: Tone.QUIET,
    },
    MovementStatus: {
        MovementStatus.PENDING: Tone.WAITING,
        MovementStatus.SUCCEEDED: Tone.GOOD,
        MovementStatus.FAILED: Tone.BAD,
    },
    OperationStatus: {
        OperationStatus.PROCESSING: Tone.WAITING,
        OperationStatus.PENDING: Tone.WAITING,
        OperationStatus.UNKNOWN: Tone.ALERT,
        OperationStatus.ATTENTION: Tone.ALERT,
        OperationStatus.SUCCEEDED: Tone.GOOD,
        OperationStatus.DECLINED: Tone.BAD,
        OperationStatus.NOT_SENT: Tone.BAD,
    },
    WebhookEventStatus: {
        WebhookEventStatus.RECEIVED: Tone.WAITING,
        WebhookEventStatus.DEFERRED: Tone.WAITING,
        WebhookEventStatus.APPLIED: Tone.GOOD,
        WebhookEventStatus.IGNORED: Tone.QUIET,
        WebhookEventStatus.FAILED: Tone.BAD,
    },
}


def tone_of(status: str, choices: type[TextChoices]) -> Tone:
    """Return what a status means to an operator; an unknown one means nothing."""
    return _TONES[choices].get(status, Tone.QUIET)


def status_badge(status: str, choices: type[TextChoices]) -> SafeString:
    """Return a status as a badge with its label, an unknown one without."""
    label = choices(status).label if status in choices.values else status
    return badge(str(label), tone_of(status, choices))


def badge(label: str, tone: Tone) -> SafeString:
    """Return a few words as a badge."""
    return format_html(
        '<span class="payments-badge payments-{}"><span class="payments-sign" aria-hidden="true">{}</span>{}</span>',
        tone.value,
        _SIGNS[tone],
        label,
    )


def charge_back_badge(amount: Decimal, captured: Decimal) -> SafeString:
    """Say that payers' banks have taken back what was captured, or a part of it (both in major units)."""
    label = gettext("Charged back") if amount >= captured else gettext("Partially charged back")
    return badge(label, Tone.BAD)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One part of the bar; `start` and `width` are in per cent, spelled for SVG."""

    kind: str
    label: str
    amount: str
    start: str
    width: str


@dataclass(frozen=True, kw_only=True)
class AmountBar:
    """The whole bar; `text` says in a sentence what it shows."""

    segments: tuple[Segment, ...]
    text: str


def collection_bar(collection: PaymentCollection, payments: Iterable[Payment]) -> AmountBar:
    """Return how much of a collection's amount was kept, went back, is held and is still to be authorized."""
    kept, charged_back = ZERO, ZERO
    for payment in payments:
        kept += payment.refundable_amount
        charged_back += payment.net_charged_back_amount
    return _bar(
        collection.currency_code,
        (
            ("kept", _("Received (net)"), kept),
            ("refunded", _("Refunded"), collection.refunded_amount),
            *_charged_back(charged_back),
            (
                "held",
                _("Authorized, not captured"),
                collection.authorized_amount - collection.captured_amount,
            ),
            ("open", _("Not paid yet"), max(collection.amount - collection.authorized_amount, ZERO)),
        ),
        total=collection.amount,
    )


def payment_bar(payment: Payment) -> AmountBar:
    """Return how much of a payment's amount was kept, went back, is still held and was released."""
    return _bar(
        payment.currency_code,
        (
            ("kept", _("Received (net)"), payment.refundable_amount),
            ("refunded", _("Refunded"), payment.refunded_amount),
            *_charged_back(payment.net_charged_back_amount),
            ("held", _("Authorized, not captured"), payment.capturable_amount),
            ("open", _("Released"), payment.canceled_amount),
        ),
        total=payment.amount,
    )


def _charged_back(amount: Decimal) -> tuple[tuple[str, str, Decimal], ...]:
    return (("charged", _("Charged back"), amount),) if amount else ()


def _bar(currency_code: str, parts: tuple[tuple[str, str, Decimal], ...], *, total: Decimal) -> AmountBar:
    whole = sum(
        (amount for _kind, _label, amount in parts), ZERO
    )  # more than the total where too much went back
    segments: list[Segment] = []
    start = ZERO
    for kind, label, amount in parts:
        width = amount * 100 / whole if whole else ZERO
        segments.append(
            Segment(
                kind=kind,
                label=label,
                amount=amount_text(amount, currency_code),
                start=f"{start:.3f}",
                width=f"{width:.3f}",
            )
        )
        start += width
    described = "; ".join(f"{segment.label} {segment.amount}" for segment in segments)
    return AmountBar(
        segments=tuple(segments),
        text=_("Of %(total)s: %(parts)s") % {"total": amount_text(total, currency_code), "parts": described},
    )
