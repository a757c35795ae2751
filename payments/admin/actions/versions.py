"""What a page showed, as one short text: an action on a page that isn't current any more is refused.

Every change below a collection gives the collection another version, which tells whether anything has happened since.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from django.db.models import Model

from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    Refund,
)

MAX_VERSION: Final = 64
"""How long what is sent back as a version may be; a version itself is shorter."""

_BELOW = (PaymentSession, Payment, PaymentOperation)


def version_of(row: Model) -> str:
    """Return the version of a row as it was read, and of what the database has around it right now."""
    parts: list[Any] = [row._meta.label_lower, row.pk, getattr(row, "status", ""), *_amounts(row)]
    collection_id = collection_of(row)
    if collection_id is None:
        parts += [getattr(row, "updated_at", ""), getattr(row, "is_enabled", "")]
    else:
        collections = PaymentCollection.objects.filter(pk=collection_id)
        parts += collections.values_list("version", flat=True)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _amounts(row: Model) -> list[Any]:
    return [
        value.normalize()
        for field in row._meta.concrete_fields
        if field.name == "amount" or field.name.endswith("_amount")
        if (value := getattr(row, field.attname)) is not None
    ]


def collection_of(row: Model) -> str | None:
    """Return the id of the collection that a row is below of, or is; None for a row that is about no one collection."""
    if isinstance(row, PaymentCollection):
        return str(row.pk)
    if isinstance(row, _BELOW):
        return str(row.collection_id)
    if isinstance(row, Capture | Refund):
        return str(row.payment.collection_id)
    return None
