"""A quote says what its verb then does, and raises what the verb would raise; asking for one changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest

from payments import services
from payments.exceptions import PaymentError
from payments.models import Payment
from payments.providers import CaptureResult, RefundResult
from payments.services import Quote
from payments.states import Outcome
from payments.testing import Script

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

Quoting = Callable[..., Quote]
Verb = Callable[..., Payment]

PAIRS: Final[dict[str, tuple[Quoting, Verb]]] = {
    "capture": (services.quote_capture, services.capture_payment),
    "refund": (services.quote_refund, services.refund_payment),
    "release": (services.quote_release, services.cancel_payment),
}


def nothing(_payment: Payment, _card: Script) -> None:
    pass


def half_captured(payment: Payment, _card: Script) -> None:
    services.capture_payment(payment, amount="50.00")


def half_refunded(payment: Payment, card: Script) -> None:
    half_captured(payment, card)
    services.refund_payment(payment, amount="20.00")


def capture_pending(payment: Payment, card: Script) -> None:
    card.next("capture", CaptureResult(outcome=Outcome.PENDING))
    services.capture_payment(payment, amount="30.00")


def refund_pending(payment: Payment, card: Script) -> None:
    half_captured(payment, card)
    card.next("refund", RefundResult(outcome=Outcome.PENDING))
    services.refund_payment(payment, amount="20.00")


def capture_lost(payment: Payment, card: Script) -> None:
    card.next("capture", TimeoutError())
    with pytest.raises(PaymentError):
        services.capture_payment(payment, amount="20.00")


def released(payment: Payment, _card: Script) -> None:
    services.cancel_payment(payment)


def without_parts(_payment: Payment, card: Script) -> None:
    card.lacks |= {"partial_capture", "partial_refund"}


STORIES = (
    nothing,
    half_captured,
    half_refunded,
    capture_pending,
    refund_pending,
    capture_lost,
    released,
    without_parts,
)


@pytest.mark.parametrize(
    ("verb", "amount"),
    [
        *product(("capture", "refund"), (None, "20.00", "1000.00", "0.001")),
        ("release", None),  # which is of all that is held
    ],
)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_quote_is_what_the_verb_does(
    payment: Payment, card: Script, story: Callable[[Payment, Script], None], verb: str, amount: str | None
) -> None:
    story(payment, card)
    quoting, act = PAIRS[verb]
    arguments: dict[str, Any] = {} if verb == "release" else {"amount": amount}
    calls = len(card.calls)
    quote = quoting(payment, **arguments)
    assert len(card.calls) == calls

    before = _moved(payment, verb)
    error: PaymentError | None = None
    try:
        act(payment, **arguments)
    except PaymentError as raised:
        error = raised
    assert _code(quote.error) == _code(error)
    if error is None:
        assert (_moved(payment, verb) - before, quote.check()) == (quote.amount, quote)
        assert quote.amount <= quote.left
    else:
        assert quote.amount == 0
        with pytest.raises(type(error)):
            quote.check()


def test_same_amount_is_quoted_where_it_is_said_that_it_is_another_one(
    payment: Payment, card: Script
) -> None:
    capture_lost(payment, card)
    assert _code(services.quote_capture(payment, amount="20.00").error) == "possible_repetition"
    assert services.quote_capture(payment, amount="20.00", despite_unclear=True).amount == Decimal(20)


def _moved(payment: Payment, verb: str) -> Decimal:
    payment.refresh_from_db()
    return {
        "capture": payment.captured_amount,
        "refund": payment.refunded_amount,
        "release": payment.canceled_amount,
    }[verb]


def _code(error: PaymentError | None) -> str | None:
    return None if error is None else error.code
