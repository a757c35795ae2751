"""Turning card data away at the door, before anything is stored or logged.

A shop that never holds card numbers keeps to the shortest of the PCI questionnaires; a careless front end must not end
that. What the browser and the network add by themselves is let through: nothing here reads or keeps it, and an
analytics id that happens to look like a card number must not keep anybody from paying.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.request import Request

from payments.api.bodies import READ
from payments.redaction import find_card_data

_ADDED_ON_THE_WAY: Final = frozenset(
    {"cookie", "referer", "host", "via", "forwarded", "traceparent", "tracestate", "baggage", "b3"}
)
_TRACES: Final = ("x-b3-", "x-datadog-", "x-cloud-trace", "x-amzn-", "x-forwarded-", "cf-", "uber-trace-")


class CardDataRefused(exceptions.ValidationError):
    """Refuse a request that has card data in it, naming where; what was sent is not repeated."""

    status_code = 422

    def __init__(self, field: str) -> None:
        message = _("This looks like card data. It belongs on the provider's own page or script, never here.")
        super().__init__({field: [message]}, code="card_data_refused")


def refuse_card_data(request: Request, path_values: Mapping[str, Any]) -> None:
    """Raise CardDataRefused where the address, a query parameter, a header or the body has card data in it."""
    sent: list[Any] = [path_values, dict(request.query_params.lists()), _checked_headers(request)]
    if request.method in READ:
        sent.append(request.data)
    for values in sent:
        found = find_card_data(values)
        if found is not None:
            raise CardDataRefused(found)


def _checked_headers(request: Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _ADDED_ON_THE_WAY and not name.lower().startswith(_TRACES)
    }
