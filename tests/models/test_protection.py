"""Statuses are protected per instance: re-reading a row works, and never switches the protection off."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from payments import models
from payments.models.base import KeptQuerySet
from payments.models.fields import being_read
from tests.models.conftest import Books

NOW = timezone.now()

# Another status for each row of `Books`, with the facts that it stands for.
PROTECTED: dict[str, tuple[Any, dict[str, Any]]] = {
    "collection": (
        models.PaymentCollection,
        {"status": "completed", "amount": Decimal(60), "completed_at": NOW},
    ),
    "session": (models.PaymentSession, {"status": "canceled", "canceled_at": NOW}),
    "payment": (models.Payment, {"status": "captured", "refunded_amount": 0, "canceled_amount": Decimal(40)}),
    "capture": (models.Capture, {"status": "failed", "error_code": "declined"}),
    "refund": (models.Refund, {"status": "failed", "error_code": "declined"}),
    "operation": (models.PaymentOperation, {"status": "attention", "detail": "unresolved"}),
    "webhook": (models.WebhookEvent, {"status": "ignored", "next_attempt_at": None}),
}


def _write(name: str, pk: str) -> tuple[Any, str]:
    """Write a row's other status as the services do, past the model; return the model and the status."""
    model, values = PROTECTED[name]
    QuerySet(model).filter(pk=pk).update(**values)
    return model, values["status"]


def _is_protected(row: Any) -> bool:
    before = row.status
    with pytest.raises(AttributeError):
        row.status = "hacked"
    return bool(row.status == before)


@pytest.mark.parametrize("name", PROTECTED)
def test_row_is_read_anew_with_its_status(books: Books, name: str) -> None:
    row: Any = getattr(books, name)
    _model, status = _write(name, row.pk)
    row.refresh_from_db()
    assert row.status == status
    assert _is_protected(row)


@pytest.mark.parametrize("name", PROTECTED)
def test_fields_are_read_anew_one_by_one(books: Books, name: str) -> None:
    row: Any = getattr(books, name)
    before = row.status
    _model, status = _write(name, row.pk)
    row.refresh_from_db(fields=["updated_at"])
    assert row.status == before
    row.refresh_from_db(fields=["status"])
    assert row.status == status
    assert _is_protected(row)


@pytest.mark.parametrize("name", PROTECTED)
def test_deferred_fields_are_loaded_when_they_are_needed(books: Books, name: str) -> None:
    pk = getattr(books, name).pk
    model, status = _write(name, pk)
    without_status: Any = model._default_manager.defer("status").get(pk=pk)
    assert without_status.status == status
    assert _is_protected(without_status)
    only_status: Any = model._default_manager.only("status").get(pk=pk)
    assert only_status.created_at == getattr(books, name).created_at
    assert only_status.status == status
    assert _is_protected(only_status)


def test_touching_a_deferred_field_keeps_a_transition_that_is_not_saved_yet(books: Books) -> None:
    row = models.PaymentSession.objects.defer("error_message").get(pk=books.session.pk)
    row.cancel()
    assert row.error_message == ""
    assert row.status == "canceled"


@pytest.mark.parametrize("name", PROTECTED)
def test_failed_reading_leaves_the_protection_on(books: Books, name: str) -> None:
    model, _values = PROTECTED[name]
    row: Any = getattr(books, name)
    stray = copy.copy(row)
    stray.pk = "nowhere"
    with pytest.raises(model.DoesNotExist):
        stray.refresh_from_db()
    assert _is_protected(stray)
    assert _is_protected(row)
    assert _is_protected(model._default_manager.get(pk=row.pk))


def test_other_rows_stay_protected_while_one_is_read_anew(books: Books) -> None:
    other = models.PaymentSession.objects.get(pk=books.session.pk)
    seen: list[bool] = []

    class Watching(KeptQuerySet[models.PaymentSession]):
        def get(self, *args: Any, **kwargs: Any) -> models.PaymentSession:
            seen.append(_is_protected(other))
            return super().get(*args, **kwargs)

    books.session.refresh_from_db(from_queryset=Watching(models.PaymentSession))
    assert seen == [True]


def test_row_that_threads_share_can_be_read_by_all_of_them(books: Books) -> None:
    """Reading ends in one thread while another one is in the middle of it."""
    with being_read(books.session):
        books.session.refresh_from_db()
        books.session.status = "canceled"
    assert books.session.status == "canceled"
    assert _is_protected(books.session)


def test_copies_of_a_row_are_protected_too(books: Books) -> None:
    assert _is_protected(copy.deepcopy(books.session))
    assert _is_protected(pickle.loads(pickle.dumps(books.session)))  # noqa: S301 - our own bytes
