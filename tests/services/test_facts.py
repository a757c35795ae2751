"""Facts: what a provider reports is recorded, moves only forward, and counts cumulatively."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from payments import providers, services
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentEvent, PaymentSession
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.stored import stored_moment
from payments.testing import Script
from tests.services.facts import (
    AUTHORIZED,
    CANCELED,
    PENDING,
    REFUSED,
    REQUIRES_MORE,
    books,
    captured,
    moved,
    tell,
)
from tests.services.results import declined, requires_more

pytestmark = pytest.mark.django_db


def test_authorization_is_recorded_whoever_tells_of_it(session: PaymentSession) -> None:
    tell(session, AUTHORIZED)
    assert session.payment is not None
    assert (session.status, session.payment.amount) == ("authorized", Decimal(100))
    event = PaymentEvent.objects.get(type="payment.authorized")
    assert (event.source, event.actor) == ("webhook", None)


def test_time_of_the_authorization_is_the_providers(session: PaymentSession) -> None:
    moment = timezone.now().replace(microsecond=0)
    tell(
        session,
        providers.SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, occurred_at=moment),
    )
    assert session.authorized_at == moment


NOON = timezone.now().replace(microsecond=0)


@pytest.mark.parametrize("first", [None, NOON - timedelta(hours=1)])
@pytest.mark.parametrize("later", [NOON - timedelta(minutes=1), NOON + timedelta(days=7)])
def test_what_is_held_longer_is_not_released_before(
    session: PaymentSession, card: Script, first: datetime | None, later: datetime
) -> None:
    for moment in (first, later, first, NOON - timedelta(days=1)):
        tell(session, replace(AUTHORIZED, expires_at=moment))
    payment = Payment.objects.get()
    assert payment.expires_at == stored_moment(later)

    swept = services.sweep_expired()

    is_over = later < NOON
    assert (swept.canceled, card.requests("cancel") != []) == (is_over, is_over)


@pytest.mark.parametrize("told", [None, NOON + timedelta(days=1)])
def test_end_of_a_hold_is_known_from_the_answer_that_a_report_has_overtaken(
    session: PaymentSession, card: Script, told: datetime | None
) -> None:
    ends = NOON + timedelta(days=7)

    def answer(request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        tell(session, replace(AUTHORIZED, expires_at=told))
        return providers.AuthorizeResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code="eur", expires_at=ends
        )

    card.next("authorize", answer)
    services.authorize_payment_session(session)
    assert Payment.objects.get().expires_at == stored_moment(ends)


STORY = [
    PENDING,
    REQUIRES_MORE,
    AUTHORIZED,
    captured("25"),
    captured("60", refunded_amount=Decimal(10)),
    moved(MovementKind.CAPTURE, "5", provider_reference="cap_x"),
    captured("65", refunded_amount=Decimal(15), canceled_amount=Decimal(35)),
]


@pytest.mark.parametrize("position", range(len(STORY)))
def test_replayed_and_late_facts_change_nothing(session: PaymentSession, position: int) -> None:
    tell(session, *STORY)
    before = books()
    tell(session, STORY[position], *STORY[:position], STORY[position])
    assert books() == before


def test_whole_story_ends_in_the_right_books(session: PaymentSession) -> None:
    tell(session, *STORY)
    payment = Payment.objects.get()
    assert (payment.captured_amount, payment.refunded_amount, payment.canceled_amount, payment.status) == (
        Decimal(65),
        Decimal(15),
        Decimal(35),
        "partially_refunded",
    )
    amounts = sorted(payment.captures.values_list("amount", flat=True))
    assert amounts == [Decimal(5), Decimal(25), Decimal(35)]


def test_capture_reported_before_its_authorization_brings_it_along(session: PaymentSession) -> None:
    tell(session, providers.SessionFact(currency_code="eur", captured_amount=Decimal(100)))
    assert session.payment is not None
    assert (session.payment.status, session.payment.captured_amount) == ("captured", Decimal(100))
    before = books()
    tell(session, AUTHORIZED, REQUIRES_MORE, REFUSED)
    assert books() == before


def test_listed_capture_brings_the_authorization_along_too(session: PaymentSession) -> None:
    tell(session, moved(MovementKind.CAPTURE, "40", provider_reference="cap_x"))
    assert session.payment is not None
    assert (session.payment.amount, session.payment.captured_amount) == (Decimal(100), Decimal(40))


def test_late_challenge_and_late_refusal_leave_a_payment_alone(payment: Payment) -> None:
    before = books()
    tell(payment.session, PENDING, REQUIRES_MORE, REFUSED, AUTHORIZED)
    assert books() == before


def test_refusal_at_the_provider_is_recorded(session: PaymentSession) -> None:
    tell(session, REFUSED)
    assert (session.status, session.error_code, session.error_message) == ("error", "card_declined", "No.")
    tell(session, AUTHORIZED)
    assert (session.status, session.error_code) == ("authorized", "")


def test_cancelation_at_the_provider_is_recorded(session: PaymentSession) -> None:
    tell(session, CANCELED)
    assert session.status == "canceled"


def test_release_at_the_provider_is_recorded(payment: Payment) -> None:
    tell(payment.session, CANCELED)
    payment.refresh_from_db()
    assert (payment.status, payment.canceled_amount, payment.session.status) == (
        "canceled",
        Decimal(100),
        "canceled",
    )


def test_release_of_the_rest_at_the_provider_is_recorded(payment: Payment) -> None:
    services.capture_payment(payment, amount="60.00")
    tell(
        payment.session,
        captured("60", canceled_amount=Decimal(30)),
        captured("60", canceled_amount=Decimal(10)),
    )
    payment.refresh_from_db()
    assert (payment.status, payment.canceled_amount) == ("partially_captured", Decimal(30))


def test_totals_are_cumulative_and_explain_our_own_movements_first(payment: Payment, card: Script) -> None:
    card.next("capture", TimeoutError(), TimeoutError())
    for amount in ("25.00", "35.00"):
        with pytest.raises(OutcomeUnknownError):
            services.capture_payment(payment, amount=amount)
    tell(payment.session, captured("60"))
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(60)
    assert list(payment.captures.values_list("status", flat=True)) == ["succeeded", "succeeded"]
    operations = payment.operations.filter(kind="capture")
    assert set(operations.values_list("status", flat=True)) == {"succeeded"}


def test_one_of_our_movements_is_found_in_a_total(payment: Payment, card: Script) -> None:
    card.next("capture", TimeoutError(), TimeoutError())
    for amount in ("25.00", "35.00"):
        with pytest.raises(OutcomeUnknownError):
            services.capture_payment(payment, amount=amount)
    tell(payment.session, captured("35"))
    assert [(row.amount, row.status) for row in payment.captures.all()] == [
        (Decimal(25), "pending"),
        (Decimal(35), "succeeded"),
    ]


def test_money_moved_at_the_provider_itself_is_booked(payment: Payment) -> None:
    services.capture_payment(payment, amount="60.00")
    tell(
        payment.session,
        captured("70"),
        moved(MovementKind.REFUND, "20", provider_reference="re_1"),
        moved(MovementKind.REFUND, "5", MovementStatus.FAILED, provider_reference="re_2"),
    )
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.refunded_amount) == (Decimal(70), Decimal(20))
    refund = payment.refunds.get()
    assert (refund.provider_reference, refund.operations.count()) == ("re_1", 0)
    payment.collection.refresh_from_db()
    assert payment.collection.refunded_amount == Decimal(20)


def test_total_first_and_its_movements_later_are_counted_once(payment: Payment) -> None:
    services.capture_payment(payment)
    listed = (
        providers.MovementFact(
            kind=MovementKind.REFUND,
            status=MovementStatus.SUCCEEDED,
            amount=Decimal(amount),
            currency_code="eur",
            provider_reference=f"re_{amount}",
        )
        for amount in (10, 20)
    )
    whole = providers.SessionFact(currency_code="eur", refunded_amount=Decimal(30), movements=tuple(listed))
    tell(payment.session, captured("100", refunded_amount=Decimal(30)), whole, whole)
    payment.refresh_from_db()
    assert payment.refunded_amount == Decimal(30)


def test_total_first_and_the_same_movement_later_are_one_row(payment: Payment) -> None:
    services.capture_payment(payment)
    fact = moved(MovementKind.REFUND, "30", provider_reference="re_1")
    tell(payment.session, captured("100", refunded_amount=Decimal(30)), fact, fact)
    assert payment.refunds.get().provider_reference == "re_1"


def test_pending_movement_at_the_provider_reserves_and_then_succeeds(payment: Payment) -> None:
    services.capture_payment(payment)
    pending = moved(MovementKind.REFUND, "30", MovementStatus.PENDING, provider_reference="re_1")
    tell(payment.session, pending, pending)
    assert payment.refunds.get().status == "pending"
    tell(payment.session, moved(MovementKind.REFUND, "30", provider_reference="re_1"), pending)
    assert payment.refunds.get().status == "succeeded"


def test_refund_can_fail_after_it_had_succeeded_and_stays_failed(payment: Payment) -> None:
    services.capture_payment(payment)
    services.refund_payment(payment)
    payment.collection.refresh_from_db()
    assert payment.collection.status == "canceled"
    operation = payment.operations.get(kind="refund")
    failed = moved(MovementKind.REFUND, "100", MovementStatus.FAILED, operation_id=operation.pk)
    tell(payment.session, failed)
    payment.refresh_from_db()
    payment.collection.refresh_from_db()
    assert (payment.status, payment.refunded_amount) == ("captured", Decimal(0))
    assert (payment.collection.status, payment.collection.refunded_amount) == ("completed", Decimal(0))
    before = books()
    succeeded = moved(MovementKind.REFUND, "100", operation_id=operation.pk)
    tell(payment.session, succeeded, failed, captured("100", refunded_amount=Decimal(100)))
    assert books() == before
    assert services.refund_payment(payment).status == "refunded"


def test_refund_declined_first_succeeds_when_the_provider_says_so(payment: Payment, card: Script) -> None:
    services.capture_payment(payment)
    card.next("refund", declined(providers.RefundResult))
    with pytest.raises(Exception, match="bank said no"):
        services.refund_payment(payment)
    operation = payment.operations.get(kind="refund")
    tell(
        payment.session, moved(MovementKind.REFUND, "100", operation_id=operation.pk, provider_reference="re")
    )
    payment.refresh_from_db()
    operation.refresh_from_db()
    assert (payment.status, operation.status) == ("refunded", "succeeded")


def test_failed_movement_ends_its_operation(payment: Payment, card: Script) -> None:
    card.next("capture", providers.CaptureResult(outcome=Outcome.PENDING))
    services.capture_payment(payment)
    operation = payment.operations.get(kind="capture")
    failure = providers.Failure(code="expired", message="Too late.")
    tell(
        payment.session,
        moved(MovementKind.CAPTURE, "100", MovementStatus.PENDING, operation_id=operation.pk),
        moved(MovementKind.CAPTURE, "100", MovementStatus.FAILED, operation_id=operation.pk, failure=failure),
    )
    operation.refresh_from_db()
    assert (operation.status, operation.error_code) == ("declined", "expired")
    assert payment.captures.get().error_message == "Too late."


def test_unknown_authorization_is_ended_by_what_the_provider_reports(
    session: PaymentSession, card: Script
) -> None:
    for fact, status in ((REQUIRES_MORE, "succeeded"), (REFUSED, "declined"), (AUTHORIZED, "succeeded")):
        card.next("authorize", TimeoutError())
        with pytest.raises(OutcomeUnknownError):
            services.authorize_payment_session(session)
        operation = session.operations.filter(kind="authorize").order_by("-created_at", "-id")[0]
        tell(session, fact)
        operation.refresh_from_db()
        assert operation.status == status
    assert session.status == "authorized"


def test_raised_amount_is_confirmed_by_a_report_even_of_an_authorization(
    session: PaymentSession, card: Script
) -> None:
    card.next("update", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_collection(session.collection, amount="120.00")
    authorization = providers.SessionFact(
        currency_code="eur",
        status=SessionStatus.AUTHORIZED,
        amount=Decimal(120),
        authorized_amount=Decimal(120),
    )
    tell(session, authorization)
    assert session.payment is not None
    assert (session.amount, session.payment.amount) == (Decimal(120), Decimal(120))
    assert session.operations.get(kind="update").status == "succeeded"
    assert not session.operations.filter(status="attention").exists()


def test_report_about_an_authorized_session_ends_an_update_without_reopening_it(
    session: PaymentSession, card: Script
) -> None:
    card.next("update", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_session(session, data={"code": "1"})
    tell(
        session,
        providers.SessionFact(
            currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(100)
        ),
    )
    tell(session, AUTHORIZED)
    assert session.status == "authorized"
    assert session.operations.get(kind="update").status == "succeeded"


def test_only_declared_keys_of_a_report_are_published(session: PaymentSession) -> None:
    fact = providers.SessionFact(
        currency_code="eur",
        status=SessionStatus.REQUIRES_MORE,
        data={"client_token": "new", "customer": "cus_1"},
        provider_data={"secret": "new"},
    )
    tell(session, fact)
    assert (session.data, session.provider_data) == ({"client_token": "new"}, {"secret": "new"})


def test_report_is_recorded_though_the_provider_has_left_the_settings(
    session: PaymentSession, settings: Any
) -> None:
    settings.PAYMENTS = {"PROVIDERS": {}}
    fact = providers.SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, data={"client_token": "new"}
    )
    tell(session, fact)
    assert (session.status, session.data) == ("authorized", {})


def test_challenge_answers_are_not_undone_by_their_report(session: PaymentSession, card: Script) -> None:
    card.next("authorize", requires_more(), declined(providers.AuthorizeResult))
    services.authorize_payment_session(session)
    services.authorize_payment_session(session)
    tell(session, REQUIRES_MORE)
    assert session.status == "error"


@pytest.mark.parametrize("status", [MovementStatus.SUCCEEDED, MovementStatus.FAILED])
def test_report_that_names_only_the_providers_reference_ends_the_operation_too(
    payment: Payment, card: Script, status: MovementStatus
) -> None:
    pending = providers.CaptureResult(
        outcome=Outcome.PENDING, amount=Decimal(40), currency_code="eur", provider_reference="c1"
    )
    card.next("capture", pending)
    services.capture_payment(payment, amount=40)
    tell(payment.session, moved(MovementKind.CAPTURE, "40", status, provider_reference="c1"))
    operation = payment.operations.get(kind="capture")
    assert not operation.is_open
    assert payment.captures.get().status == status
