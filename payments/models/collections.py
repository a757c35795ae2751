"""The payment collection: all that is to be paid for one resource.

It is the aggregate root: rows below it change only under its row lock, and its totals and status are computed from
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CheckConstraint, F, Index, Q
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.base import DerivedStatusModel, KeptQuerySet, status_follows, status_has, status_is_known
from payments.models.fields import ANY_OTHER, KeyField, StatusField, transition
from payments.models.payables import MAX_KEY, PayableForeignKey, names_of
from payments.money import ZERO, AmountField, display_amount
from payments.states import CollectionStatus as Status

_IS_CANCELED: Final = Q(canceled_at__isnull=False)
_IS_OVER: Final = (
    Q(captured_amount__gt=ZERO, captured_amount=F("refunded_amount"), authorized_amount=F("captured_amount"))
) & (_IS_CANCELED | Q(captured_amount__gte=F("amount")))
_IS_NOTHING_HELD: Final = Q(authorized_amount=ZERO)
_IS_HELD: Final = Q(authorized_amount__gt=ZERO, captured_amount=ZERO)
_IS_TAKEN: Final = Q(captured_amount__gt=ZERO) & ~_IS_OVER
_FACTS: Final[Mapping[Status, Q]] = {
    Status.NOT_PAID: _IS_NOTHING_HELD & ~_IS_CANCELED,
    Status.AWAITING: _IS_NOTHING_HELD & ~_IS_CANCELED,
    Status.PARTIALLY_AUTHORIZED: _IS_HELD & Q(authorized_amount__lt=F("amount")),
    Status.AUTHORIZED: _IS_HELD & Q(authorized_amount__gte=F("amount")),
    Status.PARTIALLY_CAPTURED: _IS_TAKEN & Q(captured_amount__lt=F("amount")),
    Status.COMPLETED: _IS_TAKEN & Q(captured_amount__gte=F("amount")),
    Status.CANCELED: _IS_OVER | (_IS_NOTHING_HELD & _IS_CANCELED),
}
"""The rules of `derive_status` as conditions; open sessions are in another table, so no constraint can check them."""


class PaymentCollectionQuerySet(KeptQuerySet["PaymentCollection"]):
    """Payment collections."""

    def for_payable(self, payable: models.Model) -> PaymentCollectionQuerySet:
        """Select the collections of one of the shop's rows."""
        types = ContentType.objects.db_manager(self.db)
        names = [
            Q(payable_type=types.get_for_model(model), payable_id=key) for model, key in names_of(payable)
        ]
        return self.filter(Q(*names, _connector=Q.OR)) if names else self.none()

    def open(self) -> PaymentCollectionQuerySet:
        """Select the collections that can still be paid."""
        return self.exclude(status__in=[Status.COMPLETED, Status.CANCELED]).filter(canceled_at=None)


