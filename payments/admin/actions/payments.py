"""Capturing, refunding, releasing and syncing payments."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.actions.forms import AmountForm, RefundForm
from payments.admin.actions.sessions import Sync
from payments.admin.formatting import amount_text
from payments.admin.links import can_be_asked, find_provider, provider_name
from payments.admin.panels import Text
from payments.admin.unclear import open_rows, unclear_text
from payments.models import Payment
from payments.services import (
    cancel_payment,
    capture_payment,
    quote_capture,
    quote_refund,
    quote_release,
    refund_payment,
)
from payments.services.operations import is_unclear
from payments.states import EventSource, MovementStatus, OperationKind, PaymentStatus


class CapturePayment(Action[Payment]):
    """A capture of authorized money."""

    slug = "capture"
    label = gettext_lazy("Capture…")
    heading = gettext_lazy("Capture a payment")
    bulk_label = gettext_lazy("Capture all that is held")
    permission = "capture_payment"
    form_class = AmountForm

    def is_offered(self, row: Payment) -> bool:
        """Offer it while something is held."""
        return row.capturable_amount > 0 and row.status != PaymentStatus.CANCELED

    def check(self, row: Payment) -> None:
        """Refuse where nothing is left."""
        quote_capture(row, despite_unclear=True).check()

    def initial(self, row: Payment) -> dict[str, Any]:
        """Fill in all that is left."""
        return {"amount": quote_capture(row, despite_unclear=True).check().amount}

    def bulk_values(self, row: Payment) -> Values:
        """Take all that is left."""
        return self.initial(row)

    def effects(self, row: Payment, values: Values | None = None) -> Iterable[Text]:
        """Say how much is taken and how much stays."""
        name = provider_name(row.provider_id)
        yield from _unclear(row, OperationKind.CAPTURE)
        if values is None:
            left = quote_capture(row, despite_unclear=True).check().left
            yield _("%(provider)s holds %(held)s; up to %(left)s can be captured now.") % {
                "provider": name,
                "held": _text(row, row.capturable_amount),
                "left": _text(row, left),
            }
            return
        despite_unclear = bool(values.get("despite_unclear"))
        quote = quote_capture(row, amount=values["amount"], despite_unclear=despite_unclear).check()
        yield _("%(amount)s will be taken from the payer through %(provider)s.") % {
            "amount": _text(row, quote.amount),
            "provider": name,
        }
        if quote.amount < quote.left:
            yield self._rest(row, quote.left - quote.amount)

    def run(self, row: Payment, values: Values, actor: Any) -> None:
        """Take it."""
        capture_payment(
            row,
            amount=values["amount"],
            despite_unclear=bool(values.get("despite_unclear")),
            actor=actor,
            source=EventSource.ADMIN,
        )

    def report(self, row: Payment, values: Values) -> Report:
        """Say what was taken and what is still held."""
        message = [_("%(amount)s was captured.") % {"amount": _text(row, values["amount"])}]
        if row.capturable_amount:
            message.append(_("%(held)s is still held.") % {"held": _text(row, row.capturable_amount)})
        return Report(text=" ".join(message))

    def _rest(self, row: Payment, rest: Decimal) -> str:
        provider = find_provider(row.provider_id)
        if provider is not None and not provider.supports_multiple_captures:
            message = _(
                "The provider captures a payment only once: the other %(rest)s can't be captured afterwards."
            )
        else:
            message = _("The other %(rest)s stays held and can be captured later.")
        return message % {"rest": _text(row, rest)}


class RefundPayment(Action[Payment]):
    """A refund of captured money."""

    slug = "refund"
    label = gettext_lazy("Refund…")
    heading = gettext_lazy("Refund a payment")
    permission = "refund_payment"
    form_class = RefundForm
    is_grave = True

    def is_offered(self, row: Payment) -> bool:
        """Offer it while something can go back."""
        return row.refundable_amount > 0

    def check(self, row: Payment) -> None:
        """Refuse where nothing is left."""
        quote_refund(row, despite_unclear=True).check()

    def initial(self, row: Payment) -> dict[str, Any]:
        """Fill in all that is left."""
        return {"amount": quote_refund(row, despite_unclear=True).check().amount}

    def effects(self, row: Payment, values: Values | None = None) -> Iterable[Text]:
        """Say how much is refunded and how much is kept."""
        name = provider_name(row.provider_id)
        yield from _unclear(row, OperationKind.REFUND)
        if values is None:
            left = quote_refund(row, despite_unclear=True).check().left
            yield _("%(captured)s was captured through %(provider)s; %(left)s can be refunded.") % {
                "captured": _text(row, row.captured_amount),
                "provider": name,
                "left": _text(row, left),
            }
            return
        despite_unclear = bool(values["despite_unclear"])
        quote = quote_refund(row, amount=values["amount"], despite_unclear=despite_unclear).check()
        yield _("%(amount)s will go back to the payer through %(provider)s.") % {
            "amount": _text(row, quote.amount),
            "provider": name,
        }
        yield from _kept(row, quote.kept - quote.amount)

    def run(self, row: Payment, values: Values, actor: Any) -> None:
        """Give it back."""
        refund_payment(
            row,
            amount=values["amount"],
            reason=values["reason"],
            note=values["note"] or "",
            despite_unclear=bool(values["despite_unclear"]),
            actor=actor,
            source=EventSource.ADMIN,
        )

    def report(self, row: Payment, values: Values) -> Report:
        """Say what went back."""
        message = _("%(amount)s was refunded.") % {"amount": _text(row, values["amount"])}
        return Report(text=" ".join([message, *_kept(row, quote_refund(row).kept)]))


class CancelPayment(Action[Payment]):
    """The release of what a payment holds."""

    slug = "cancel"
    label = gettext_lazy("Release…")
    heading = gettext_lazy("Release what a payment holds")
    bulk_label = gettext_lazy("Release what is held")
    permission = "cancel_payment"
    is_grave = True

    def is_offered(self, row: Payment) -> bool:
        """Offer it while something is held."""
        return row.capturable_amount > 0 and row.status != PaymentStatus.CANCELED

    def check(self, row: Payment) -> None:
        """Refuse where nothing can be released now."""
        quote_release(row).check()

    def moving_amount(self, row: Payment, values: Values) -> Decimal | None:
        """Return how much is released."""
        return row.capturable_amount

    def effects(self, row: Payment, values: Values | None = None) -> Iterable[Text]:
        """Say how much is released."""
        yield _("%(provider)s will release the %(amount)s hold.") % {
            "amount": _text(row, row.capturable_amount),
            "provider": provider_name(row.provider_id),
        }
        yield _("This can't be undone: to take it later, the payer has to authorize it again.")

    def run(self, row: Payment, values: Values, actor: Any) -> None:
        """Release it."""
        cancel_payment(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: Payment, values: Values) -> Report:
        """Say how much was released."""
        text = _("%(amount)s was released.") % {"amount": _text(row, row.canceled_amount)}
        return Report(text=text)


class SyncPayment(Sync[Payment]):
    """A question to the provider about a payment."""

    unknown = gettext_lazy("The provider doesn't know this payment. Nothing was changed.")

    def is_offered(self, row: Payment) -> bool:
        """Offer it where the provider can be asked."""
        return can_be_asked(row.provider_id)


PAYMENT_ACTIONS = (CapturePayment(), RefundPayment(), CancelPayment(), SyncPayment())


def _unclear(payment: Payment, kind: OperationKind) -> Iterable[str]:
    """Yield what the same verb may have done already."""
    asked = open_rows().filter(payment=payment, kind=kind)
    succeeded = Q(capture__status=MovementStatus.SUCCEEDED) | Q(refund__status=MovementStatus.SUCCEEDED)
    for operation in asked.exclude(succeeded):
        if is_unclear(operation):
            yield unclear_text(operation)


def _kept(payment: Payment, amount: Decimal) -> Iterable[str]:
    """Yield how much of what was captured is kept, if anything is."""
    if amount:
        yield _("%(kept)s of this payment is kept.") % {"kept": _text(payment, amount)}


def _text(payment: Payment, amount: Decimal) -> str:
    return amount_text(amount, payment.currency_code)
