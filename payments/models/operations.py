"""The operation: one intended call to a provider, committed before the call is made.

After a crash, its row shows that something may have been sent, under which idempotency key, and for how much.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CheckConstraint, Index, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.base import (
    KeptQuerySet,
    LeasedModel,
    RefusableModel,
    index_where_set,
    status_has,
    status_is_known,
)
from payments.models.collections import PaymentCollection
from payments.models.fields import ANY_OTHER, KeyField, StatusField, transition
from payments.models.movements import Capture, Refund
from payments.models.payments import Payment
from payments.models.providers import PaymentProvider
from payments.models.sessions import PaymentSession
from payments.money import AmountField
from payments.states import OPEN_OPERATION_STATUSES, EventSource, OperationKind
from payments.states import OperationStatus as Status


def _was_decided(operation: Any) -> bool:
    """Return whether a person has resolved an operation, or booked its money as received outside of any provider."""
    return bool(operation.resolution_reason) or operation.is_receipt


class PaymentOperationQuerySet(KeptQuerySet["PaymentOperation"]):
    """Payment operations."""

    def open(self) -> PaymentOperationQuerySet:
        """Select the operations that may still stand for money: by their key, since few rows have one."""
        return self.filter(in_flight_key__isnull=False)


class PaymentOperation(RefusableModel, LeasedModel):
    """One intended call to a provider, and its outcome.

    What the request is built from is stored when the operation is claimed, so that a retry sends the same request.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_operation_id, editable=False)
    kind = models.CharField(_("kind"), max_length=16, choices=OperationKind.choices)
    status = StatusField(_("status"), choices=Status, default=Status.PROCESSING)
    # The row that the call acts on: a session, a payment, a capture or a refund.
    target_id = KeyField(_("target"))
    # Set while the operation is open, so that the database allows one per target and kind. A partial unique index would
    # do the same, but MariaDB has none.
    in_flight_key = KeyField(max_length=96, null=True, unique=True, editable=False)
    collection = models.ForeignKey(
        PaymentCollection, verbose_name=_("collection"), on_delete=models.PROTECT, related_name="operations"
    )
    session = models.ForeignKey(
        PaymentSession, verbose_name=_("session"), on_delete=models.PROTECT, related_name="operations"
    )
    payment = models.ForeignKey(
        Payment,
        verbose_name=_("payment"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="operations",
    )
    capture = models.ForeignKey(
        Capture,
        verbose_name=_("capture"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="operations",
        db_index=False,
    )
    refund = models.ForeignKey(
        Refund,
        verbose_name=_("refund"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="operations",
        db_index=False,
    )
    provider = models.ForeignKey(
        PaymentProvider, verbose_name=_("provider"), on_delete=models.PROTECT, related_name="operations"
    )
    amount = AmountField(_("amount"))
    # Marks a capture of all that is left.
    is_final = models.BooleanField(_("final"), default=False)
    # Marks an update that gives a session an amount of its own.
    makes_split = models.BooleanField(_("makes a split"), default=False)
    # A digest of the HTTP request that asked for the operation, if that had an `Idempotency-Key`.
    request_key = KeyField(_("request key"), null=True, blank=True, editable=False)
    input = models.JSONField(_("input"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    # The payment method that the shop charges off-session.
    saved_method = KeyField(_("saved payment method"), max_length=255, null=True, blank=True, editable=False)
    # Whether the requester may not be the customer, and so can't use or add saved payment methods.
    refuses_saved = models.BooleanField(_("refuses what is saved"), default=False, editable=False)
    # The capture or refund that the claim had created, if a person has linked another one as what the operation did.
    own_movement_id = KeyField(_("own movement"), null=True, blank=True, editable=False)
    provider_log = models.JSONField(_("provider log"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    detail = models.TextField(_("detail"), blank=True, default="")
    discrepancies = models.JSONField(_("discrepancies"), default=list, blank=True, editable=False)
    source = models.CharField(
        _("source"), max_length=16, choices=EventSource.choices, default=EventSource.SHOP
    )
    is_by_payer = models.BooleanField(_("by the payer"), default=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("actor"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    # Private: the values of other rows that the request includes, as they were at the claim.
    sent = models.JSONField(_("sent"), null=True, blank=True, editable=False, encoder=DjangoJSONEncoder)
    # The time of the claim by the database's clock: the window of the idempotency key starts here.
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True, editable=False)
    # The time at which the outcome last became unknown, by the database's clock.
    unclear_since = models.DateTimeField(_("unclear since"), null=True, blank=True, editable=False)
    checks = models.PositiveIntegerField(_("checks"), default=0)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("resolved by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    resolution_reason = models.TextField(_("resolution reason"), blank=True, default="")
    resolution_evidence = models.TextField(_("resolution evidence"), blank=True, default="")

    objects: ClassVar[PaymentOperationQuerySet] = PaymentOperationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("payment operation")
        verbose_name_plural = _("payment operations")
        ordering = ["-created_at", "-id"]
        constraints = [
            status_is_known("payments_operation_status_known", Status),
            status_has(
                "payments_operation_finished_has_time",
                Q(finished_at__isnull=False),
                Status.SUCCEEDED,
                Status.DECLINED,
                Status.NOT_SENT,
            ),
            status_has(
                "payments_operation_refused_has_code",
                ~Q(error_code=""),
                Status.DECLINED,
                Status.NOT_SENT,
                either=OPEN_OPERATION_STATUSES,
            ),
            status_has(
                "payments_operation_attention_has_detail",
                ~Q(detail=""),
                Status.ATTENTION,
                either=set(Status) - {Status.ATTENTION},
            ),
            CheckConstraint(condition=Q(kind__in=OperationKind.values), name="payments_operation_kind_known"),
            CheckConstraint(condition=Q(amount__gt=0), name="payments_operation_amount_positive"),
            status_has(
                "payments_operation_in_flight_while_open",
                Q(in_flight_key__isnull=False),
                *OPEN_OPERATION_STATUSES,
            ),
            CheckConstraint(
                condition=~Q(status__in=[Status.PENDING, Status.UNKNOWN]) | Q(next_attempt_at__isnull=False),
                name="payments_operation_looked_at_while_waiting",
            ),
        ]
        indexes = [
            Index(fields=["status", "next_attempt_at"], name="payments_op_status_idx"),
            Index(fields=["-created_at"], name="payments_op_created_idx"),
            Index(
                fields=["error_code", "-created_at"],
                condition=Q(error_code__gt=""),
                name="payments_op_error_idx",
            ),
            *(
                index_where_set(name, name=f"payments_op_{name}_idx")
                for name in ("capture", "refund", "actor", "resolved_by", "request_key")
            ),
        ]
        permissions = [("resolve_operation", _("Can resolve operations that need attention"))]

    def __str__(self) -> str:
        return f"{self.id} ({self.get_kind_display()})"

    @property
    def is_open(self) -> bool:
        """Whether the operation may still stand for money."""
        return self.status in OPEN_OPERATION_STATUSES

    was_decided = property(_was_decided)

    @property
    def is_receipt(self) -> bool:
        """Whether a person has told of money that was received outside of any provider."""
        return self.capture is not None and self.capture.received_at is not None

    @property
    def currency_code(self) -> str:
        """The collection's currency, ISO 4217 in lower case."""
        return self.collection.currency_code

    @classmethod
    def key_in_flight(cls, *, target_id: str, kind: str) -> str:
        """Return the value of `in_flight_key`, which is unique among the open operations."""
        return f"{kind}:{target_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row; on insertion, set `in_flight_key` if the operation is open."""
        if self._state.adding and self.is_open:
            self.in_flight_key = self.key_in_flight(target_id=self.target_id, kind=self.kind)
        super().save(*args, **kwargs)

    @transition(status, source=[Status.PROCESSING, Status.UNKNOWN], target=Status.PENDING)
    def await_provider(self) -> None:
        """Record that the provider has accepted the request and will report its outcome later."""

    @transition(status, source=[Status.PROCESSING, Status.PENDING], target=Status.UNKNOWN)
    def mark_unknown(self) -> None:
        """Record that the request may have been sent, and that its outcome is unknown."""

    @transition(status, source=ANY_OTHER, target=Status.ATTENTION)
    def require_attention(self, *, detail: str) -> None:
        """Record that the operation needs attention; from a final status when a later fact contradicts it."""
        self.detail = detail
        self.finished_at = None
        self.end_lease()
        self.in_flight_key = self.key_in_flight(target_id=self.target_id, kind=self.kind)

    @transition(status, source=ANY_OTHER, target=Status.SUCCEEDED)
    def succeed(self) -> None:
        """Record that the operation was done; from a final status when the provider reports a late success."""
        self._finish()
        self.clear_error()

    @transition(
        status,
        source=[Status.PROCESSING, Status.PENDING, Status.UNKNOWN, Status.ATTENTION],
        target=Status.DECLINED,
    )
    def decline(self, *, code: str, message: str | Promise) -> None:
        """Record that the provider refused, for certain."""
        self._finish()
        self.set_error(code, message)

    @transition(status, source=[Status.PROCESSING, Status.UNKNOWN, Status.ATTENTION], target=Status.NOT_SENT)
    def mark_not_sent(self, *, code: str, message: str | Promise) -> None:
        """Record that the request never reached the provider, for certain."""
        self._finish()
        self.set_error(code, message)

    @transition(status, source=[Status.SUCCEEDED], target=Status.DECLINED, conditions=[_was_decided])
    def correct(self, *, code: str) -> None:
        """Record that a person had resolved the operation as done by mistake."""
        self._finish()
        self.error_code = code
        self.error_message = ""

    def _finish(self) -> None:
        self.finished_at = timezone.now()
        self.in_flight_key = None
        self.end_lease()
        self.next_attempt_at = None
