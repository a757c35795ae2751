"""The movements of money: captures and refunds, each of a part of a payment."""

from __future__ import annotations

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.base import KeptQuerySet, RefusableModel, index_where_set, status_has, status_is_known
from payments.models.fields import KeyField, StatusField, transition, was_booked_by_person
from payments.models.payments import Payment
from payments.money import AmountField, display_amount
from payments.states import MovementKind
from payments.states import MovementStatus as Status


class RefundReason(models.Model):
    """A reason for refunds, such as “damaged”. One that a refund uses can't be deleted."""

    id = KeyField(_("id"), primary_key=True, default=ids.new_refund_reason_id, editable=False)
    label = models.CharField(_("label"), max_length=255, unique=True)
    description = models.TextField(_("description"), blank=True, default="")
    metadata = models.JSONField(_("metadata"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("refund reason")
        verbose_name_plural = _("refund reasons")
        ordering = ["label"]

    def __str__(self) -> str:
        return self.label


class Movement(RefusableModel):
    """What captures and refunds share; `is_by_person` marks one that a person has booked and no provider confirmed."""

    kind: ClassVar[MovementKind]

    payment = models.ForeignKey(
        Payment, verbose_name=_("payment"), on_delete=models.PROTECT, related_name="%(class)ss"
    )
    status = StatusField(_("status"), choices=Status, default=Status.PENDING)
    amount = AmountField(_("amount"))
    provider_reference = KeyField(_("provider reference"), max_length=255, null=True, blank=True)
    succeeded_at = models.DateTimeField(_("succeeded at"), null=True, blank=True)
    note = models.TextField(_("note"), blank=True, default="")
    metadata = models.JSONField(_("metadata"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    is_by_person = models.BooleanField(_("booked by a person"), default=False, editable=False)
    is_named_by_person = models.BooleanField(_("named by a person"), default=False, editable=False)

    class Meta:
        abstract = True
        ordering = ["created_at", "id"]
        constraints = [
            status_is_known("payments_%(class)s_status_known", Status),
            status_has("payments_%(class)s_failed_has_code", ~Q(error_code=""), Status.FAILED),
            CheckConstraint(condition=Q(amount__gt=0), name="payments_%(class)s_amount_positive"),
            UniqueConstraint(
                fields=["provider_reference", "payment"],
                name="payments_%(class)s_provider_reference_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({display_amount(self.amount, self.currency_code)})"

    @property
    def currency_code(self) -> str:
        """The collection's currency, ISO 4217 in lower case."""
        return self.payment.currency_code

    @transition(status, source=[Status.PENDING, Status.FAILED], target=Status.SUCCEEDED)
    def succeed(self) -> None:
        """Record that the money has moved; from `failed` when the provider reports a success later."""
        self.clear_error()

    @transition(status, source=[Status.SUCCEEDED], target=Status.FAILED, conditions=[was_booked_by_person])
    def correct(self, *, code: str) -> None:
        """Record that a person has booked it by mistake and no provider has reported it; its amount is released."""
        self.error_code = code
        self.succeeded_at = None
        self.is_by_person = False


class Capture(Movement):
    """One movement of money to the merchant. While it is pending, it reserves its amount.

    For money from outside of any provider, `received_at` is when it was received, `reference` is that of the payer's
    bank, and `note` is a person's remark.
    """

    kind = MovementKind.CAPTURE

    id = KeyField(_("id"), primary_key=True, default=ids.new_capture_id, editable=False)
    received_at = models.DateTimeField(_("received at"), null=True, blank=True)
    reference = models.CharField(_("payer's reference"), max_length=255, blank=True, default="")

    objects: ClassVar[KeptQuerySet[Capture]] = KeptQuerySet.as_manager()  # type: ignore[assignment]

    class Meta(Movement.Meta):
        verbose_name = _("capture")
        verbose_name_plural = _("captures")
        constraints = [
            *Movement.Meta.constraints,
            status_has(
                "payments_capture_succeeded_has_time", Q(succeeded_at__isnull=False), Status.SUCCEEDED
            ),
        ]
        indexes = [index_where_set("succeeded_at", name="payments_cap_succeeded_idx")]

    @transition("status", source=[Status.PENDING], target=Status.FAILED)
    def fail(self, *, code: str, message: str | Promise) -> None:
        """Record that certainly no money has moved; the amount is released."""
        self.set_error(code, message)


class Refund(Movement):
    """One movement of money to the payer. While it is pending, it reserves its amount."""

    kind = MovementKind.REFUND

    id = KeyField(_("id"), primary_key=True, default=ids.new_refund_id, editable=False)
    reason = models.ForeignKey(
        RefundReason,
        verbose_name=_("reason"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="refunds",
    )

    objects: ClassVar[KeptQuerySet[Refund]] = KeptQuerySet.as_manager()  # type: ignore[assignment]

    class Meta(Movement.Meta):
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            *Movement.Meta.constraints,
            status_has(
                "payments_refund_succeeded_has_time",
                Q(succeeded_at__isnull=False),
                Status.SUCCEEDED,
                either=[Status.FAILED],
            ),
        ]
        indexes = [index_where_set("succeeded_at", name="payments_ref_succeeded_idx")]

    @transition("status", source=[Status.PENDING, Status.SUCCEEDED], target=Status.FAILED)
    def fail(self, *, code: str, message: str | Promise) -> None:
        """Record that no money has moved; from `succeeded` when the payer's bank returned the money days later."""
        self.set_error(code, message)
