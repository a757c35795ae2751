"""The seven state graphs as they are meant to be, written out by hand, to hold the models against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db import models

from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    Refund,
    WebhookEvent,
)
from payments.states import (
    CollectionStatus,
    MovementStatus,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)

REFUSAL: Final = {"code": "card_declined", "message": "The bank said no."}


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Say which transition leads whither from where, for one model."""

    model: type[models.Model]
    statuses: type[models.TextChoices]
    initial: str
    edges: dict[str, tuple[str, set[str]]]


COLLECTION: Final = Graph(
    model=PaymentCollection,
    statuses=CollectionStatus,
    initial="not_paid",
    edges={
        "reset": (
            "not_paid",
            {"awaiting", "partially_authorized", "authorized", "partially_captured", "completed"},
        ),
        "await_authorization": (
            "awaiting",
            {"not_paid", "partially_authorized", "authorized", "partially_captured", "completed"},
        ),
        "authorize_partially": (
            "partially_authorized",
            {"not_paid", "awaiting", "authorized", "partially_captured", "completed", "canceled"},
        ),
        "authorize": (
            "authorized",
            {"not_paid", "awaiting", "partially_authorized", "partially_captured", "completed", "canceled"},
        ),
        "capture_partially": (
            "partially_captured",
            {"not_paid", "awaiting", "partially_authorized", "authorized", "completed", "canceled"},
        ),
        "complete": (
            "completed",
            {"not_paid", "awaiting", "partially_authorized", "authorized", "partially_captured", "canceled"},
        ),
        "cancel": (
            "canceled",
            {"not_paid", "awaiting", "partially_authorized", "authorized", "partially_captured", "completed"},
        ),
    },
)

SESSION: Final = Graph(
    model=PaymentSession,
    statuses=SessionStatus,
    initial="pending",
    edges={
        "reopen": ("pending", {"requires_more", "error"}),
        "require_more": ("requires_more", {"pending", "requires_more", "error"}),
        "authorize": ("authorized", {"pending", "requires_more", "error", "canceled"}),
        "fail": ("error", {"pending", "requires_more", "error"}),
        "cancel": ("canceled", {"pending", "requires_more", "error", "authorized"}),
    },
)

PAYMENT: Final = Graph(
    model=Payment,
    statuses=PaymentStatus,
    initial="authorized",
    edges={
        "hold_again": ("authorized", {"partially_captured", "captured", "canceled"}),
        "capture_partially": (
            "partially_captured",
            {"authorized", "captured", "canceled", "partially_refunded"},
        ),
        "capture": (
            "captured",
            {"authorized", "partially_captured", "canceled", "partially_refunded", "refunded"},
        ),
        "refund_partially": (
            "partially_refunded",
            {"authorized", "partially_captured", "captured", "refunded", "canceled"},
        ),
        "refund": (
            "refunded",
            {"authorized", "partially_captured", "captured", "partially_refunded", "canceled"},
        ),
        "cancel": ("canceled", {"authorized", "partially_captured", "captured"}),
    },
)

CAPTURE: Final = Graph(
    model=Capture,
    statuses=MovementStatus,
    initial="pending",
    edges={
        "succeed": ("succeeded", {"pending", "failed"}),
        "fail": ("failed", {"pending"}),
        "correct": ("failed", {"succeeded"}),
    },
)

REFUND: Final = Graph(
    model=Refund,
    statuses=MovementStatus,
    initial="pending",
    edges={
        "succeed": ("succeeded", {"pending", "failed"}),
        "fail": ("failed", {"pending", "succeeded"}),
        "correct": ("failed", {"succeeded"}),
    },
)

OPERATION: Final = Graph(
    model=PaymentOperation,
    statuses=OperationStatus,
    initial="processing",
    edges={
        "await_provider": ("pending", {"processing", "unknown"}),
        "mark_unknown": ("unknown", {"processing", "pending"}),
        "require_attention": (
            "attention",
            {"processing", "pending", "unknown", "succeeded", "declined", "not_sent"},
        ),
        "succeed": (
            "succeeded",
            {"processing", "pending", "unknown", "attention", "declined", "not_sent"},
        ),
        "decline": ("declined", {"processing", "pending", "unknown", "attention"}),
        "mark_not_sent": ("not_sent", {"processing", "unknown", "attention"}),
        "correct": ("declined", {"succeeded"}),
    },
)

WEBHOOK_EVENT: Final = Graph(
    model=WebhookEvent,
    statuses=WebhookEventStatus,
    initial="received",
    edges={
        "apply": ("applied", {"received", "deferred", "applied", "ignored", "failed"}),
        "defer": ("deferred", {"received", "deferred", "applied", "ignored", "failed"}),
        "ignore": ("ignored", {"received", "deferred", "ignored", "failed"}),
        "fail": ("failed", {"received", "deferred", "ignored", "failed"}),
    },
)

GRAPHS: Final = (COLLECTION, SESSION, PAYMENT, CAPTURE, REFUND, OPERATION, WEBHOOK_EVENT)

_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "fail": REFUSAL,
    "decline": REFUSAL,
    "mark_not_sent": REFUSAL,
    "require_attention": {"detail": "captured twice"},
    "correct": {"code": "corrected"},
}
_ARGUMENTS_OF_EVENTS: Final[dict[str, dict[str, Any]]] = {
    "apply": {"session": None},
    "defer": {"until": datetime(2026, 11, 29, tzinfo=UTC), "detail": "no session yet"},
    "ignore": {"detail": "foreign"},
    "fail": {"detail": "LookupError"},
}


def arguments(graph: Graph, name: str) -> dict[str, Any]:
    """Return what a transition is called with."""
    return (_ARGUMENTS_OF_EVENTS if graph is WEBHOOK_EVENT else _ARGUMENTS).get(name, {})
