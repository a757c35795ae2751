"""The history: what changed, when, from where and by whom. Its rows are append-only, and are the outbox as well.

A summary keeps what the movements of a day add up to, so that an overview of many days needn't read them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CheckConstraint, Index, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import TransitionError
from payments.models.base import KeptQuerySet, PinnedQuerySet, forbid_deletion, index_where_set
from payments.models.collections import PaymentCollection
from payments.models.movements import Capture, Refund
from payments.models.operations import PaymentOperation
from payments.models.payments import Payment
from payments.models.sessions import PaymentSession
from payments.money import AmountField
from payments.states import EventSource

OUTBOX_FIELDS: Final = frozenset({"published_at", "lease_expires_at", "failed_attempts", "next_attempt_at"})


def keys_of_events(row: Any) -> dict[str, str]:
    """Return which collection the events of a row have, by which they are found, and which row of that kind."""
    if isinstance(row, PaymentCollection):
        return {"collection": row.pk}
    collection = row.payment.collection_id if isinstance(row, Capture | Refund) else row.collection_id
    return {"collection": collection, row._meta.model_name.removeprefix("payment") or "payment": row.pk}


class PaymentEventQuerySet(KeptQuerySet["PaymentEvent"]):
    """Events of the history."""

    def unpublished(self) -> PaymentEventQuerySet:
        """Select the events whose signals weren't sent yet, oldest first."""
        return self.filter(published_at__isnull=True).order_by("id")

    def of(self, row: Any) -> PaymentEventQuerySet:
        """Select the events of a collection, or of a row below it."""
        return self.filter(**keys_of_events(row))

    def update(self, **values: Any) -> int:
        """Write only the fields of the outbox, and refuse to rewrite history."""
        if not set(values) <= OUTBOX_FIELDS:
            raise TransitionError(_("Payment history can't be changed."), code="never_changed")
        return super().update(**values)


class PaymentEvent(models.Model):
    """One change in the history of a collection.

    A collection's ids are in the order of its changes, since each event is written under the collection's lock. `data`
    is redacted: it never contains anything from `provider_data`.
    """

    id = models.BigAutoField(primary_key=True)
    type = models.CharField(_("type"), max_length=64)
    collection = models.ForeignKey(
        PaymentCollection, verbose_name=_("collection"), on_delete=models.PROTECT, related_name="events"
    )
    session = models.ForeignKey(
        PaymentSession,
        verbose_name=_("session"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
        db_index=False,
    )
    payment = models.ForeignKey(
        Payment,
        verbose_name=_("payment"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
        db_index=False,
    )
    capture = models.ForeignKey(
        Capture,
        verbose_name=_("capture"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
        db_index=False,
    )
    refund = models.ForeignKey(
        Refund,
        verbose_name=_("refund"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
        db_index=False,
    )
    operation = models.ForeignKey(
        PaymentOperation,
        verbose_name=_("operation"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
        db_index=False,
    )
    from_status = models.CharField(_("from status"), max_length=32, blank=True, default="")
    to_status = models.CharField(_("to status"), max_length=32, blank=True, default="")
    amount = AmountField(_("amount"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=16, choices=EventSource.choices)
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
    actor_label = models.CharField(_("actor's name"), max_length=255, blank=True, default="")
    data = models.JSONField(_("data"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True)
    failed_attempts = models.PositiveSmallIntegerField(_("failed attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)

    objects: ClassVar[PaymentEventQuerySet] = PaymentEventQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("payment event")
        verbose_name_plural = _("payment events")
        ordering = ["id"]
        constraints = [
            CheckConstraint(condition=Q(source__in=EventSource.values), name="payments_event_source_known"),
        ]
        indexes = [
            Index(fields=["type"], name="payments_evt_type_idx"),
            Index(
                fields=["published_at", "id"],
                condition=Q(published_at__isnull=True),
                name="payments_evt_outbox_idx",
            ),
            index_where_set("next_attempt_at", name="payments_evt_retry_idx"),
            index_where_set("actor", name="payments_evt_actor_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.type} ({self.collection_id})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the event; afterwards, only the fields of the outbox may be written."""
        written = set(kwargs.get("update_fields") or ())
        if not self._state.adding and not (written and written <= OUTBOX_FIELDS):
            raise TransitionError(_("Payment history can't be changed."), code="never_changed")
        super().save(*args, **kwargs)

    def delete(self, using: Any = None, keep_parents: bool = False) -> Any:
        """Raise TransitionError."""
        forbid_deletion()


class DaySummary(models.Model):
    """The sums of a day that is over, in the shop's time zone.

    `sums` is empty until a worker has added up. A transaction that changes what happened on the day empties it again;
    `time_zone` is the one in which the day began and ended.
    """

    day = models.DateField(_("day"), primary_key=True)
    time_zone = models.CharField(_("time zone"), max_length=64)
    sums = models.JSONField(_("sums"), null=True, blank=True, default=None, encoder=DjangoJSONEncoder)

    objects: ClassVar[PinnedQuerySet[DaySummary]] = PinnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("summary of a day")
        verbose_name_plural = _("summaries of days")
        ordering = ["-day"]

    def __str__(self) -> str:
        return self.day.isoformat()
