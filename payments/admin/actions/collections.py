"""Cancel and mark as paid, on a collection."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from payments.admin.actions.base import Action, Report, Values
from payments.admin.panels import Text
from payments.admin.plugins import provider_name
from payments.admin.words import amount_text
from payments.conf import mark_as_paid_provider
from payments.models import PaymentCollection
from payments.money import ZERO
from payments.services import cancel_payment_collection, mark_payment_collection_as_paid
from payments.services.collections import check_collection_cancelation
from payments.states import CollectionStatus, EventSource


class MarkAsPaid(Action[PaymentCollection]):
    """Record that what is left was paid outside of any provider."""

    slug = "mark-as-paid"
    label = gettext_lazy("Mark as paid…")
    heading = gettext_lazy("Mark a collection as paid")
    bulk_label = gettext_lazy("Mark as paid")
    permission = "mark_as_paid"

    def is_offered(self, row: PaymentCollection) -> bool:
        """Offer it while something is left to pay."""
        return row.authorized_amount < row.amount and not row.is_canceled

    def moving_amount(self, row: PaymentCollection, values: Values) -> Decimal | None:
        """Return what is recorded as received."""
        return row.amount - row.authorized_amount

    def effects(self, row: PaymentCollection, values: Values | None = None) -> Iterable[Text]:
        """Say how much is recorded as received, and what becomes of the rest."""
        left = amount_text(row.amount - row.authorized_amount, row.currency_code)
        told = _("%(left)s is recorded as received outside of any provider (%(provider)s).")
        yield told % {"left": left, "provider": provider_name(mark_as_paid_provider())}
        yield from _canceled_sessions(row)
        held = _held(row)
        if held > ZERO:
            told = _("%(held)s that providers hold stays held, to be captured.")
            yield told % {"held": amount_text(held, row.currency_code)}

    def run(self, row: PaymentCollection, values: Values, actor: Any) -> None:
        """Record it."""
        mark_payment_collection_as_paid(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: PaymentCollection, values: Values) -> Report:
        """Say how much is paid now."""
        parts = {
            "captured": amount_text(row.captured_amount, row.currency_code),
            "amount": amount_text(row.amount, row.currency_code),
        }
        return Report(text=_("Marked as paid: %(captured)s of %(amount)s is captured.") % parts)


class CancelCollection(Action[PaymentCollection]):
    """Abandon a collection."""

    slug = "cancel"
    label = gettext_lazy("Cancel…")
    heading = gettext_lazy("Cancel a collection")
    bulk_label = gettext_lazy("Cancel collections")
    permission = "cancel_collection"
    is_grave = True

    def is_offered(self, row: PaymentCollection) -> bool:
        """Offer it until it is canceled, and unless money was taken and is kept."""
        is_over = row.status == CollectionStatus.CANCELED and row.is_canceled
        return not is_over and row.captured_amount == row.refunded_amount

    def check(self, row: PaymentCollection) -> None:
        """Refuse where it can't be canceled now."""
        check_collection_cancelation(row)

    def moving_amount(self, row: PaymentCollection, values: Values) -> Decimal | None:
        """Return what is let go."""
        return _held(row) or None

    def effects(self, row: PaymentCollection, values: Values | None = None) -> Iterable[Text]:
        """Say what is let go."""
        held = _held(row)
        if held > ZERO:
            told = _("%(held)s that providers hold goes free for the payer.")
            yield told % {"held": amount_text(held, row.currency_code)}
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


def _held(collection: PaymentCollection) -> Decimal:
    return collection.authorized_amount - collection.captured_amount


def _canceled_sessions(collection: PaymentCollection) -> Iterable[str]:
    count = collection.sessions.unauthorized().count()
    if count:
        told = ngettext(
            "%(count)s unauthorized session is canceled.",
            "%(count)s unauthorized sessions are canceled.",
            count,
        )
        yield told % {"count": count}
