"""Rows as the faces show them, and single rows before and after a verb.

Single rows are read by compiled statements, from the database in which payments are written: a replica may not have yet
what the asker has just done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from django.db.models import F, Model, OuterRef, Prefetch, Q, QuerySet, Subquery

from payments.ids import is_key
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    Refund,
    RefundReason,
)
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.services.ledger.books import find_collections, in_order
from payments.services.ledger.locks import database_alias
from payments.services.ledger.statements import Select
from payments.states import OperationKind, OperationStatus, SessionStatus

RowT = TypeVar("RowT", PaymentSession, Payment)

_IS_UNCLEAR: Final = Q(
    status__in=(OperationStatus.PENDING, OperationStatus.UNKNOWN, OperationStatus.ATTENTION)
) & ~Q(kind=OperationKind.SYNC)

_CAPTURES: Final = Select(Capture, lambda rows, payment: rows.filter(payment=payment), "payment")
_REFUNDS: Final = Select(Refund, lambda rows, payment: rows.filter(payment=payment), "payment")
_UNCLEAR: Final = Select(
    PaymentOperation, lambda rows, payment: rows.filter(_IS_UNCLEAR, payment=payment), "payment"
)

PARTS: Final[tuple[Any, ...]] = (
    "captures",
    "refunds__reason",
    Prefetch(
        "operations",
        queryset=PaymentOperation.objects.filter(_IS_UNCLEAR)
        .select_related("collection")
        .order_by("created_at", "id"),
        to_attr="unclear_operations",
    ),
)
"""What is shown of each payment in a list, besides itself."""


def with_progress(sessions: QuerySet[PaymentSession]) -> QuerySet[PaymentSession]:
    """Return sessions with `in_progress`, by the rule that the ledger's books have for the rows in memory."""
    waits: Any = Q(session__status__in=UNAUTHORIZED_STATUSES, target_id=F("session_id"))
    is_being_released = Q(session__status=SessionStatus.AUTHORIZED, kind=OperationKind.CANCEL)
    rows = PaymentOperation.objects.open().filter(waits | is_being_released, session=OuterRef("pk"))
    return sessions.annotate(in_progress=Subquery(rows.order_by("-created_at", "-id").values("kind")[:1]))


_SESSION: Final = Select(
    PaymentSession, lambda rows, key: rows.filter(pk=key).select_related("collection"), "key"
)
_SESSION_NOW: Final = Select(
    PaymentSession,
    lambda rows, key: with_progress(rows.filter(pk=key).select_related("collection", "authorized_payment")),
    "key",
)
_SESSIONS_NOW: Final = Select(
    PaymentSession,
    lambda rows, collection: with_progress(
        rows.filter(collection=collection).select_related("authorized_payment")
    ),
    "collection",
)
_PAYMENT: Final = Select(Payment, lambda rows, key: rows.filter(pk=key).select_related("collection"), "key")


def find_collection(collection_id: str) -> PaymentCollection | None:
    """Return a collection, or None."""
    return next(iter(find_collections(collection_id)), None) if is_key(collection_id) else None


def find_session(session_id: str) -> PaymentSession | None:
    """Return a session with its collection, or None."""
    return _one(_SESSION, session_id)


def find_session_now(session_id: str) -> PaymentSession | None:
    """Return a session with its collection, its payment and `in_progress`, or None."""
    return _one(_SESSION_NOW, session_id)


def find_payment(payment_id: str) -> Payment | None:
    """Return a payment with its collection, or None."""
    return _one(_PAYMENT, payment_id)


def with_sessions(collection: PaymentCollection) -> PaymentCollection:
    """Return a collection after reading its sessions, each with its payment and `in_progress`, the oldest first."""
    sessions = in_order(_SESSIONS_NOW(database_alias(), collection=collection.pk))
    for session in sessions:
        session.collection = collection
    _know(collection, "sessions", sessions)
    return collection


def with_parts(payment: Payment) -> Payment:
    """Return a payment after reading its captures, its refunds and what is unclear about it, each the oldest first."""
    alias = database_alias()
    captures, refunds, unclear = (
        in_order(select(alias, payment=payment.pk)) for select in (_CAPTURES, _REFUNDS, _UNCLEAR)
    )
    reasons = RefundReason.objects.using(alias).in_bulk({row.reason_id for row in refunds if row.reason_id})
    for row in (*captures, *refunds):
        row.payment = payment
    for refund in refunds:
        refund.reason = reasons.get(refund.reason_id)
    for operation in unclear:
        operation.collection = payment.collection
    _know(payment, "captures", captures)
    _know(payment, "refunds", refunds)
    vars(payment)["unclear_operations"] = unclear
    return payment


def _one(select: Select[RowT], key: str) -> RowT | None:
    return next(iter(select(database_alias(), key=key)), None) if is_key(key) else None


def _know(row: Model, name: str, rows: Sequence[Any]) -> None:
    """Have a row's relation give the rows that were read, as Django's `prefetch_related` does."""
    known: Any = getattr(row, name).all()
    known._result_cache, known._prefetch_done = list(rows), True
    vars(row).setdefault("_prefetched_objects_cache", {})[name] = known
