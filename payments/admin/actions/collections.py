"""Canceling collections and marking them as paid."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from payments.admin.actions.base import Action, Report, Values
from payments.admin.actions.forms import MarkAsPaidForm
from payments.admin.formatting import amount_text, localized
from payments.admin.links import provider_name
from payments.admin.panels import Text
from payments.conf import mark_as_paid_provider
from payments.models import PaymentCollection, PaymentSession
from payments.money import ZERO
from payments.services import (
    cancel_payment_collection,
    check_collection_cancelation,
    check_receipt,
    mark_payment_collection_as_paid,
)
from payments.states import CollectionStatus, EventSource


class MarkAsPaid(Action[PaymentCollection]):
    """A record that what is left was paid outside of any provider."""

    slug = "mark-as-paid"
    label = gettext_lazy("Mark as paid…")
    heading = gettext_lazy("Mark a collection as paid")
    bulk_label = gettext_lazy("Mark as paid")
    permission = "mark_as_paid"
    form_class = MarkAsPaidForm

    def is_offered(self, row: PaymentCollection) -> bool:
        """Offer it while something is left to pay."""
        return row.authorized_amount < row.amount and not row.is_canceled

    def check(self, row: PaymentCollection) -> None:
        """Refuse where the provider that stands for receipts can't be used."""
        check_receipt(row)

    def initial(self, row: PaymentCollection) -> dict[str, Any]:
        """Fill in what can be received, and today."""
        return {"amount": check_receipt(row), "received_at": localized(timezone.now()).date()}

    def moving_amount(self, row: PaymentCollection, values: Values) -> Decimal | None:
        """Return what is recorded as received."""
        amount: Decimal | None = values.get("amount")
        if amount is not None:
            return amount
        session: PaymentSession | None = values.get("session")
        return check_receipt(row, session=session)

    def effects(self, row: PaymentCollection, values: Values | None = None) -> Iterable[Text]:
        """Say how much is recorded as received, and what becomes of the rest."""
        left, provider = check_receipt(row), provider_name(mark_as_paid_provider())
        if values is None:
            message = _(
                "%(left)s is left to pay. What you enter is recorded as received outside of any provider "
                "(%(provider)s)."
            )
            yield message % {"left": amount_text(left, row.currency_code), "provider": provider}
        else:
            amount = self._checked(row, values)
            message = _("%(left)s is recorded as received outside of any provider (%(provider)s).")
            yield message % {"left": amount_text(amount, row.currency_code), "provider": provider}
            if values.get("session") is None and amount == left:
                yield from _canceled_sessions(row)
            elif amount < left:
                yield _("%(rest)s stays open.") % {"rest": amount_text(left - amount, row.currency_code)}
        held = row.amount - row.captured_amount - left
        if held > ZERO:
            message = _("%(held)s that providers hold stays held, to be captured.")
            yield message % {"held": amount_text(held, row.currency_code)}

    def _checked(self, row: PaymentCollection, values: Values) -> Decimal:
        """Return what is recorded as received; raise PaymentError where that can't be."""
        amount = self.moving_amount(row, values) or ZERO
        if values:  # In bulk, it is all that can be received.
            moment = _moment_of(values.get("received_at"))
            check_receipt(row, amount=amount, received_at=moment, session=values.get("session"))
        return amount

    def run(self, row: PaymentCollection, values: Values, actor: Any) -> None:
        """Record it."""
        mark_payment_collection_as_paid(
            row,
            amount=values.get("amount"),
            received_at=_moment_of(values.get("received_at")),
            reference=values.get("reference") or "",
            note=values.get("note") or "",
            session=values.get("session"),
            actor=actor,
            source=EventSource.ADMIN,
        )

    def report(self, row: PaymentCollection, values: Values) -> Report:
        """Say how much is paid now."""
        parts = {
            "captured": amount_text(row.captured_amount, row.currency_code),
            "amount": amount_text(row.amount, row.currency_code),
        }
        return Report(text=_("Marked as paid: %(captured)s of %(amount)s is captured.") % parts)


class CancelCollection(Action[PaymentCollection]):
    """The end of a collection: what is held is released, and nothing can be paid any more."""

    slug = "cancel"
    label = gettext_lazy("Cancel…")
    heading = gettext_lazy("Cancel a collection")
    bulk_label = gettext_lazy("Cancel collections")
    permission = "cancel_collection"
    is_grave = True

    def is_offered(self, row: PaymentCollection) -> bool:
        """Offer it until it is canceled, or all money went back, and unless money was taken and is kept."""
        return row.status != CollectionStatus.CANCELED and row.captured_amount == row.refunded_amount

    def check(self, row: PaymentCollection) -> None:
        """Refuse where it can't be canceled now."""
        check_collection_cancelation(row)

    def moving_amount(self, row: PaymentCollection, values: Values) -> Decimal | None:
        """Return how much is released."""
        return _held(row) or None

    def effects(self, row: PaymentCollection, values: Values | None = None) -> Iterable[Text]:
        """Say how much is released."""
        held = _held(row)
        if held > ZERO:
            message = _("The %(held)s hold will be released.")
            yield message % {"held": amount_text(held, row.currency_code)}
        else:
            yield _("Nothing is held, so no money moves.")
        yield from _canceled_sessions(row)
        yield _("Nothing can be paid for it afterwards. This can't be undone.")

    def run(self, row: PaymentCollection, values: Values, actor: Any) -> None:
        """Abandon it."""
        cancel_payment_collection(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: PaymentCollection, values: Values) -> Report:
        """Say that it is over."""
        return Report(text=_("The collection is canceled. Nothing is held for it any more."))


COLLECTION_ACTIONS: Final = (MarkAsPaid(), CancelCollection())


def _moment_of(day: date | None) -> datetime | None:
    """Return when on a day something was received: now, if it is today, and else at noon."""
    now = localized(timezone.now())
    if day is None or day == now.date():
        return None
    noon = datetime.combine(day, time(12))
    return noon if timezone.is_naive(timezone.now()) else timezone.make_aware(noon)


def _held(collection: PaymentCollection) -> Decimal:
    return collection.authorized_amount - collection.captured_amount


def _canceled_sessions(collection: PaymentCollection) -> Iterable[str]:
    count = collection.sessions.unauthorized().count()
    if count:
        message = ngettext(
            "%(count)s unauthorized session is canceled.",
            "%(count)s unauthorized sessions are canceled.",
            count,
        )
        yield message % {"count": count}