class PaymentCollection(DerivedStatusModel):
    """All that is to be paid for one resource, and what has been authorized, captured and refunded of it.

    Amounts are exact decimals in major units of `currency_code` (ISO 4217, lower case), which all rows below share.
    `authorized_amount` is what is held or was captured; `captured_amount` and `refunded_amount` only grow.
    `charged_back_amount` is what payers' banks have charged back and not reinstated. `version` grows with every change
    of this row or a row below it. A new `secret_generation` ends the client secret that was given out. Providers show
    the `description` to the payer. `customer_key` is kept when the customer's row is deleted, so that the collection
    never passes for a guest's.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_collection_id, editable=False)
    status: StatusField[str, Status] = StatusField(_("status"), choices=Status, default=Status.NOT_PAID)
    currency_code = models.CharField(_("currency"), max_length=3)
    amount = AmountField(_("amount"))
    authorized_amount = AmountField(_("authorized amount"), default=ZERO)
    captured_amount = AmountField(_("captured amount"), default=ZERO)
    refunded_amount = AmountField(_("refunded amount"), default=ZERO)
    charged_back_amount = AmountField(_("charged back amount"), default=ZERO)
    payable_type = models.ForeignKey(
        ContentType,
        verbose_name=_("payable type"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    payable_id = KeyField(_("payable id"), max_length=MAX_KEY, null=True, blank=True)
    payable = PayableForeignKey("payable_type", "payable_id")
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("customer"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="payment_collections",
    )
    customer_key = KeyField(_("key of the customer"), max_length=255, blank=True, default="", editable=False)
    description = models.TextField(_("description"), blank=True, default="")
    metadata = models.JSONField(_("metadata"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    canceled_at = models.DateTimeField(_("canceled at"), null=True, blank=True)
    version = models.PositiveBigIntegerField(_("version"), default=0, editable=False)
    secret_generation = models.PositiveIntegerField(_("generation of its secret"), default=0, editable=False)

    transitions: ClassVar[Mapping[Status, str]] = {
        Status.NOT_PAID: "reset",
        Status.AWAITING: "await_authorization",
        Status.PARTIALLY_AUTHORIZED: "authorize_partially",
        Status.AUTHORIZED: "authorize",
        Status.PARTIALLY_CAPTURED: "capture_partially",
        Status.COMPLETED: "complete",
        Status.CANCELED: "cancel",
    }

    objects: ClassVar[PaymentCollectionQuerySet] = PaymentCollectionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("payment collection")
        verbose_name_plural = _("payment collections")
        ordering = ["-created_at", "-id"]
        constraints = [
            status_is_known("payments_collection_status_known", Status),
            status_follows("payments_collection_status_follows_amounts", _FACTS),
            status_has(
                "payments_collection_completed_has_time", Q(completed_at__isnull=False), Status.COMPLETED
            ),
            CheckConstraint(condition=Q(amount__gt=0), name="payments_collection_amount_positive"),
            CheckConstraint(
                condition=Q(authorized_amount__gte=0), name="payments_collection_authorized_gte_zero"
            ),
            CheckConstraint(
                condition=Q(captured_amount__gte=0, captured_amount__lte=F("authorized_amount")),
                name="payments_collection_captured_lte_authorized",
            ),
            CheckConstraint(
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("captured_amount")),
                name="payments_collection_refunded_lte_captured",
            ),
            CheckConstraint(
                condition=Q(charged_back_amount__gte=0, charged_back_amount__lte=F("captured_amount")),
                name="payments_collection_charged_back_lte_captured",
            ),
            CheckConstraint(
                condition=Q(payable_type__isnull=True, payable_id__isnull=True)
                | Q(payable_type__isnull=False, payable_id__isnull=False),
                name="payments_collection_payable_whole",
            ),
        ]
        indexes = [
            Index(
                fields=["-created_at", "-id"],
                condition=Q(charged_back_amount__gt=0),
                name="payments_col_charged_back_idx",
            ),
            Index(fields=["payable_id", "payable_type"], name="payments_col_payable_idx"),
            Index(fields=["status", "-created_at"], name="payments_col_status_idx"),
            Index(fields=["-created_at"], name="payments_col_created_idx"),
            Index(fields=["currency_code", "-created_at"], name="payments_col_currency_idx"),
            Index(fields=["amount"], name="payments_col_amount_idx"),
        ]
        permissions = [
            ("cancel_collection", _("Can cancel payment collections")),
            ("mark_as_paid", _("Can mark payment collections as paid")),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({display_amount(self.amount, self.currency_code)})"

    @property
    def is_canceled(self) -> bool:
        """Whether the collection was canceled; a fully refunded one has the same status, but wasn't."""
        return self.canceled_at is not None

    @property
    def is_fully_refunded(self) -> bool:
        """Whether money was captured and all of it was refunded."""
        return ZERO < self.captured_amount == self.refunded_amount

    @property
    def kept_amount(self) -> Decimal:
        """What is held, or was captured and neither refunded nor charged back, in major units."""
        return self.authorized_amount - self.refunded_amount - self.charged_back_amount

    @property
    def _is_over(self) -> bool:
        """Whether all money was refunded, and no more is held or expected."""
        is_over = self.is_canceled or self.captured_amount >= self.amount
        return is_over and self.is_fully_refunded and self.authorized_amount == self.captured_amount

    def derive_status(self, *, has_open_sessions: bool) -> Status:
        """Return the status that follows from the totals; `has_open_sessions` decides between awaiting and not paid."""
        if self._is_over:
            return Status.CANCELED
        if self.captured_amount > ZERO:
            return Status.COMPLETED if self.captured_amount >= self.amount else Status.PARTIALLY_CAPTURED
        if self.authorized_amount > ZERO:
            return Status.AUTHORIZED if self.authorized_amount >= self.amount else Status.PARTIALLY_AUTHORIZED
        if self.is_canceled:
            return Status.CANCELED
        return Status.AWAITING if has_open_sessions else Status.NOT_PAID

    @transition(
        status,
        source=[
            Status.AWAITING,
            Status.PARTIALLY_AUTHORIZED,
            Status.AUTHORIZED,
            Status.PARTIALLY_CAPTURED,
            Status.COMPLETED,
        ],
        target=Status.NOT_PAID,
    )
    def reset(self) -> None:
        """Record that nothing is open or authorized; from `completed` after a person's correction."""

    @transition(
        status,
        source=[
            Status.NOT_PAID,
            Status.PARTIALLY_AUTHORIZED,
            Status.AUTHORIZED,
            Status.PARTIALLY_CAPTURED,
            Status.COMPLETED,
        ],
        target=Status.AWAITING,
    )
    def await_authorization(self) -> None:
        """Record that a session waits for its authorization."""

    @transition(status, source=ANY_OTHER, target=Status.PARTIALLY_AUTHORIZED)
    def authorize_partially(self) -> None:
        """Record that a part of the amount is authorized; from `canceled` when a payer paid before the cancelation."""

    @transition(status, source=ANY_OTHER, target=Status.AUTHORIZED)
    def authorize(self) -> None:
        """Record that the whole amount is authorized; from `completed` after a person's correction of a capture."""

    @transition(status, source=ANY_OTHER, target=Status.PARTIALLY_CAPTURED)
    def capture_partially(self) -> None:
        """Record that a part of the amount is captured; from `completed` when the amount was raised afterwards."""

    @transition(status, source=ANY_OTHER, target=Status.COMPLETED)
    def complete(self) -> None:
        """Record that the whole amount is captured; from `canceled` when the refund of the last money failed late."""

    @transition(status, source=ANY_OTHER, target=Status.CANCELED)
    def cancel(self) -> None:
        """Record that the collection was canceled, or all its money refunded."""
