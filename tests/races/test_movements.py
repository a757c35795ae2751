"""Captures, refunds and cancelations at once: money moves once, and never more than there is."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import AmountError, OperationInProgressError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import MovementStatus, OperationKind, PaymentStatus
from tests.races.conftest import Prepare
from tests.races.interleavings import CANCEL, CAPTURE, End, interleave
from tests.reliability.books import assert_books_agree
from tests.threads import times, together

pytestmark = pytest.mark.django_db(transaction=True)

NO_ROOM = (AmountError, OperationInProgressError)
BEFORE_THE_RECORD = (Checkpoint.CLAIMED, Checkpoint.CALLED)


@pytest.mark.shows("16 captures of the whole amount at once", "one succeeds, 15 are refused; captured once")
def test_of_sixteen_full_captures_one_succeeds(
    payment: Payment, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(16, lambda: services.capture_payment(payment, amount="100.00"), prepare=isolation)
    assert len(came.raised(*NO_ROOM)) == 15
    assert len(simulator.calls(operation="capture")) == 1
    assert simulator.totals(payment.session_id).captured == 10_000
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("20 captures of 30 % at once", "three succeed, 17 are refused; 90 % is captured")
def test_of_twenty_captures_of_a_third_three_succeed(
    payment: Payment, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(20, lambda: services.capture_payment(payment, amount="30.00"), prepare=isolation)
    assert len(came.raised(*NO_ROOM)) == 17
    assert len(simulator.calls(operation="capture")) == 3
    assert simulator.totals(payment.session_id).captured == 9_000
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("Two refunds of 60 % at once", "one succeeds, one is refused")
def test_of_two_refunds_of_more_than_half_one_succeeds(
    captured: Payment, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(2, lambda: services.refund_payment(captured, amount="60.00"), prepare=isolation)
    assert len(came.raised(*NO_ROOM)) == 1
    assert simulator.totals(captured.session_id).refunded == 6_000
    assert_books_agree(simulator, captured.collection)


@pytest.mark.shows("Ten refunds of 10 % at once, and an eleventh", "all ten succeed, the eleventh is refused")
def test_ten_refunds_that_fit_all_succeed(
    captured: Payment, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(10, lambda: services.refund_payment(captured, amount="10.00"), prepare=isolation)
    assert not came.raised()
    with pytest.raises(AmountError):
        services.refund_payment(captured, amount="0.01")
    assert (simulator.totals(captured.session_id).refunded, captured.refunds.count()) == (10_000, 10)
    assert_books_agree(simulator, captured.collection)


@pytest.mark.parametrize("point", BEFORE_THE_RECORD)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            CAPTURE,
            CANCEL,
            marks=pytest.mark.shows(
                "A cancelation while a capture is under way", "refused with operation_in_progress; captured"
            ),
        ),
        pytest.param(
            CANCEL,
            CAPTURE,
            marks=pytest.mark.shows(
                "A capture while a cancelation is under way", "refused with operation_in_progress; released"
            ),
        ),
    ],
    ids=str,
)
def test_second_end_of_a_payment_is_refused_during_the_first(
    point: Checkpoint, payment: Payment, simulator: SimulatorService, first: End, second: End
) -> None:
    came = interleave(lambda: first.verb(payment), point, lambda: second.verb(payment), of=first.kind)
    assert len(came.raised(OperationInProgressError)) == 1
    payment.refresh_from_db()
    assert payment.status == first.status
    assert simulator.calls(operation=str(second.kind)) == []
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "Capture against cancel, neither first", "exactly one wins, at the provider as in the books"
)
def test_of_capture_and_cancel_exactly_one_wins(
    payment: Payment, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = together(
        lambda: services.capture_payment(payment),
        lambda: services.cancel_payment(payment),
        prepare=isolation,
    )
    assert len(came.raised(OperationInProgressError, TransitionError)) == 1
    payment.refresh_from_db()
    assert payment.status in (PaymentStatus.CAPTURED, PaymentStatus.CANCELED)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "A refund while a capture of the same payment is under way", "refused: nothing is captured yet"
)
def test_what_is_being_captured_cannot_be_refunded_yet(payment: Payment, simulator: SimulatorService) -> None:
    came = interleave(
        lambda: services.capture_payment(payment),
        Checkpoint.CALLED,
        lambda: services.refund_payment(payment, amount="10.00"),
        of=OperationKind.CAPTURE,
    )
    assert len(came.raised(AmountError)) == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "50 captures and refunds at once, over five payments of one collection", "its sums are those of the rows"
)
@pytest.mark.parametrize("number", [2, pytest.param(5, marks=pytest.mark.thorough)])
def test_sums_are_those_of_the_rows_after_fifty_movements_at_once(
    transactional_db: None, simulator: SimulatorService, number: int
) -> None:
    collection = services.create_payment_collection(amount="500.00", currency_code="eur")
    payments = [split(collection) for _each in range(5)]
    for payment in payments:
        services.capture_payment(payment, amount="50.00")
    works = []
    for payment in payments:
        works += [lambda payment=payment: services.capture_payment(payment, amount="10.00")] * number
        works += [lambda payment=payment: services.refund_payment(payment, amount="10.00")] * number
    assert not together(*works).raised()
    collection.refresh_from_db()
    captured, refunded = Decimal(50 + 10 * number), Decimal(10 * number)
    assert (collection.captured_amount, collection.refunded_amount) == (5 * captured, 5 * refunded)
    for payment in collection.payments.all():
        assert payment.captured_amount == fold(payment, "captures") == captured
        assert payment.refunded_amount == fold(payment, "refunds") == refunded
    assert not PaymentOperation.objects.open().exists()
    assert_books_agree(simulator, collection)


def split(collection: PaymentCollection) -> Payment:
    """Return a payment of 100.00 euros on a collection."""
    session = services.create_payment_session(collection, provider_id="simulator", amount="100.00")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


def fold(payment: Payment, movements: str) -> Decimal:
    """Return what a payment's movements add up to."""
    rows = getattr(payment, movements).filter(status=MovementStatus.SUCCEEDED)
    return sum((row.amount for row in rows), Decimal(0))
