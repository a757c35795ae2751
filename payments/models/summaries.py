"""What a day's movements add up to, kept so that an overview of many days needn't read the movements."""

from __future__ import annotations

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _

from payments.models.base import PinnedQuerySet


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
