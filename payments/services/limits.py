"""Limits on what one payer may try on one collection, against those who test stolen cards on a shop.

They are counted from rows under the collection's lock, so that they hold however many requests come at once. Only what
the storefront asks for counts: an operator, or the shop's own code, may go on.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import Rate, throttle_rate
from payments.exceptions import LimitError
from payments.models import PaymentCollection, PaymentEvent, PaymentOperation
from payments.services.origins import Origin
from payments.states import EventSource, OperationKind


def refuse_excessive_sessions(collection: PaymentCollection, origin: Origin) -> None:
    """Raise LimitError where a payer has created as many sessions of a locked collection as they may for now."""
    rate = throttle_rate("SESSIONS_PER_COLLECTION")
    if origin.source == EventSource.STOREFRONT and rate is not None:
        created: QuerySet[Any] = PaymentEvent.objects.filter(collection=collection, type="session.created")
        _refuse_excess(created, rate, code="too_many_sessions")


def refuse_excessive_authorizations(collection: PaymentCollection, origin: Origin) -> None:
    """Raise LimitError where a payer has tried to authorize sessions of a locked collection as often as they may."""
    rate = throttle_rate("AUTHORIZATIONS_PER_COLLECTION")
    if origin.source == EventSource.STOREFRONT and rate is not None:
        tried: QuerySet[Any] = PaymentOperation.objects.filter(
            collection=collection, kind=OperationKind.AUTHORIZE
        )
        _refuse_excess(tried, rate, code="too_many_authorizations")


def refuse_excessive_updates(collection: PaymentCollection, origin: Origin) -> None:
    """Raise LimitError where a payer has changed sessions of a locked collection as often as they may for now.

    What a provider was asked for counts, whatever it answered, and so does what was changed without asking one.
    """
    rate = throttle_rate("UPDATES_PER_COLLECTION")
    if origin.source == EventSource.STOREFRONT and rate is not None:
        asked: QuerySet[Any] = PaymentOperation.objects.filter(
            collection=collection, kind=OperationKind.UPDATE
        )
        changed: QuerySet[Any] = PaymentEvent.objects.filter(collection=collection, type="session.updated")
        for rows in (asked, changed):
            _refuse_excess(rows, rate, code="too_many_updates")


def _refuse_excess(rows: QuerySet[Any], rate: Rate, *, code: str) -> None:
    """Raise LimitError, with the seconds until the oldest of the rows that count doesn't any more."""
    now = timezone.now()
    recent = rows.filter(source=EventSource.STOREFRONT, created_at__gt=now - rate.period).order_by(
        "-created_at"
    )
    counted: list[datetime] = list(recent.values_list("created_at", flat=True)[: rate.count])
    if len(counted) < rate.count:
        return
    wait = (counted[-1] + rate.period - now).total_seconds()
    raise LimitError(
        _("This was tried too often. Wait a while, or ask the shop."),
        code=code,
        retry_after=max(1, math.ceil(wait)),
    )
