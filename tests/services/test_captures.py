"""Capturing a payment: whole, in parts, as far as the provider can, and when it doesn't answer."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import (
    AmountError,
    DeclinedError,
    NotSupportedError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import Capture, Payment
from payments.providers import CaptureResult
from payments.states import Outcome
from payments.testing import Script
from tests.services.results import declined

pytestmark = pytest.mark.django_db


def test_capture_without_amount_takes_all_that_is_left(payment: Payment, card: Script) -> None:
    services.capture_payment(payment, amount="25.00")
    services.capture_payment(payment)
    assert (payment.status, payment.captured_amount) == ("captured", Decimal(100))
    assert [request.amount for request in card.requests("capture")] == [Decimal(25), Decimal(75)]
    assert [request.is_final for request in card.requests("capture")] == [False, True]


def test_parts_add_up_exactly(payment: Payment) -> None:
    for amount in ("33.33", "33.33", "33.33", "0.01"):
        services.capture_payment(payment, amount=amount)
    assert (payment.status, payment.captured_amount) == ("captured", Decimal(100))
    payment.collection.refresh_from_db()
    assert (payment.collection.status, payment.collection.captured_amount) == ("completed", Decimal(100))
    assert payment.collection.completed_at is not None


def test_partly_captured_payment_and_collection_say_so(payment: Payment) -> None:
    services.capture_payment(payment, amount="99.99")
    assert (payment.status, payment.capturable_amount) == ("partially_captured", Decimal("0.01"))
    assert payment.captured_at is not None
    payment.collection.refresh_from_db()
    assert (payment.collection.status, payment.collection.completed_at) == ("partially_captured", None)


def test_provider_is_told_which_movement_it_is(payment: Payment, card: Script) -> None:
    services.capture_payment(payment)
    (request,) = card.requests("capture")
    capture = payment.captures.get()
    operation = capture.operations.get()
    assert (request.payment_id, request.capture_id) == (payment.pk, capture.pk)
    assert (request.operation_id, request.idempotency_key) == (operation.pk, operation.pk)
    assert (request.provider_data, request.provider_reference) == (
        payment.provider_data,
        payment.provider_reference,
    )


def test_more_than_is_left_is_refused(payment: Payment, card: Script) -> None:
    services.capture_payment(payment, amount="60.00")
    with pytest.raises(AmountError) as refusal:
        services.capture_payment(payment, amount="40.01")
    assert (refusal.value.code, refusal.value.field) == ("exceeds_remaining", "amount")
    services.capture_payment(payment, amount="40.00")
    for amount in (None, "0.01"):
        with pytest.raises(AmountError) as refusal:
            services.capture_payment(payment, amount=amount)
        assert refusal.value.code == "nothing_left"
    assert len(card.requests("capture")) == 2


def test_declined_capture_frees_its_amount(payment: Payment, card: Script) -> None:
    card.next("capture", declined(CaptureResult, "authorization_expired"))
    with pytest.raises(DeclinedError) as refusal:
        services.capture_payment(payment, amount="60.00")
    capture = payment.captures.get()
    assert refusal.value.code == "authorization_expired"
    assert refusal.value.message == "The bank said no."
    assert refusal.value.operation_id == capture.operations.get().pk
    assert (capture.status, capture.error_code) == ("failed", "authorization_expired")
    assert services.capture_payment(payment).captured_amount == Decimal(100)
    assert len({request.idempotency_key for request in card.requests("capture")}) == 2


def test_capture_that_was_not_sent_frees_its_amount(payment: Payment, card: Script) -> None:
    card.next("capture", ProviderUnavailableError("connection refused"))
    with pytest.raises(ProviderUnavailableError):
        services.capture_payment(payment)
    assert payment.captures.get().status == "failed"
    assert services.capture_payment(payment).status == "captured"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("admin", "refuses the shop's API key"),
        ("staff", "refuses the shop's API key"),
        ("storefront", "can't be reached right now"),
        ("shop", "can't be reached right now"),
    ],
)
def test_refused_key_is_told_to_operators_only(
    payment: Payment, card: Script, source: str, sentence: str
) -> None:
    card.next("capture", ProviderUnavailableError("no", code="api_key_refused"))
    with pytest.raises(ProviderUnavailableError, match=sentence) as caught:
        services.capture_payment(payment, source=source)
    assert caught.value.code == "provider_unavailable"
    assert payment.captures.get().error_code == "not_sent"
    assert services.capture_payment(payment).status == "captured"


def test_capture_of_unknown_outcome_keeps_its_amount(payment: Payment, card: Script) -> None:
    card.next("capture", TimeoutError())
    with pytest.raises(OutcomeUnknownError) as unknown:
        services.capture_payment(payment, amount="60.00")
    capture = payment.captures.get()
    assert (capture.status, unknown.value.operation_id) == ("pending", capture.operations.get().pk)
    with pytest.raises(OperationInProgressError):
        services.capture_payment(payment, amount="40.01")
    with pytest.raises(OperationInProgressError):
        services.cancel_payment(payment)
    with pytest.raises(AmountError):
        services.capture_payment(payment, amount="100.01")
    services.capture_payment(payment)
    assert payment.captured_amount == Decimal(40)
    with pytest.raises(OperationInProgressError):
        services.capture_payment(payment)


def test_capture_that_takes_its_time_reserves_its_amount(payment: Payment, card: Script) -> None:
    card.next("capture", CaptureResult(outcome=Outcome.PENDING))
    services.capture_payment(payment)
    assert (payment.status, payment.captured_amount) == ("authorized", Decimal(0))
    with pytest.raises(OperationInProgressError):
        services.capture_payment(payment, amount="0.01")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (("99.99", "eur"), "capture_amount_mismatch"),
        (("100.01", "eur"), "capture_amount_mismatch"),
        (("100.00", "usd"), "currency_mismatch"),
    ],
)
def test_capture_of_something_else_needs_a_person(
    payment: Payment, card: Script, answer: tuple[str, str], code: str
) -> None:
    amount, currency_code = answer
    card.next(
        "capture",
        CaptureResult(outcome=Outcome.SUCCEEDED, amount=Decimal(amount), currency_code=currency_code),
    )
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    capture = payment.captures.get()
    operation = capture.operations.get()
    assert (capture.status, operation.status) == ("pending", "attention")
    assert operation.detail.startswith(code)
    payment.refresh_from_db()
    assert payment.captured_amount == 0


def test_success_without_an_amount_is_not_believed(payment: Payment, card: Script) -> None:
    card.next("capture", CaptureResult(outcome=Outcome.SUCCEEDED))
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    assert payment.captures.get().status == "pending"


def test_provider_that_lets_go_of_the_rest(payment: Payment, card: Script) -> None:
    card.next(
        "capture",
        CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=Decimal(60), currency_code="eur", releases_remainder=True
        ),
    )
    services.capture_payment(payment, amount="60.00")
    assert (payment.status, payment.captured_amount, payment.canceled_amount) == (
        "captured",
        Decimal(60),
        Decimal(40),
    )
    payment.collection.refresh_from_db()
    assert payment.collection.authorized_amount == Decimal(60)
    assert services.create_payment_session(payment.collection, provider_id="wallet").amount == Decimal(40)


def test_canceled_payment_cannot_be_captured(payment: Payment, card: Script) -> None:
    services.cancel_payment(payment)
    with pytest.raises(TransitionError) as refusal:
        services.capture_payment(payment)
    assert refusal.value.code == "payment_canceled"
    assert not Capture.objects.exists()


def test_provider_that_only_captures_the_whole(payment: Payment, card: Script) -> None:
    card.lacks.add("partial_capture")
    with pytest.raises(NotSupportedError) as refusal:
        services.capture_payment(payment, amount="60.00")
    assert (refusal.value.code, refusal.value.field) == ("not_supported", "amount")
    assert services.capture_payment(payment, amount="100.00").status == "captured"


def test_provider_that_captures_only_once(payment: Payment, card: Script) -> None:
    card.lacks.add("multiple_captures")
    card.next("capture", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment, amount="60.00")
    with pytest.raises(OperationInProgressError):
        services.capture_payment(payment, amount="40.00")
    assert len(card.requests("capture")) == 1


def test_second_capture_is_refused_where_there_is_only_one(payment: Payment, card: Script) -> None:
    card.lacks.add("multiple_captures")
    services.capture_payment(payment, amount="60.00")
    with pytest.raises(NotSupportedError):
        services.capture_payment(payment, amount="40.00")


def test_one_reference_for_two_captures_needs_a_person(payment: Payment, card: Script) -> None:
    """The second answer may be a replay of the first, so that the money moved once."""
    for amount in (Decimal(25), Decimal(35)):
        card.next(
            "capture",
            CaptureResult(
                outcome=Outcome.SUCCEEDED, amount=amount, currency_code="eur", provider_reference="ch_1"
            ),
        )
    services.capture_payment(payment, amount="25.00")
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment, amount="35.00")
    second = payment.captures.get(amount=Decimal(35))
    assert (second.status, second.provider_reference) == ("pending", None)
    assert second.operations.get().detail.startswith("reference_reused")
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(25)


def test_account_of_the_exchange_is_kept_for_operators(payment: Payment, card: Script) -> None:
    card.next(
        "capture",
        CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur", provider_log={"status": 200}
        ),
    )
    services.capture_payment(payment)
    assert payment.captures.get().operations.get().provider_log == {"status": 200}
