"""Badges: a status in words, with a colour and a sign that say the same."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.db.models import TextChoices
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from payments.states import (
    CollectionStatus,
    MovementStatus,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)


class Tone(StrEnum):
    """What a status means to an operator; each has a colour in the style sheet and a sign beside the words."""

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
    """Return what a status means to an operator; one that isn't known means nothing."""
    return _TONES[choices].get(status, Tone.QUIET)


def status_badge(status: str, choices: type[TextChoices]) -> SafeString:
    """Return a status as a badge with its label; one that isn't known as it is."""
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
    label = gettext("Charged back") if amount >= captured else gettext("Partly charged back")
    return badge(label, Tone.BAD)
