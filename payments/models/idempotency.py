"""The stored answer to a client's `Idempotency-Key`."""

from __future__ import annotations

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import UniqueConstraint
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.models.base import PinnedQuerySet
from payments.models.fields import KeyField


class IdempotencyRecord(models.Model):
    """The answer to a request, kept so that repeating the request changes nothing.

    `scope` is a digest of principal and route, `fingerprint` the SHA-256 of the body. While the first request is under
    way, `response_status` is empty and `response_body` may describe the requester. Records expire, since they stand for
    an answer and not for money.
    """

    scope = KeyField(_("scope"), max_length=255)
    key = KeyField(_("key"), max_length=255)
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    response_status = models.PositiveSmallIntegerField(_("response status"), null=True, blank=True)
    response_body = models.JSONField(
        _("response body"), null=True, blank=True, default=None, encoder=DjangoJSONEncoder
    )
    locked_until = models.DateTimeField(_("locked until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"), db_index=True)

    objects: ClassVar[PinnedQuerySet[IdempotencyRecord]] = PinnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
        ordering = ["-created_at"]
        constraints = [UniqueConstraint(fields=["scope", "key"], name="payments_idempotency_key_unique")]

    def __str__(self) -> str:
        return str(self.key)
