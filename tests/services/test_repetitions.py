"""The same capture or refund isn't asked for again while it is unclear whether the first one has happened."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from payments import services
from payments.exceptions import OutcomeUnknownError, PaymentError, TransitionError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.providers import CaptureResult, RefundResult
from payments.states import Outcome
from payments.testing import Script
from payments.testing.scripted import Verb

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


@pytest.fixture
def payment(session: PaymentSession) -> Payment:
    """Return a payment of 100.00 euros, of which 50.00 is captured."""
    held = services.authorize_payment_session(session).payment
    assert held is not None
    return services.capture_payment(held, amount="50.00")


VERBS: dict[Verb, Callable[..., Payment]] = {
    "capture": services.capture_payment,
    "refund": services.refund_payment,
}


def lose(card: Script, payment: Payment, verb: Verb) -> PaymentOperation:
    """Have the answer to a capture or refund of 20.00 get lost."""
    card.next(verb, TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        VERBS[verb](payment, amount="20.00")
    return PaymentOperation.objects.get(status="unknown")


@pytest.mark.shows(
    "A capture or refund of the same amount is asked for while it is unclear whether the first one has happened",
    "Refused, unless it is said that this is another one",
)
@pytest.mark.parametrize("status", ["unknown", "attention"])
@pytest.mark.parametrize("verb", VERBS)
def test_same_amount_is_refused_while_the_first_is_unclear(
    payment: Payment, card: Script, verb: Verb, status: str
) -> None:
    operation = lose(card, payment, verb)
    if status == "attention":
        operation.require_attention(detail="unresolved")
        operation.save()
    asked = len(card.requests(verb))
    with pytest.raises(TransitionError) as refusal:
        VERBS[verb](payment, amount="20.00")
    assert (refusal.value.code, len(card.requests(verb))) == ("possible_repetition", asked)
    assert operation.pk in refusal.value.message
    VERBS[verb](payment, amount="20.00", despite_unclear=True)
    assert len(card.requests(verb)) == asked + 1


@pytest.mark.parametrize("verb", VERBS)
def test_all_that_is_left_may_be_the_same_amount(payment: Payment, card: Script, verb: Verb) -> None:
    VERBS[verb](payment, amount="10.00")
    lose(card, payment, verb)
    with pytest.raises(TransitionError) as refusal:
        VERBS[verb](payment) if verb == "refund" else VERBS[verb](payment, amount="20")
    assert refusal.value.code == "possible_repetition"


@pytest.mark.parametrize("verb", VERBS)
def test_another_amount_is_taken(payment: Payment, card: Script, verb: Verb) -> None:
    lose(card, payment, verb)
    VERBS[verb](payment, amount="19.99")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("has_happened", [True, False])
def test_same_amount_is_taken_when_the_first_is_clear(
    payment: Payment, card: Script, verb: Verb, has_happened: bool
) -> None:
    operation = lose(card, payment, verb)
    operation.require_attention(detail="unresolved")
    operation.save()
    services.resolve_operation(operation, has_happened=has_happened, reason="Seen.")
    VERBS[verb](payment, amount="20.00")


def test_what_is_in_the_books_is_not_unclear(payment: Payment, card: Script) -> None:
    operation = PaymentOperation.objects.get(kind="capture")
    operation.require_attention(detail="capture_failed_late: expected succeeded, reported capt_1 failed")
    operation.save()
    services.capture_payment(payment, amount="50.00")


@pytest.mark.parametrize("verb", VERBS)
def test_what_the_provider_has_accepted_is_not_unclear(payment: Payment, card: Script, verb: Verb) -> None:
    result: Any = CaptureResult if verb == "capture" else RefundResult
    card.next(verb, result(outcome=Outcome.PENDING))
    VERBS[verb](payment, amount="20.00")
    VERBS[verb](payment, amount="20.00")


def test_other_payments_and_the_other_verb_are_free(payment: Payment, card: Script) -> None:
    lose(card, payment, "refund")
    services.capture_payment(payment, amount="20.00")
    card.next("capture", TimeoutError())
    with pytest.raises(PaymentError):
        services.capture_payment(payment, amount="15.00")


def test_what_is_kept_is_what_is_kept_whatever_comes_of_a_refund(payment: Payment, card: Script) -> None:
    assert services.quote_refund(payment).kept == Decimal(50)
    lose(card, payment, "refund")
    assert services.quote_refund(payment).kept == Decimal(30)
    services.refund_payment(payment)
    assert services.quote_refund(payment).kept == 0
