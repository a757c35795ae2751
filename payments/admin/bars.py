"""The bar that shows how an amount divides into what was kept, given back, is held, and is still open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from payments.admin.words import amount_text
from payments.models import Payment, PaymentCollection
from payments.money import ZERO


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Be one part of the bar; `start` and `width` are in per cent, spelled for SVG."""

    kind: str
    label: str
    amount: str
    start: str
    width: str


@dataclass(frozen=True, kw_only=True)
class AmountBar:
    """Be the whole bar; `text` says in a sentence what it shows."""

    segments: tuple[Segment, ...]
    text: str


def collection_bar(collection: PaymentCollection, payments: Iterable[Payment]) -> AmountBar:
    """Return how much of a collection's amount was kept, went back, is held and is still to be authorized."""
    kept, charged_back = ZERO, ZERO
    for payment in payments:
        kept += payment.refundable_amount
        charged_back += payment.withdrawn_amount
    return _bar(
        collection.currency_code,
        (
            ("kept", _("Kept"), kept),
            ("refunded", _("Refunded"), collection.refunded_amount),
            *_charged_back(charged_back),
            ("held", _("Held"), collection.authorized_amount - collection.captured_amount),
            ("open", _("Open"), max(collection.amount - collection.authorized_amount, ZERO)),
        ),
        total=collection.amount,
    )


def payment_bar(payment: Payment) -> AmountBar:
    """Return how much of a payment's amount was kept, went back, is still held and was released."""
    return _bar(
        payment.currency_code,
        (
            ("kept", _("Kept"), payment.refundable_amount),
            ("refunded", _("Refunded"), payment.refunded_amount),
            *_charged_back(payment.withdrawn_amount),
            ("held", _("Held"), payment.capturable_amount),
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
    described = ", ".join(f"{segment.label} {segment.amount}" for segment in segments)
    return AmountBar(
        segments=tuple(segments),
        text=_("Of %(total)s: %(parts)s") % {"total": amount_text(total, currency_code), "parts": described},
    )
