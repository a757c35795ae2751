"""The capture: one taking of money out of a payment."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import CheckConstraint, Index, Q, UniqueConstraint
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from payments import ids
from payments.models.base import NAMELESS_FAILURE, KeptQuerySet, RefusableModel, status_has, status_is_known
from payments.models.fields import KeyField, StatusField, was_booked_by_person
from payments.models.payments import Payment
from payments.money import AmountField, display_amount
from payments.states import MovementStatus as Status


class Capture(RefusableModel):
    """Be one movement of money to the merchant. While it is pending, it reserves its amount.

    Of money that was received outside of any provider, `received_at` says when, `reference` how the payer's bank calls
    it, and `note` what else there is to know.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_capture_id, editable=False)
    payment = models.ForeignKey(
        Payment, verbose_name=_("payment"), on_delete=models.PROTECT, related_name="captures"
    )
    status = StatusField(_("status"), choices=Status.choices, default=Status.PENDING)
    amount = AmountField(_("amount"))
    provider_reference = KeyField(_("provider reference"), max_length=255, null=True, blank=True)
    error_code = models.CharField(_("error code"), max_length=64, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    succeeded_at = models.DateTimeField(_("succeeded at"), null=True, blank=True)
    received_at = models.DateTimeField(_("received at"), null=True, blank=True)
    reference = models.CharField(_("payer's reference"), max_length=255, blank=True, default="")
    note = models.TextField(_("note"), blank=True, default="")
    is_by_person = models.BooleanField(_("booked by a person"), default=False, editable=False)
    is_named_by_person = models.BooleanField(_("named by a person"), default=False, editable=False)

    objects: ClassVar[KeptQuerySet[Capture]] = KeptQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("capture")
        verbose_name_plural = _("captures")
        ordering = ["created_at", "id"]
        constraints = [
            status_is_known("payments_capture_status_known", Status),
            status_has(
                "payments_capture_succeeded_has_time",
                Q(succeeded_at__isnull=False),
                Status.SUCCEEDED,
            ),
            status_has("payments_capture_failed_has_code", ~Q(error_code=""), Status.FAILED),
            CheckConstraint(condition=Q(amount__gt=0), name="payments_capture_amount_positive"),
            UniqueConstraint(
                fields=["provider_reference", "payment"], name="payments_capture_provider_reference_unique"
            ),
        ]
        indexes = [Index(fields=["status", "succeeded_at"], name="payments_cap_succeeded_idx")]

    def __str__(self) -> str:
        return f"{self.id} ({display_amount(self.amount, self.currency_code)})"

    @property
    def currency_code(self) -> str:
        """The collection's currency, ISO 4217 in lower case."""
        return self.payment.currency_code

    @transition(status, source=[Status.PENDING, Status.FAILED], target=Status.SUCCEEDED)
    def succeed(self) -> None:
        """Have moved the money; from `failed` when the provider reports later that it did after all."""
        self.error_code = ""
        self.error_message = ""

    @transition(status, source=[Status.PENDING], target=Status.FAILED)
    def fail(self, *, code: str, message: str) -> None:
        """Have moved nothing, for certain; the amount is free again."""
        self.error_code = code or NAMELESS_FAILURE
        self.error_message = message

    @transition(status, source=[Status.SUCCEEDED], target=Status.FAILED, conditions=[was_booked_by_person])
    def correct(self, *, code: str) -> None:
        """Have been booked by mistake by a person, and reported by no provider; the amount is free again."""
        self.error_code = code
        self.succeeded_at = None
        self.is_by_person = False
