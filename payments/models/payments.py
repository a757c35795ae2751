"""The payment: what an authorized session becomes. Its sums and status follow from its captures and refunds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CheckConstraint, F, Index, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.base import (
    DerivedStatusModel,
    KeptQuerySet,
    index_where_set,
    status_follows,
    status_is_known,
)
from payments.models.collections import PaymentCollection
from payments.models.fields import ANY_OTHER, KeyField, StatusField, transition
from payments.models.providers import PaymentProvider
from payments.models.sessions import PaymentSession
from payments.money import ZERO, AmountField, display_amount
from payments.states import PaymentStatus as Status

_ALL_DONE: Final = Q(amount=F("captured_amount") + F("canceled_amount"))
_FACTS: Final[Mapping[Status, Q]] = {
    Status.AUTHORIZED: Q(captured_amount=ZERO) & ~_ALL_DONE,
    Status.CANCELED: Q(captured_amount=ZERO) & _ALL_DONE,
    Status.PARTIALLY_CAPTURED: Q(captured_amount__gt=ZERO, refunded_amount=ZERO) & ~_ALL_DONE,
    Status.CAPTURED: Q(captured_amount__gt=ZERO, refunded_amount=ZERO) & _ALL_DONE,
    Status.PARTIALLY_REFUNDED: Q(refunded_amount__gt=ZERO)
    & ~(Q(refunded_amount=F("captured_amount")) & _ALL_DONE),
    Status.REFUNDED: Q(refunded_amount__gt=ZERO, refunded_amount=F("captured_amount")) & _ALL_DONE,
}
"""The rules of `derive_status` as conditions."""


class PaymentQuerySet(KeptQuerySet["Payment"]):
    """Payments."""


class Payment(DerivedStatusModel):
    """An amount that a provider holds, has captured, or has refunded, in parts.

    `amount` is what was authorized, which may be less than the session's amount. `canceled_amount` is the part that was
    released without being captured. `charged_back_amount` is how much of the captured money the payer's bank has
    charged back, and `reinstated_amount` how much of that came back after a dispute was won. A session becomes one
    payment, once.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_payment_id, editable=False)
    collection = models.ForeignKey(
        PaymentCollection, verbose_name=_("collection"), on_delete=models.PROTECT, related_name="payments"
    )
    session = models.OneToOneField(
        PaymentSession, verbose_name=_("session"), on_delete=models.PROTECT, related_name="authorized_payment"
    )
    provider = models.ForeignKey(
        PaymentProvider, verbose_name=_("provider"), on_delete=models.PROTECT, related_name="payments"
    )
    status: StatusField[str, Status] = StatusField(_("status"), choices=Status, default=Status.AUTHORIZED)
    amount = AmountField(_("amount"))
    captured_amount = AmountField(_("captured amount"), default=ZERO)
    refunded_amount = AmountField(_("refunded amount"), default=ZERO)
    canceled_amount = AmountField(_("canceled amount"), default=ZERO)
    charged_back_amount = AmountField(_("charged back amount"), default=ZERO)
    reinstated_amount = AmountField(_("reinstated amount"), default=ZERO)
    provider_data = models.JSONField(_("provider data"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    provider_reference = KeyField(_("provider reference"), max_length=255, null=True, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    expires_at = models.DateTimeField(_("authorization expires at"), null=True, blank=True)
    is_by_person = models.BooleanField(_("booked by a person"), default=False, editable=False)
    captured_at = models.DateTimeField(_("captured at"), null=True, blank=True)
    canceled_at = models.DateTimeField(_("canceled at"), null=True, blank=True)

    transitions: ClassVar[Mapping[Status, str]] = {
        Status.AUTHORIZED: "hold_again",
        Status.PARTIALLY_CAPTURED: "capture_partially",
        Status.CAPTURED: "capture",
        Status.PARTIALLY_REFUNDED: "refund_partially",
        Status.REFUNDED: "refund",
        Status.CANCELED: "cancel",
    }

    objects: ClassVar[PaymentQuerySet] = PaymentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-created_at", "-id"]
        constraints = [
            status_is_known("payments_payment_status_known", Status),
            status_follows("payments_payment_status_follows_amounts", _FACTS),
            CheckConstraint(condition=Q(amount__gt=0), name="payments_payment_amount_positive"),
            CheckConstraint(
                condition=Q(captured_amount__gte=0, captured_amount__lte=F("amount")),
                name="payments_payment_captured_lte_amount",
            ),
            CheckConstraint(
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("captured_amount")),
                name="payments_payment_refunded_lte_captured",
            ),
            CheckConstraint(
                condition=Q(canceled_amount__gte=0, canceled_amount__lte=F("amount") - F("captured_amount")),
                name="payments_payment_canceled_lte_uncaptured",
            ),
            CheckConstraint(
                condition=Q(charged_back_amount__lte=F("captured_amount") + F("reinstated_amount")),
                name="payments_payment_charged_back_lte_captured",
            ),
            CheckConstraint(
                condition=Q(reinstated_amount__gte=0, reinstated_amount__lte=F("charged_back_amount")),
                name="payments_payment_reinstated_lte_charged_back",
            ),
            UniqueConstraint(
                fields=["provider_reference", "provider"], name="payments_payment_provider_reference_unique"
            ),
        ]
        indexes = [
            Index(fields=["status", "-created_at"], name="payments_pay_status_idx"),
            Index(fields=["amount"], name="payments_pay_amount_idx"),
            index_where_set("status", "expires_at", name="payments_pay_expiry_idx"),
            Index(fields=["-created_at"], name="payments_pay_created_idx"),
        ]
        permissions = [
            ("capture_payment", _("Can capture payments")),
            ("refund_payment", _("Can refund payments")),
            ("cancel_payment", _("Can cancel payments")),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({display_amount(self.amount, self.currency_code)})"

    @property
    def currency_code(self) -> str:
        """The collection's currency, ISO 4217 in lower case."""
        return self.collection.currency_code

    @property
    def capturable_amount(self) -> Decimal:
        """What is still held, in major units, whatever pending captures reserve."""
        return self.amount - self.captured_amount - self.canceled_amount

    @property
    def refundable_amount(self) -> Decimal:
        """What was captured and neither refunded nor charged back, in major units, whatever pending refunds reserve."""
        return max(self.captured_amount - self.refunded_amount - self.net_charged_back_amount, ZERO)

    @property
    def is_taken_back(self) -> bool:
        """Whether a person has corrected the authorization as booked by mistake; a provider's release doesn't count."""
        return self.is_by_person and self.canceled_amount == self.amount

    @property
    def net_charged_back_amount(self) -> Decimal:
        """What the payer's bank has charged back and not reinstated, in major units."""
        return self.charged_back_amount - self.reinstated_amount

    def derive_status(self) -> Status:
        """Return the status that follows from the amounts."""
        if self.captured_amount == ZERO:
            return Status.CANCELED if self.capturable_amount == ZERO else Status.AUTHORIZED
        if self.refunded_amount > ZERO:
            is_over = self.refunded_amount == self.captured_amount and self.capturable_amount == ZERO
            return Status.REFUNDED if is_over else Status.PARTIALLY_REFUNDED
        return Status.CAPTURED if self.capturable_amount == ZERO else Status.PARTIALLY_CAPTURED

    @transition(
        status,
        source=[Status.PARTIALLY_CAPTURED, Status.CAPTURED, Status.CANCELED],
        target=Status.AUTHORIZED,
    )
    def hold_again(self) -> None:
        """Record a person's correction: nothing was captured, or, from `canceled`, the amount is held after all."""

    @transition(
        status,
        source=[Status.AUTHORIZED, Status.CAPTURED, Status.CANCELED, Status.PARTIALLY_REFUNDED],
        target=Status.PARTIALLY_CAPTURED,
    )
    def capture_partially(self) -> None:
        """Record that a part is captured; from a later status after a correction, or when the only refund failed."""

    @transition(status, source=ANY_OTHER, target=Status.CAPTURED)
    def capture(self) -> None:
        """Record that all that isn't released is captured; from `refunded` when a refund failed late."""

    @transition(status, source=ANY_OTHER, target=Status.PARTIALLY_REFUNDED)
    def refund_partially(self) -> None:
        """Record that a part is refunded, while something is left to refund or to capture."""

    @transition(status, source=ANY_OTHER, target=Status.REFUNDED)
    def refund(self) -> None:
        """Record that all captured money is refunded, with nothing left to capture."""

    @transition(
        status,
        source=[Status.AUTHORIZED, Status.PARTIALLY_CAPTURED, Status.CAPTURED],
        target=Status.CANCELED,
    )
    def cancel(self) -> None:
        """Record that the whole amount is released; from `captured` after a person's correction of the only capture."""
