"""What a provider reports and the books can't hold is written down, put before a person, and told once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from django.db.models import F, QuerySet

from payments import services
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import (
    AuthorizeResult,
    CaptureResult,
    InitiateResult,
    MovementFact,
    RefundResult,
    SessionFact,
)
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import Script
from tests.services.facts import AUTHORIZED, CANCELED, PENDING, REQUIRES_MORE, captured, moved, tell
from tests.services.results import authorized, found

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

CAPTURE, REFUND = MovementKind.CAPTURE, MovementKind.REFUND


def reports() -> list[str]:
    """Return the codes of all discrepancies that were told, in their order."""
    return [event.data["code"] for event in PaymentEvent.objects.filter(type="fact.discrepancy")]


def attention() -> list[PaymentOperation]:
    return list(PaymentOperation.objects.filter(status="attention").order_by("created_at", "id"))


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (replace(AUTHORIZED, authorized_amount=Decimal("100.01")), "authorized_amount_mismatch"),
        (replace(AUTHORIZED, authorized_amount=Decimal(0)), "authorized_amount_mismatch"),
        (replace(AUTHORIZED, currency_code="usd"), "currency_mismatch"),
        (replace(AUTHORIZED, authorized_amount=Decimal("33.333")), "impossible_amount"),
        (replace(AUTHORIZED, authorized_amount=Decimal("NaN")), "impossible_amount"),
        (replace(AUTHORIZED, captured_amount=Decimal(-1)), "impossible_amount"),
        (replace(AUTHORIZED, refunded_amount=Decimal("Infinity")), "impossible_amount"),
        (replace(AUTHORIZED, canceled_amount=cast(Any, 10.5)), "impossible_amount"),
    ],
)
def test_authorization_of_something_else_is_not_believed(
    session: PaymentSession, fact: Any, code: str
) -> None:
    tell(session, fact, fact)
    assert session.payment is None
    assert session.status == "pending"
    assert reports() == [code]
    (operation,) = attention()
    assert (operation.kind, operation.session, operation.source) == ("sync", session, "webhook")
    assert operation.detail.startswith(code)


def test_answer_and_report_of_the_same_mismatch_are_told_once(session: PaymentSession, card: Script) -> None:
    card.next("authorize", authorized("120.00"))
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    tell(session, replace(AUTHORIZED, authorized_amount=Decimal(120)))
    assert reports() == ["authorized_amount_mismatch"]
    assert [operation.kind for operation in attention()] == ["authorize"]


def test_report_before_the_answer_does_not_make_the_answer_a_success(
    session: PaymentSession, card: Script
) -> None:
    def answer(request: object) -> AuthorizeResult:
        tell(session, replace(AUTHORIZED, authorized_amount=Decimal(120)))
        return authorized("120.00")

    card.next("authorize", answer)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    assert {operation.kind for operation in attention()} == {"authorize", "sync"}
    assert set(reports()) == {"authorized_amount_mismatch"}
    assert not Payment.objects.exists()


def test_late_success_of_a_canceled_session_is_recorded_and_put_before_a_person(
    session: PaymentSession,
) -> None:
    services.cancel_payment_session(session)
    tell(session, AUTHORIZED, AUTHORIZED)
    assert (session.status, session.canceled_at) == ("authorized", None)
    assert session.payment is not None
    assert session.payment.amount == Decimal(100)
    assert reports() == ["late_authorization"]
    assert session.collection.status == "authorized"
    services.cancel_payment(session.payment)


def test_late_success_in_a_canceled_collection_is_recorded_and_needs_a_person(
    session: PaymentSession,
) -> None:
    services.cancel_payment_collection(session.collection)
    tell(session, AUTHORIZED)
    session.collection.refresh_from_db()
    assert (session.collection.status, session.collection.authorized_amount) == ("authorized", Decimal(100))
    assert session.collection.is_canceled
    assert len(attention()) == 1
    services.cancel_payment_collection(session.collection)
    assert session.collection.status == "canceled"


def test_more_held_than_is_due_is_recorded_and_put_before_a_person(
    collection: PaymentCollection, card: Script
) -> None:
    first = services.create_payment_session(collection, provider_id="card")
    card.next("cancel", TimeoutError())
    second = services.create_payment_session(collection, provider_id="wallet")
    tell(second, AUTHORIZED)
    tell(first, AUTHORIZED)
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("authorized", Decimal(200))
    assert reports() == ["authorized_more_than_due"]


def test_attention_is_not_ended_by_hearing_the_same_again(session: PaymentSession, card: Script) -> None:
    def answer(request: object) -> AuthorizeResult:
        rows: QuerySet[PaymentCollection] = QuerySet(PaymentCollection).filter(pk=session.collection_id)
        rows.update(amount=Decimal(50), version=F("version") + 1)
        return authorized("100.00")

    card.next("authorize", answer)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    assert [operation.kind for operation in attention()] == ["authorize"]
    tell(session, AUTHORIZED, PENDING, REQUIRES_MORE)
    assert [operation.kind for operation in attention()] == ["authorize"]


def test_uncertainty_that_came_before_a_person_is_ended_by_news(
    session: PaymentSession, card: Script
) -> None:
    card.next("authorize", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    operation = session.operations.get(kind="authorize")
    operation.require_attention(detail="not_found_after_key_window")
    operation.save_fields("status", "detail", "in_flight_key")
    tell(session, AUTHORIZED)
    operation.refresh_from_db()
    assert operation.status == "succeeded"


def test_more_captured_than_was_held_is_booked_all_the_same(payment: Payment) -> None:
    tell(payment.session, captured("120"), captured("120"))
    payment.refresh_from_db()
    assert (payment.amount, payment.captured_amount, payment.status) == (
        Decimal(120),
        Decimal(120),
        "captured",
    )
    assert reports() == ["captured_more_than_authorized"]


def test_capture_after_the_release_is_booked_all_the_same(payment: Payment) -> None:
    services.cancel_payment(payment)
    tell(payment.session, captured("30"), captured("30"))
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount, payment.status) == (
        Decimal(30),
        Decimal(70),
        "captured",
    )
    assert reports() == ["captured_after_release"]


def test_refund_beyond_what_was_captured_is_not_booked(payment: Payment) -> None:
    services.capture_payment(payment, amount="60.00")
    fact = moved(REFUND, "60.01", provider_reference="re_1")
    tell(payment.session, fact, fact)
    payment.refresh_from_db()
    assert (payment.refunded_amount, payment.refunds.count()) == (Decimal(0), 0)
    assert reports() == ["refunded_more_than_captured"]


def test_the_total_of_a_refund_that_is_not_booked_explains_no_other_one(payment: Payment) -> None:
    services.capture_payment(payment)
    tell(payment.session, moved(REFUND, "60.00", provider_reference="re_1"))
    fact = moved(REFUND, "100.00", provider_reference="re_late")
    tell(payment.session, replace(fact, refunded_amount=Decimal(100)))
    payment.refresh_from_db()
    assert (payment.refunded_amount, payment.refunds.count()) == (Decimal(60), 1)
    assert reports() == ["refunded_more_than_captured"]


def test_our_refund_that_came_too_late_needs_a_person(payment: Payment, card: Script) -> None:
    services.capture_payment(payment)
    card.next("refund", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment, amount="60.00")
    operation = payment.operations.get(kind="refund")
    tell(
        payment.session,
        moved(REFUND, "60", provider_reference="re_dashboard"),
        moved(REFUND, "60", operation_id=operation.pk, provider_reference="re_ours"),
    )
    operation.refresh_from_db()
    assert operation.status == "attention"
    assert payment.refunds.get(status="pending").amount == Decimal(60)
    payment.refresh_from_db()
    assert payment.refunded_amount == Decimal(60)


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (moved(CAPTURE, "99.99"), "capture_amount_mismatch"),
        (moved(CAPTURE, "100", currency_code="usd"), "currency_mismatch"),
    ],
)
def test_report_of_another_amount_blames_our_operation_once(
    payment: Payment, card: Script, fact: SessionFact, code: str
) -> None:
    card.next("capture", CaptureResult(outcome=Outcome.PENDING))
    services.capture_payment(payment)
    operation = payment.operations.get(kind="capture")
    (movement,) = fact.movements
    ours = replace(fact, movements=(replace(movement, operation_id=operation.pk),))
    tell(payment.session, ours, ours)
    operation.refresh_from_db()
    assert (operation.status, operation.detail.split(":")[0]) == ("attention", code)
    assert reports() == [code]
    assert payment.captures.get().status == "pending"


def test_capture_that_fails_after_it_had_succeeded_stays_booked(taken: Payment) -> None:
    operation = taken.operations.get(kind="capture")
    fact = moved(CAPTURE, "100", MovementStatus.FAILED, operation_id=operation.pk)
    tell(taken.session, fact, fact)
    taken.refresh_from_db()
    assert taken.captured_amount == Decimal(100)
    assert reports() == ["capture_failed_late"]
    operation.refresh_from_db()
    assert operation.status == "succeeded"


def test_nameless_movement_could_be_told_twice_and_is_not_booked(taken: Payment) -> None:
    fact = moved(REFUND, "10")
    tell(taken.session, fact, fact)
    assert not taken.refunds.exists()
    assert reports() == ["refund_without_reference"]


def test_reference_of_another_payment_is_not_taken_over(collection: PaymentCollection, card: Script) -> None:
    card.next("initiate", *[InitiateResult(outcome=Outcome.SUCCEEDED)] * 2)
    first = services.create_payment_session(collection, provider_id="card", amount="60.00")
    second = services.create_payment_session(collection, provider_id="card")
    card.next("authorize", authorized("60.00", provider_reference="ch_1"))
    services.authorize_payment_session(first)
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, provider_reference="ch_1")
    tell(second, fact, fact)
    assert second.payment is not None
    assert second.payment.provider_reference is None
    assert reports() == ["reference_reused"]


@pytest.mark.shows(
    "A report carries our session's id and is about another payment at the provider, a copy of ours",
    "It doesn't get into the books, and a person has to look at it",
)
def test_report_about_another_payment_at_the_provider_is_not_ours(payment: Payment, card: Script) -> None:
    Payment.objects.filter(pk=payment.pk).update(provider_reference="int_1")
    tell(payment.session, replace(captured("100"), provider_reference="int_2"))
    payment.refresh_from_db()
    assert payment.captured_amount == 0
    assert reports() == ["reference_mismatch"]
    tell(payment.session, replace(captured("100"), provider_reference="int_1"))
    payment.refresh_from_db()
    assert payment.captured_amount == 100


def test_two_discrepancies_of_a_session_share_an_operation_and_are_told_once(payment: Payment) -> None:
    facts = (captured("120"), moved(REFUND, "300", provider_reference="re_1"))
    tell(payment.session, *facts, *facts)
    assert reports() == ["captured_more_than_authorized", "refunded_more_than_captured"]
    (operation,) = attention()
    assert operation.detail.splitlines() == [
        "captured_more_than_authorized: expected 100, reported 120",
        "refunded_more_than_captured: expected 120, reported 300 re_1",
    ]


def test_discrepancy_stays_settled_once_a_person_has_settled_it(payment: Payment) -> None:
    tell(payment.session, captured("120"))
    (operation,) = attention()
    services.resolve_operation(operation, has_happened=True, reason="The bank statement says so.")
    tell(payment.session, captured("120"))
    assert attention() == []
    assert len(reports()) == 1


def test_release_is_booked_together_with_what_was_taken_before_it(session: PaymentSession) -> None:
    capture = MovementFact(
        kind=CAPTURE,
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(30),
        currency_code="eur",
        provider_reference="cap_1",
    )
    tell(session, replace(CANCELED, movements=(capture,)))
    assert session.payment is not None
    assert (session.payment.captured_amount, session.payment.canceled_amount) == (Decimal(30), Decimal(70))
    assert session.status == "authorized"


@pytest.fixture
def taken(payment: Payment) -> Payment:
    """Return a payment of 100.00 euros, all of it captured."""
    return services.capture_payment(payment)


def test_what_was_taken_is_booked_before_what_was_given_back(session: PaymentSession) -> None:
    refund = moved(REFUND, "60", provider_reference="re_1").movements
    tell(session, captured("60", movements=refund))
    assert session.payment is not None
    assert (session.payment.captured_amount, session.payment.refunded_amount) == (Decimal(60), Decimal(60))
    assert reports() == []


def test_two_captures_that_fail_late_are_told_one_by_one(payment: Payment) -> None:
    for _time in range(2):
        services.capture_payment(payment, amount="50.00")
    for operation in payment.operations.filter(kind="capture"):
        fact = moved(CAPTURE, "50", MovementStatus.FAILED, operation_id=operation.pk)
        tell(payment.session, fact, fact)
    assert reports() == ["capture_failed_late"] * 2


@pytest.mark.shows(
    "A refund fails days after it had succeeded, as when the customer's card was closed",
    "The money counts as kept again, and a person is told that the customer hasn't got it",
)
def test_refund_that_fails_after_it_had_succeeded_is_told_once(taken: Payment) -> None:
    services.refund_payment(taken, amount="60.00")
    refund = taken.refunds.get()
    fact = moved(REFUND, "60", MovementStatus.FAILED, operation_id=refund.operations.get().pk)
    tell(taken.session, fact, fact)
    taken.refresh_from_db()
    assert (taken.refunded_amount, taken.refundable_amount) == (Decimal(0), Decimal(100))
    assert reports() == ["refund_failed_late"]
    (operation,) = attention()
    assert operation.detail == f"refund_failed_late: expected succeeded, reported {refund.pk} failed"


def test_refund_that_never_succeeded_fails_without_a_person(taken: Payment, card: Script) -> None:
    card.next("refund", RefundResult(outcome=Outcome.PENDING, provider_reference="re_1"))
    services.refund_payment(taken, amount="60.00")
    operation = taken.refunds.get().operations.get()
    tell(taken.session, moved(REFUND, "60", MovementStatus.FAILED, operation_id=operation.pk))
    assert (reports(), attention()) == ([], [])


def test_refunds_that_do_not_fit_are_told_once_each_among_others(
    taken: Payment,
) -> None:
    too_much = moved(REFUND, "130", provider_reference="re_1")
    tell(taken.session, too_much, moved(REFUND, "40", provider_reference="re_2"), too_much)
    tell(taken.session, moved(REFUND, "130", provider_reference="re_3"))
    assert reports() == ["refunded_more_than_captured"] * 2


def test_amount_that_changes_with_the_money_in_one_report_is_told_once(session: PaymentSession) -> None:
    tell(session, replace(AUTHORIZED, authorized_amount=Decimal(10)))
    fact = replace(AUTHORIZED, captured_amount=Decimal(60))
    tell(session, fact, fact)
    assert reports() == ["captured_more_than_authorized", "authorized_amount_mismatch"]


def test_chargeback_beyond_what_was_taken_is_told_once(session: PaymentSession) -> None:
    fact = captured("10", charged_back_amount=Decimal(40))
    tell(session, fact, fact)
    assert reports() == ["charged_back"]
    assert session.payment is not None
    assert session.payment.charged_back_amount == Decimal(10)


@pytest.mark.shows(
    "The payer's bank takes money back in another currency than the payment's",
    "A person is told what the provider says of it; the books have no amount that nobody knows",
)
def test_chargeback_in_another_currency_is_told_once_each(session: PaymentSession) -> None:
    fact = captured("100", unclear_charge_backs=("110 usd (du_1)",))
    tell(session, fact, fact)
    tell(session, captured("100", unclear_charge_backs=("110 usd (du_1)", "5 gbp (du_2)")))
    assert reports() == ["charged_back"] * 2
    (operation,) = attention()
    assert operation.detail.splitlines() == [
        "charged_back: expected 0, reported 110 usd (du_1)",
        "charged_back: expected 0, reported 5 gbp (du_2)",
    ]
    assert session.payment is not None
    assert session.payment.charged_back_amount == 0


@pytest.mark.shows(
    "A dispute is won: the payer's bank gives again what it took",
    "The money can be refunded again, the history says so, and late reports change nothing",
)
def test_money_that_comes_back_after_a_dispute_can_be_refunded(session: PaymentSession) -> None:
    lost = captured("100", charged_back_amount=Decimal(60))
    won = replace(lost, reinstated_amount=Decimal(60))
    tell(session, lost, won, lost, won)
    payment = session.payment
    assert payment is not None
    assert payment.charged_back_amount == payment.reinstated_amount == Decimal(60)
    assert payment.refundable_amount == Decimal(100)
    history = [event.type for event in payment.events.order_by("id")]
    assert [kind for kind in history if kind in ("payment.charged_back", "payment.reinstated")] == [
        "payment.charged_back",
        "payment.reinstated",
    ]
    assert services.refund_payment(payment).refunded_amount == 100
    assert reports() == ["charged_back"]


def test_dispute_that_is_over_when_it_is_heard_of_needs_nobody(session: PaymentSession) -> None:
    tell(session, captured("100", charged_back_amount=Decimal(60), reinstated_amount=Decimal(60)))
    assert reports() == []


def test_money_may_be_charged_back_again_after_it_came_back(session: PaymentSession) -> None:
    tell(
        session,
        captured("50", charged_back_amount=Decimal(50), reinstated_amount=Decimal(50)),
        captured("50", charged_back_amount=Decimal(80), reinstated_amount=Decimal(50)),
    )
    assert session.payment is not None
    assert session.payment.net_charged_back_amount == Decimal(30)
    assert session.payment.refundable_amount == Decimal(20)
    assert reports() == ["charged_back"]


@pytest.mark.shows(
    "A dispute that was won is open again, or is lost after all",
    "Once the provider was asked, the money counts as charged back again, and a person is told; late reports change "
    "nothing",
)
@pytest.mark.parametrize("still_there", [None, Decimal(0), Decimal(20)])
def test_what_came_back_may_be_taken_again(
    session: PaymentSession, card: Script, still_there: Decimal | None
) -> None:
    won = captured("100", charged_back_amount=Decimal(60), reinstated_amount=Decimal(60))
    reopened = replace(won, reinstated_amount=still_there)
    tell(session, won, reopened)
    payment = session.payment
    assert payment is not None
    assert (payment.net_charged_back_amount, reports()) == (Decimal(0), [])
    card.next("retrieve", found(reopened), found(reopened), found(won))
    kept = still_there or Decimal(0)
    for _again in range(2):
        services.sync_payment_session(session)
        payment.refresh_from_db()
        assert (payment.charged_back_amount, payment.reinstated_amount) == (Decimal(60), kept)
        assert payment.refundable_amount == 40 + kept
        assert reports() == ["charged_back_again"]
    services.sync_payment_session(session)
    payment.refresh_from_db()
    assert payment.refundable_amount == 100
    history = payment.events.filter(type__in=("payment.charged_back", "payment.reinstated"))
    assert [event.amount for event in history.order_by("id")] == [60, 60, 60 - kept, 60 - kept]


def test_what_is_taken_again_is_never_more_than_was_taken(session: PaymentSession, card: Script) -> None:
    won = captured("50", charged_back_amount=Decimal(80), reinstated_amount=Decimal(80))
    tell(session, won)
    card.next("retrieve", *[found(replace(won, reinstated_amount=Decimal(0)))] * 2)
    for _again in range(2):
        services.sync_payment_session(session)
    payment = Payment.objects.get()
    assert (payment.charged_back_amount, payment.net_charged_back_amount) == (Decimal(80), Decimal(50))
    assert reports() == ["charged_back_again"]


def test_nothing_is_taken_again_by_an_answer_that_says_less_than_is_known(
    session: PaymentSession, card: Script
) -> None:
    won = captured("100", charged_back_amount=Decimal(60), reinstated_amount=Decimal(60))
    tell(session, won)
    unclear = replace(won, reinstated_amount=None, unclear_charge_backs=("60 (du_1)",))
    silent = captured("100")
    card.next("retrieve", found(unclear), found(silent))
    for _answer in (unclear, silent):
        services.sync_payment_session(session)
    assert Payment.objects.get().net_charged_back_amount == 0
    assert reports() == ["charged_back"]


@pytest.mark.parametrize("returned", [None, "100", "110"])
def test_what_was_never_taken_is_neither_charged_back_nor_does_it_come_back(
    session: PaymentSession, returned: str | None
) -> None:
    reinstated = None if returned is None else Decimal(returned)
    fact = replace(AUTHORIZED, charged_back_amount=Decimal(100), reinstated_amount=reinstated)
    tell(session, fact, fact)
    assert session.payment is not None
    assert session.payment.charged_back_amount == session.payment.reinstated_amount == 0
    assert reports() == ["charged_back"]


def test_more_than_was_taken_cannot_come_back(session: PaymentSession) -> None:
    tell(session, captured("50", charged_back_amount=Decimal(20), reinstated_amount=Decimal(30)))
    assert session.payment is not None
    assert session.payment.charged_back_amount == session.payment.reinstated_amount == Decimal(20)
