"""A refund that took several of PayPal's, of which not every part stands: the shop's books are PayPal's even then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import DeclinedError, OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation, Refund
from payments.providers import RetrieveRequest, SessionFact, get_provider
from payments.services.ledger.history import Origin
from payments.states import EventSource, MovementStatus, OperationKind, OperationStatus
from payments.testing import configured_provider
from tests.paypal.conftest import BACKEND, options_for
from tests.paypal.fake import FakePayPal, Fault, Funding
from tests.paypal.fake.books import Row
from tests.reliability.clocks import TestClock

pytestmark = pytest.mark.django_db(transaction=True)

FORTY, SIXTY, HUNDRED = Decimal("40.00"), Decimal("60.00"), Decimal("100.00")


@pytest.fixture
def shop(fake: FakePayPal) -> Iterator[FakePayPal]:
    """Have the shop's provider `paypal` capture in parts, and return the fake that it talks to."""
    options = options_for(fake, multicapture=True)
    with configured_provider("paypal", {"BACKEND": BACKEND, "OPTIONS": options}):
        yield fake


def captured(
    shop: FakePayPal, collection: PaymentCollection, *parts: str, funding: Funding = Funding.GOOD
) -> Payment:
    """Return a payment of 100.00 euros that was captured in these parts."""
    session = services.create_payment_session(collection, provider_id="paypal")
    shop.orders.approve(session.provider_reference or "", funding)
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    for amount in parts:
        services.capture_payment(payment, amount=amount)
    return payment


def refunds_at(shop: FakePayPal) -> list[Row]:
    return shop.books.all("refund")


def end(shop: FakePayPal, *numbers: int, succeeds: bool) -> None:
    """Have PayPal end some of its refunds, by their numbers."""
    for number in numbers:
        shop.movements.settle_refund(refunds_at(shop)[number].id, succeeds=succeeds)


def fact_of(payment: Payment) -> SessionFact:
    """Return what PayPal reports of a payment's session now."""
    session = payment.session
    request = RetrieveRequest(
        session_id=session.pk,
        amount=session.amount,
        currency_code="eur",
        provider_reference=session.provider_reference,
    )
    fact = get_provider("paypal").retrieve(request).fact
    assert fact is not None
    return fact


def report(payment: Payment, fact: SessionFact) -> None:
    services.record_fact(payment.session, fact, origin=Origin(source=EventSource.WEBHOOK))


def assert_books_agree(shop: FakePayPal, payment: Payment, refunded: str) -> None:
    """Make sure that shop and PayPal have refunded so much, and that a person is needed only for what failed late."""
    payment.refresh_from_db()
    captures = shop.captures_of(payment.session_id)
    at_paypal = sum(shop.movements.refunded(row) for row in captures)
    assert payment.refunded_amount == at_paypal == Decimal(refunded)
    reasons = [line for row in PaymentOperation.objects.open() for line in row.detail.splitlines()]
    late = payment.refunds.filter(status=MovementStatus.FAILED, succeeded_at__isnull=False)
    expected = {f"refund_failed_late: expected succeeded, reported {row.pk} failed" for row in late}
    assert set(reasons) == expected
    assert len(reasons) == len(expected)


def assert_the_rest_can_go_back(shop: FakePayPal, payment: Payment) -> None:
    services.refund_payment(payment)
    assert_books_agree(shop, payment, "100.00")


@pytest.mark.shows(
    "Of a refund that takes two refunds at PayPal one fails days after it had succeeded",
    "the other one stays in the books, and the rest can be refunded again",
)
def test_a_part_that_fails_late_can_be_refunded_again(
    shop: FakePayPal, collection: PaymentCollection
) -> None:
    payment = captured(shop, collection, "40.00", "60.00")
    services.refund_payment(payment)
    assert_books_agree(shop, payment, "100.00")
    end(shop, 1, succeeds=False)
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "40.00")
    kept = Refund.objects.get(status=MovementStatus.SUCCEEDED)
    assert (kept.amount, kept.provider_reference) == (FORTY, refunds_at(shop)[0].id)
    assert Refund.objects.get(status=MovementStatus.FAILED).error_code == "refunded_in_part"
    services.refund_payment(payment, amount="60.00")
    assert_books_agree(shop, payment, "100.00")


@pytest.mark.database_independent
def test_parts_of_three_fail_late_one_after_another(shop: FakePayPal, collection: PaymentCollection) -> None:
    payment = captured(shop, collection, "20.00", "30.00", "50.00")
    services.refund_payment(payment)
    for number, left in ((1, "70.00"), (0, "50.00"), (2, "0.00")):
        end(shop, number, succeeds=False)
        services.sync_payment_session(payment.session)
        assert_books_agree(shop, payment, left)
    assert_the_rest_can_go_back(shop, payment)


def test_reports_about_parts_may_come_again_and_late(shop: FakePayPal, collection: PaymentCollection) -> None:
    payment = captured(shop, collection, "20.00", "30.00", "50.00")
    before = fact_of(payment)
    services.refund_payment(payment)
    whole = fact_of(payment)
    end(shop, 1, succeeds=False)
    two_left = fact_of(payment)
    end(shop, 2, succeeds=False)
    one_left = fact_of(payment)
    for fact in (one_left, whole, two_left, one_left, before, one_left):
        report(payment, fact)
    assert_books_agree(shop, payment, "20.00")
    assert_the_rest_can_go_back(shop, payment)


