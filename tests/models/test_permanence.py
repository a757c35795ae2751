"""Rows that may stand for money stay, and history stays as it was written."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from payments.exceptions import TransitionError
from payments.models import PaymentCollection, PaymentEvent, RefundReason
from tests.models.conftest import Books

KEPT = [
    "provider",
    "collection",
    "session",
    "payment",
    "capture",
    "refund",
    "operation",
    "event",
    "webhook",
    "holder",
]


@pytest.mark.parametrize("name", KEPT)
def test_row_cannot_be_deleted(books: Books, name: str) -> None:
    row: Any = getattr(books, name)
    for delete in (row.delete, type(row).objects.filter(pk=row.pk).delete, type(row).objects.all().delete):
        with pytest.raises(TransitionError) as refusal:
            delete()
        assert refusal.value.code == "never_deleted"
    assert type(row).objects.filter(pk=row.pk).exists()


def test_rows_of_a_related_manager_cannot_be_deleted(books: Books) -> None:
    with pytest.raises(TransitionError):
        books.collection.sessions.all().delete()
    assert books.collection.sessions.count() == 1


def test_reason_in_use_cannot_be_deleted(books: Books) -> None:
    reason = RefundReason.objects.create(label="Damaged")
    books.refund.reason = reason
    books.refund.save_fields("reason")
    with pytest.raises(ProtectedError):
        reason.delete()
    assert RefundReason.objects.create(label="Unused").delete()[0] == 1


def test_history_cannot_be_rewritten(books: Books) -> None:
    event = books.event
    event.type = "collection.canceled"
    for rewrite in (
        event.save,
        lambda: event.save(update_fields=["type"]),
        lambda: event.save(update_fields=["type", "published_at"]),
        lambda: PaymentEvent.objects.filter(pk=event.pk).update(type="collection.canceled"),
        lambda: PaymentEvent.objects.bulk_update([event], ["type"]),
    ):
        with pytest.raises(TransitionError) as refusal, transaction.atomic():
            rewrite()
        assert refusal.value.code == "never_changed"
    assert PaymentEvent.objects.get(pk=event.pk).type == "collection.created"


def test_outbox_may_note_that_an_event_was_published(books: Books) -> None:
    books.event.published_at = timezone.now()
    books.event.save(update_fields=["published_at"])
    assert not PaymentEvent.objects.unpublished().exists()


def test_history_outlives_the_user_who_made_it(books: Books) -> None:
    customer, actor = (get_user_model().objects.create_user(name) for name in ("carol", "alice"))
    PaymentCollection.objects.filter(pk=books.collection.pk).update(customer=customer)
    event = PaymentEvent.objects.create(
        type="collection.updated",
        collection=books.collection,
        source="staff",
        actor=actor,
        actor_label="alice",
    )
    customer.delete()
    actor.delete()
    event.refresh_from_db()
    assert (event.actor, event.actor_label) == (None, "alice")
    assert PaymentCollection.objects.get(pk=books.collection.pk).customer is None
