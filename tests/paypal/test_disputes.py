"""Disputes about several payments at once: each of ours is told of, and no share is guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from payments.models import Payment, PaymentOperation, WebhookEvent
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_collection,
    create_payment_session,
    process_due_events,
)
from payments.states import OperationStatus, WebhookEventStatus
from payments.testing.contract.driver import fact_of
from tests.paypal.conftest import captured
from tests.paypal.deliveries import deliver, parsed
from tests.paypal.fake import FakePayPal, Fault
from tests.reliability.clocks import TestClock

ZERO, HUNDRED = Decimal(0), Decimal("100.00")


def another_payment(shop: FakePayPal, amount: str = "100.00") -> Payment:
    """Return a captured payment of another order."""
    collection = create_payment_collection(amount=amount, currency_code="eur")
    session = create_payment_session(collection, provider_id="paypal")
    shop.orders.approve(session.provider_reference or "")
    payment = authorize_payment_session(session).payment
    assert payment is not None
    return capture_payment(payment)


def names(*payments: Payment) -> list[str]:
    """Return PayPal's names for the captures of payments."""
    return [payment.captures.get().provider_reference or "" for payment in payments]


def told(shop: FakePayPal, kind: str = "CREATED") -> WebhookEvent:
    """Deliver the newest event about a dispute, have it worked off, and return it."""
    event = shop.events(f"CUSTOMER.DISPUTE.{kind}")[-1]
    assert deliver(shop, event).status_code == 200
    process_due_events()
    return WebhookEvent.objects.get(event_id=event["id"])


def attention(payment: Payment) -> list[str]:
    """Return what a person is told of a payment."""
    operations = PaymentOperation.objects.filter(payment=payment, status=OperationStatus.ATTENTION)
    return [operation.detail for operation in operations]


def charged_back(payment: Payment) -> tuple[Decimal, Decimal]:
    payment.refresh_from_db()
    return payment.charged_back_amount, payment.reinstated_amount


@pytest.mark.database_independent
def test_an_event_names_every_capture_and_the_first_session_of_ours(fake: FakePayPal) -> None:
    first, second = captured(fake), captured(fake)
    [one], [two] = fake.captures_of(first.session_id), fake.captures_of(second.session_id)
    fake.movements.dispute(one.id, two.id, amount="230.00", foreign="30.00")
    event = fake.events("CUSTOMER.DISPUTE.CREATED")[-1]
    foreign = event["resource"]["disputed_transactions"][0]["seller_transaction_id"]
    result = parsed(fake, event)
    assert (result.session_id, result.provider_reference) == (first.session_id, None)
    assert (result.capture_reference, *result.other_captures) == (foreign, one.id, two.id)


