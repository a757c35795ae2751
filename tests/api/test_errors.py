"""One shape for every error, and the table that says which status it gets."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.translation import gettext_lazy
from rest_framework import exceptions
from rest_framework.response import Response

from payments import services
from payments.api.errors import exception_handler
from payments.exceptions import (
    AmountError,
    CurrencyError,
    DeclinedError,
    IdempotencyError,
    InputError,
    LimitError,
    NotFoundError,
    NotSupportedError,
    OpenTransactionError,
    OperationInProgressError,
    OutcomeUnknownError,
    PaymentError,
    ProviderError,
    ProviderUnavailableError,
    TransitionError,
    WebhookVerificationError,
)
from payments.models import Payment, PaymentCollection
from tests.api.client import Visitor

pytestmark = pytest.mark.database_independent


class FakeRequest:
    """A request whose body names a provider."""

    data = {"provider_id": "nobody"}


def answer_to(error: Exception) -> Response:
    response = exception_handler(error, {"request": FakeRequest()})
    assert response is not None
    return response


TABLE: list[tuple[Exception, int, str, str, str | None]] = [
    (AmountError("x"), 400, "invalid_request", "invalid_amount", None),
    (CurrencyError("x"), 400, "invalid_request", "unknown_currency", None),
    (InputError("x", field="data"), 400, "invalid_request", "invalid_input", None),
    (NotFoundError("x", field="provider_id"), 400, "invalid_request", "not_found", None),
    (NotFoundError("x", field="collection_id"), 404, "not_found", "not_found", None),
    (NotFoundError("x"), 404, "not_found", "not_found", None),
    (NotSupportedError("x"), 400, "invalid_request", "not_supported", None),
    (TransitionError("x"), 409, "conflict", "invalid_transition", None),
    (OperationInProgressError("x"), 409, "conflict", "operation_in_progress", "2"),
    (LimitError("x", retry_after=90), 429, "throttled", "too_many_requests", "90"),
    (IdempotencyError("x"), 422, "idempotency_error", "idempotency_mismatch", None),
    (OpenTransactionError("x"), 500, "server_error", "open_transaction", None),
    (DeclinedError("x", code="stolen_card"), 402, "provider_error", "stolen_card", None),
    (ProviderUnavailableError("x"), 503, "provider_error", "provider_unavailable", "5"),
    (OutcomeUnknownError("x"), 503, "provider_error", "outcome_unknown", "5"),
    (ProviderError("x"), 503, "provider_error", "provider_error", "5"),
    (WebhookVerificationError("x"), 400, "invalid_request", "webhook_not_verified", None),
    (PaymentError("x"), 400, "invalid_request", "payment_error", None),
    (OperationalError("database is locked"), 503, "unavailable", "database_unavailable", "1"),
    (InterfaceError("connection already locked"), 503, "unavailable", "database_unavailable", "1"),
    (Http404("secret path"), 404, "not_found", "not_found", None),
    (PermissionDenied("secret reason"), 403, "permission_error", "permission_denied", None),
    (exceptions.NotAuthenticated(), 401, "authentication_error", "not_authenticated", None),
    (exceptions.Throttled(wait=7.5), 429, "throttled", "throttled", "8"),
    (exceptions.APIException(), 500, "server_error", "error", None),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{type(row[0]).__name__}-{row[1]}")
def test_every_error_is_answered_as_the_table_says(row: tuple[Exception, int, str, str, str | None]) -> None:
    error, status, kind, code, retry_after = row

    response = answer_to(error)

    assert (response.status_code, response.data["type"], response.data["code"]) == (status, kind, code)
    assert set(response.data) == {"type", "code", "message", "errors"}
    assert response.get("Retry-After") == retry_after
    assert "secret" not in str(response.data)
    assert "locked" not in response.data["message"]


def test_every_payment_error_has_a_place_in_the_table() -> None:
    def tree(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    named = {type(row[0]) for row in TABLE}

    # A provider's own kinds, such as Stripe's, are answered as what they are kinds of.
    ours = {kind for kind in tree(PaymentError) if kind.__module__ == PaymentError.__module__}
    assert {kind for kind in ours if not kind.__name__.startswith("_")} <= named


def test_any_other_exception_is_left_to_django() -> None:
    assert exception_handler(RuntimeError("bug"), {"request": FakeRequest()}) is None


def test_nested_and_repeated_errors_are_listed_one_by_one() -> None:
    error = exceptions.ValidationError(
        {
            "payable": {"id": [exceptions.ErrorDetail("Give one.", code="required")]},
            "rows": [{}, {"amount": [exceptions.ErrorDetail("Too much.", code="max")]}],
        }
    )

    body = answer_to(error).data

    assert body["code"] == "invalid_input"
    assert [(row["field"], row["code"], row["message"]) for row in body["errors"]] == [
        ("payable.id", "required", "Give one."),
        ("rows.amount", "max", "Too much."),
    ]


def test_messages_are_in_the_language_of_the_reader() -> None:
    message = gettext_lazy("%(amount)s is more than the %(left)s left to pay.")
    error = AmountError(message, params={"amount": "2.00 EUR", "left": "1.00 EUR"})

    assert answer_to(error).data["message"] == "2.00 EUR is more than the 1.00 EUR left to pay."


@pytest.mark.django_db
def test_a_locked_database_asks_to_try_again(
    boss: Visitor, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(services, "capture_payment", locked)

    refused = boss.post(f"staff/payments/{payment.pk}/capture/")

    assert refused.error == (503, "unavailable", "database_unavailable", [])
    assert refused.headers["Retry-After"] == "1"
    assert b"lock timeout" not in refused.raw


@pytest.mark.django_db
def test_a_bug_is_not_dressed_up_as_an_answer(
    guest: Visitor, collection: PaymentCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(services, "create_payment_session", bug)

    with pytest.raises(ZeroDivisionError):
        guest.post(
            f"storefront/payment-collections/{collection.pk}/payment-sessions/", {"provider_id": "system"}
        )
