"""What stands above every list: how many operations wait for a person, and the way to the overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.urls import NoReverseMatch, reverse

from payments.admin.links import Links
from payments.models import PaymentOperation
from payments.states import OperationStatus

_MOST: Final = 99


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Count what waits; `count` is at most 99, `is_more` says that there is more."""

    count: int
    is_more: bool
    url: str | None
    overview_url: str | None


def queue_of(links: Links) -> Queue | None:
    """Return what waits, or None for who may not view operations."""
    if not links.may_view(PaymentOperation):
        return None
    waiting = PaymentOperation.objects.filter(status=OperationStatus.ATTENTION).order_by()
    count = len(waiting.values_list("pk", flat=True)[: _MOST + 1])
    return Queue(
        count=min(count, _MOST),
        is_more=count > _MOST,
        url=links.listing(PaymentOperation, status__exact=OperationStatus.ATTENTION.value, o="8"),
        overview_url=_overview_url(links),
    )


def _overview_url(links: Links) -> str | None:
    try:
        return reverse(f"{links.site.name}:payments_overview")
    except NoReverseMatch:
        return None