@pytest.mark.database_independent
@pytest.mark.shows(
    "The shop ends a dispute at PayPal by a refund",
    "The money has left once: as a refund",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stage", ["INQUIRY", "CHARGEBACK"])
@pytest.mark.parametrize("disputed", ["40.00", "100.00"])
def test_refund_that_ends_a_dispute_is_not_charged_back_too(
    shop: FakePayPal, stage: str, disputed: str
) -> None:
    payment = another_payment(shop)
    [capture] = names(payment)
    dispute = shop.movements.dispute(capture, amount=disputed, stage=stage)
    told(shop)
    shop.movements.refund_in_dashboard(capture, "40.00")
    shop.movements.resolve(dispute, "RESOLVED_BUYER_FAVOUR", refunded="40.00")
    told(shop, "RESOLVED")
    payment.refresh_from_db()
    assert (payment.refunded_amount, payment.net_charged_back_amount) == (Decimal("40.00"), ZERO)
    assert payment.refundable_amount == Decimal("60.00")


def test_refunds_that_end_two_disputes_are_not_charged_back_too(fake: FakePayPal) -> None:
    driver = captured(fake, "60.00", "40.00")
    rows = fake.captures_of(driver.session_id)
    disputes = [fake.movements.dispute(row.id, amount=str(row.amount)) for row in rows]
    for row, dispute in zip(rows, disputes, strict=True):
        fake.movements.refund_in_dashboard(row.id, str(row.amount))
        fake.movements.resolve(dispute, "RESOLVED_BUYER_FAVOUR")
    fact = fact_of(driver)
    assert fact.refunded_amount == fact.charged_back_amount == fact.reinstated_amount == HUNDRED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_earlier", [True, False])
def test_refund_before_or_after_a_dispute_does_not_end_it(shop: FakePayPal, is_earlier: bool) -> None:
    payment = another_payment(shop)
    [capture] = names(payment)
    refund = shop.movements.refund_in_dashboard(capture, "40.00")
    dispute = shop.movements.dispute(capture, amount="60.00")
    shop.movements.resolve(dispute, "RESOLVED_BUYER_FAVOUR")
    shift = timedelta(days=-1 if is_earlier else 1)
    moment = (datetime.now(UTC) + shift).strftime("%Y-%m-%dT%H:%M:%SZ")
    shop.books.rows[refund["id"]].data["create_time"] = moment
    told(shop, "RESOLVED")
    assert charged_back(payment) == (Decimal("60.00"), ZERO)


def test_several_captures_of_one_order_are_disputed_once(fake: FakePayPal) -> None:
    driver = captured(fake, "60.00", "40.00")
    first, second = fake.captures_of(driver.session_id)
    fake.movements.dispute(first.id, second.id, amount="70.00")
    fact = fact_of(driver)
    assert (fact.charged_back_amount, fact.unclear_charge_backs) == (Decimal("70.00"), ())


@pytest.mark.database_independent
@pytest.mark.parametrize("amount", ["99.00", "101.00", "150.00", "129.99"])
def test_a_share_that_paypal_does_not_state_is_not_guessed(fake: FakePayPal, amount: str) -> None:
    driver = captured(fake)
    [capture] = fake.captures_of(driver.session_id)
    dispute = fake.movements.dispute(capture.id, amount=amount, foreign="30.00")
    fact = fact_of(driver)
    assert (fact.charged_back_amount, fact.reinstated_amount) == (None, None)
    assert fact.unclear_charge_backs == (f"{amount} EUR ({dispute.id})",)
    fake.movements.resolve(dispute, "RESOLVED_SELLER_FAVOUR")
    assert fact_of(driver).unclear_charge_backs == ()


@pytest.mark.database_independent
@pytest.mark.parametrize(
    "changes",
    [
        {"gross_amount": None},
        {"gross_amount": {}},
        {"gross_amount": {"currency_code": "USD", "value": "30.00"}},
        {"gross_amount": {"currency_code": "EUR", "value": "lots"}},
    ],
)
def test_a_payment_of_unknown_amount_among_them_leaves_all_shares_open(
    fake: FakePayPal, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    driver = captured(fake)
    [capture] = fake.captures_of(driver.session_id)
    fake.movements.dispute(capture.id, amount="130.00", foreign="30.00")
    complete = fake.movements._disputed_transactions
    monkeypatch.setattr(
        fake.movements, "_disputed_transactions", lambda row: [complete(row)[0] | changes, *complete(row)[1:]]
    )
    assert len(fact_of(driver).unclear_charge_backs) == 1


@pytest.mark.django_db(transaction=True)
class TestBooks:
    """What becomes of such a dispute in the books."""

    @pytest.mark.shows(
        "One dispute is about several payments of the shop",
        "Each is charged back by its own amount; a share that nobody states is before a person, and in no total",
    )
    def test_each_payment_is_charged_back_by_its_own_amount(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock
    ) -> None:
        other = another_payment(shop, "40.00")
        dispute = shop.movements.dispute(*names(captured_payment, other), amount="140.00")
        assert told(shop).status == WebhookEventStatus.APPLIED
        assert charged_back(captured_payment) == (HUNDRED, ZERO)
        assert charged_back(other) == (Decimal("40.00"), ZERO)
        assert attention(captured_payment) == ["charged_back: expected 0, reported 100"]
        assert attention(other) == ["charged_back: expected 0, reported 40"]
        shop.movements.resolve(dispute, "RESOLVED_SELLER_FAVOUR")
        told(shop, "RESOLVED")
        assert charged_back(captured_payment) == (HUNDRED, HUNDRED)
        assert charged_back(other) == (Decimal("40.00"), Decimal("40.00"))

    @pytest.mark.shows(
        "A payer wins a claim in part, whether the books knew of the claim before or not",
        "What they got is charged back and the rest is the shop's; where PayPal doesn't say whose, a person looks",
    )
    @pytest.mark.parametrize("is_known", [True, False])
    @pytest.mark.parametrize("has_other", [True, False])
    def test_what_a_payer_was_not_given_comes_back(
        self,
        shop: FakePayPal,
        captured_payment: Payment,
        clock: TestClock,
        is_known: bool,
        has_other: bool,
    ) -> None:
        payments = [captured_payment, *([another_payment(shop, "40.00")] if has_other else [])]
        dispute = shop.movements.dispute(*names(*payments), amount="140.00" if has_other else "100.00")
        if is_known:
            told(shop)
        shop.movements.resolve(dispute, "RESOLVED_BUYER_FAVOUR", refunded="60.00")
        told(shop, "RESOLVED")
        back = ZERO if has_other else Decimal("40.00")
        assert charged_back(captured_payment) == (HUNDRED, back)
        captured_payment.refresh_from_db()
        assert captured_payment.refundable_amount == back
        unclear = [detail for detail in attention(captured_payment) if "140.00 EUR" in detail]
        assert bool(unclear) == has_other

    @pytest.mark.database_independent
    def test_ours_is_found_behind_another_shop_s(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock
    ) -> None:
        shop.movements.dispute(*names(captured_payment), amount="130.00", foreign="30.00")
        event = told(shop)
        assert (event.status, event.session_id) == (WebhookEventStatus.APPLIED, captured_payment.session_id)
        assert charged_back(captured_payment) == (HUNDRED, ZERO)

    def test_ours_are_found_by_their_captures_alone(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = another_payment(shop)
        complete = shop.movements._disputed_transactions
        monkeypatch.setattr(
            shop.movements,
            "_disputed_transactions",
            lambda row: [each | {"custom": None} for each in complete(row)],
        )
        shop.movements.dispute(*names(captured_payment, other), amount="230.00", foreign="30.00")
        assert told(shop).status == WebhookEventStatus.APPLIED
        assert charged_back(captured_payment) == charged_back(other) == (HUNDRED, ZERO)

    @pytest.mark.database_independent
    def test_a_total_that_does_not_tell_the_shares_is_before_a_person_at_each(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock
    ) -> None:
        other = another_payment(shop)
        dispute = shop.movements.dispute(*names(captured_payment, other), amount="150.00")
        told(shop)
        for payment in (captured_payment, other):
            assert charged_back(payment) == (ZERO, ZERO)
            assert attention(payment) == [f"charged_back: expected 0, reported 150.00 EUR ({dispute.id})"]

    @pytest.mark.database_independent
    def test_an_event_waits_until_all_of_its_sessions_are_known(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock
    ) -> None:
        other = another_payment(shop)
        shop.movements.dispute(*names(captured_payment, other), amount="200.00")
        shop.misbehave("retrieve", Fault.ERROR_BEFORE)
        event = told(shop)
        assert str(event.status) == WebhookEventStatus.DEFERRED
        clock.advance(timedelta(minutes=2))
        process_due_events()
        event.refresh_from_db()
        assert event.status == WebhookEventStatus.APPLIED
        assert charged_back(captured_payment) == charged_back(other) == (HUNDRED, ZERO)