@pytest.mark.database_independent
def test_a_part_of_a_refund_that_was_tried_again_fails_too(
    shop: FakePayPal, collection: PaymentCollection
) -> None:
    payment = captured(shop, collection, "40.00", "60.00")
    services.refund_payment(payment)
    end(shop, 1, succeeds=False)
    services.sync_payment_session(payment.session)
    services.refund_payment(payment, amount="60.00")
    end(shop, 2, succeeds=False)
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "40.00")
    assert_the_rest_can_go_back(shop, payment)


@pytest.mark.database_independent
@pytest.mark.parametrize(("fails", "given"), [((1,), "40.00"), ((0,), "60.00"), ((0, 1), "0.00")])
def test_of_a_slow_refund_only_the_parts_that_stand_are_in_the_books(
    shop: FakePayPal, collection: PaymentCollection, fails: tuple[int, ...], given: str
) -> None:
    payment = captured(shop, collection, "40.00", "60.00", funding=Funding.SLOW_REFUND)
    services.refund_payment(payment)
    end(shop, *fails, succeeds=False)
    services.sync_payment_session(payment.session)
    assert payment.refunds.filter(status=MovementStatus.PENDING).count() == 2 - len(fails)
    end(shop, *({0, 1} - set(fails)), succeeds=True)
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, given)


@pytest.mark.database_independent
def test_a_part_that_fails_at_once_is_told_with_what_was_given_back(
    shop: FakePayPal, collection: PaymentCollection
) -> None:
    payment = captured(shop, collection, "40.00", "30.00", "30.00")
    shop.movements.refuse_payout(shop.captures_of(payment.session_id)[1].id)
    with pytest.raises(DeclinedError) as caught:
        services.refund_payment(payment)
    assert caught.value.code == "refunded_in_part"
    assert [row.status for row in refunds_at(shop)] == ["COMPLETED", "FAILED"], "No more is asked for."
    assert_books_agree(shop, payment, "40.00")
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "40.00")


@pytest.mark.database_independent
@pytest.mark.shows(
    "Of a refund that takes two refunds at PayPal the second is refused",
    "it has failed, what was given back is in the books at once, and the rest can be refunded again",
)
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_part_that_is_refused_at_once_is_told_with_what_was_given_back(
    shop: FakePayPal, collection: PaymentCollection, clock: TestClock, is_lost: bool
) -> None:
    payment = captured(shop, collection, "60.00", "40.00")
    dispute = shop.movements.dispute(
        shop.captures_of(payment.session_id)[1].id, amount="40.00", stage="INQUIRY"
    )
    if is_lost:
        shop.misbehave("refund", Fault.ERROR_BEFORE, after=1)
        with pytest.raises(OutcomeUnknownError):
            services.refund_payment(payment, amount="80.00")
        clock.advance(timedelta(minutes=2))
        services.reconcile_due()
    else:
        with pytest.raises(DeclinedError) as caught:
            services.refund_payment(payment, amount="80.00")
        assert caught.value.code == "refunded_in_part"
    assert_books_agree(shop, payment, "60.00")
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "60.00")
    clock.advance(timedelta(days=3))
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "60.00")
    shop.movements.resolve(dispute, "RESOLVED_SELLER_FAVOUR")
    assert_the_rest_can_go_back(shop, payment)


@pytest.mark.database_independent
def test_a_refund_of_which_a_part_fails_before_the_rest_is_asked_for_ends_there(
    shop: FakePayPal, collection: PaymentCollection, clock: TestClock
) -> None:
    payment = captured(shop, collection, "40.00", "60.00")
    shop.misbehave("refund", Fault.ERROR_BEFORE, after=1)
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment)
    end(shop, 0, succeeds=False)
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    assert PaymentOperation.objects.get(kind=OperationKind.REFUND).status == OperationStatus.DECLINED
    assert_books_agree(shop, payment, "0.00")
    assert_the_rest_can_go_back(shop, payment)


@pytest.mark.database_independent
def test_a_refund_that_broke_off_is_completed_and_may_lose_a_part_later(
    shop: FakePayPal, collection: PaymentCollection, clock: TestClock
) -> None:
    payment = captured(shop, collection, "40.00", "60.00")
    shop.misbehave("refund", Fault.ERROR_BEFORE, after=1)
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment)
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    assert_books_agree(shop, payment, "100.00")
    end(shop, 0, succeeds=False)
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "60.00")
    assert_the_rest_can_go_back(shop, payment)


@pytest.mark.database_independent
def test_half_a_refund_that_a_person_took_for_whole_is_put_right(
    shop: FakePayPal, collection: PaymentCollection, clock: TestClock
) -> None:
    payment = captured(shop, collection, "40.00", "60.00")
    shop.misbehave("refund", Fault.ERROR_BEFORE, after=1, times=20)
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment)
    for hours in (1, 1, 1, 2, 7, 25):
        clock.advance(timedelta(hours=hours))
        services.reconcile_due()
    operation = PaymentOperation.objects.get(status=OperationStatus.ATTENTION)
    shop.behave()
    services.resolve_operation(operation, has_happened=True, reason="The payer says so.")
    clock.advance(timedelta(days=3))
    services.sync_payment_session(payment.session)
    assert_books_agree(shop, payment, "40.00")
    assert_the_rest_can_go_back(shop, payment)
