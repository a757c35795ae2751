"""Authorizing a session: at once, in parts, after a challenge, again after a refusal, and with no answer at all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

import pytest
from django.utils import timezone

from payments import services
from payments.api.storefront.access import client_secret
from payments.exceptions import (
    AmountError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers import AuthorizeResult, Failure, SessionFact, UpdateResult
from payments.services import ResolvedPayable
from payments.states import EventSource, Outcome, SessionStatus
from payments.testing import Script
from tests.api.client import Visitor
from tests.services.results import authorized, declined, requires_more
from tests.shop.models import Order

pytestmark = pytest.mark.django_db


def test_authorized_session_becomes_a_payment(session: PaymentSession, card: Script) -> None:
    payment = services.authorize_payment_session(session, data={"code": "123"}).payment
    assert payment is not None
    assert (session.status, payment.status, payment.amount) == ("authorized", "authorized", Decimal(100))
    assert session.authorized_at is not None
    assert (payment.provider_data, payment.provider_reference) == (
        session.provider_data,
        session.provider_reference,
    )
    session.collection.refresh_from_db()
    assert (session.collection.status, session.collection.authorized_amount) == ("authorized", Decimal(100))


def test_provider_gets_both_halves_of_the_data_and_the_input(session: PaymentSession, card: Script) -> None:
    services.authorize_payment_session(session, data={"code": "123"})
    (request,) = card.requests("authorize")
    operation = session.operations.get(kind="authorize")
    assert (request.data, request.provider_data, request.input) == (
        {"client_token": f"token_{session.pk}"},
        {"secret": f"secret_{session.pk}"},
        {"code": "123"},
    )
    assert request.provider_reference == f"scripted_{session.pk}"
    assert (request.operation_id, request.idempotency_key) == (operation.pk, operation.pk)


def test_authorizing_again_gives_the_one_payment(payment: Payment, card: Script) -> None:
    again = services.authorize_payment_session(payment.session)
    assert again.payment == payment
    assert len(card.requests("authorize")) == 1
    assert Payment.objects.count() == 1


def test_split_over_two_providers_is_authorized_part_by_part(collection: PaymentCollection) -> None:
    first = services.create_payment_session(collection, provider_id="card", amount="60.00")
    second = services.create_payment_session(collection, provider_id="system")
    services.authorize_payment_session(first)
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("partially_authorized", Decimal(60))
    services.authorize_payment_session(second)
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("authorized", Decimal(100))


def test_partial_authorization_makes_a_payment_of_what_is_held(session: PaymentSession, card: Script) -> None:
    card.next("authorize", authorized("60.00"))
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    assert (payment.amount, session.amount, session.status) == (Decimal(60), Decimal(100), "authorized")
    session.collection.refresh_from_db()
    assert session.collection.status == "partially_authorized"
    rest = services.create_payment_session(session.collection, provider_id="wallet")
    assert rest.amount == Decimal(40)
    services.authorize_payment_session(rest)
    session.collection.refresh_from_db()
    assert session.collection.status == "authorized"


def test_provider_that_takes_the_money_at_once(session: PaymentSession, card: Script) -> None:
    card.next("authorize", authorized("100.00", captured="100.00"))
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    assert (payment.status, payment.captured_amount) == ("captured", Decimal(100))
    session.collection.refresh_from_db()
    assert session.collection.status == "completed"
    assert payment.captures.get().status == "succeeded"


def test_declined_authorization_is_a_session_in_error(session: PaymentSession, card: Script) -> None:
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(session)
    assert (session.status, session.error_code, session.error_message) == (
        "error",
        "card_declined",
        "The bank said no.",
    )
    assert session.payment is None
    assert session.operations.get(kind="authorize").detail == "issuer 05"
    assert session.collection.authorized_amount == 0


def test_declined_session_can_be_tried_again_under_a_new_key(session: PaymentSession, card: Script) -> None:
    card.next("authorize", declined(AuthorizeResult), declined(AuthorizeResult, "no_funds"))
    services.authorize_payment_session(session)
    services.authorize_payment_session(session)
    assert (session.status, session.error_code) == ("error", "no_funds")
    services.authorize_payment_session(session)
    assert (session.status, session.error_code) == ("authorized", "")
    assert len({request.idempotency_key for request in card.requests("authorize")}) == 3


def test_challenge_comes_first_where_the_bank_wants_one(session: PaymentSession, card: Script) -> None:
    card.next("authorize", requires_more())
    services.authorize_payment_session(session)
    assert (session.status, session.payment) == ("requires_more", None)
    assert session.next_action == {"type": "redirect", "url": "https://bank.example/3ds"}
    services.authorize_payment_session(session, data={"code": "123"})
    assert (session.status, session.next_action) == ("authorized", None)


def test_challenge_can_be_asked_for_twice_and_be_failed(session: PaymentSession, card: Script) -> None:
    card.next("authorize", requires_more(), requires_more(), declined(AuthorizeResult))
    for status in ("requires_more", "requires_more", "error"):
        assert services.authorize_payment_session(session).status == status
    assert session.next_action is None


@pytest.mark.parametrize("accident", [TimeoutError(), ValueError("no JSON"), KeyError("id")], ids=repr)
def test_unknown_outcome_names_its_operation_and_keeps_the_session(
    session: PaymentSession, card: Script, accident: Exception
) -> None:
    card.next("authorize", accident)
    with pytest.raises(OutcomeUnknownError) as unknown:
        services.authorize_payment_session(session)
    operation = session.operations.get(kind="authorize")
    assert unknown.value.operation_id == operation.pk
    assert operation.pk in unknown.value.message
    assert (operation.status, operation.detail) == ("unknown", type(accident).__name__)
    assert operation.next_attempt_at is not None
    session.refresh_from_db()
    assert session.status == "pending"
    with pytest.raises(OperationInProgressError) as refusal:
        services.authorize_payment_session(session)
    assert refusal.value.operation_id == operation.pk
    with pytest.raises(OperationInProgressError):
        services.cancel_payment_session(session)
    assert len(card.requests("authorize")) == 1


def test_answer_of_another_kind_is_no_answer(session: PaymentSession, card: Script) -> None:
    card.next("authorize", lambda request: cast("AuthorizeResult", None))
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)


def test_success_without_an_amount_is_not_believed(session: PaymentSession, card: Script) -> None:
    card.next("authorize", AuthorizeResult(outcome=Outcome.SUCCEEDED))
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    assert session.payment is None


def test_what_was_not_sent_can_be_tried_again(session: PaymentSession, card: Script) -> None:
    card.next("authorize", ProviderUnavailableError("connection refused"))
    with pytest.raises(ProviderUnavailableError) as refusal:
        services.authorize_payment_session(session)
    operation = session.operations.get(kind="authorize")
    assert (refusal.value.operation_id, operation.status) == (operation.pk, "not_sent")
    session.refresh_from_db()
    assert (session.status, session.error_code) == ("pending", "")
    assert services.authorize_payment_session(session).status == "authorized"


def test_authorization_that_takes_its_time_is_awaited(session: PaymentSession, card: Script) -> None:
    card.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    assert services.authorize_payment_session(session).status == "pending"
    assert services.authorize_payment_session(session).status == "pending"
    assert len(card.requests("authorize")) == 1
    assert session.operations.get(kind="authorize").status == "pending"


def test_more_than_the_collection_is_for_cannot_be_held(collection: PaymentCollection, card: Script) -> None:
    first = services.create_payment_session(collection, provider_id="card")
    card.next("cancel", *[ProviderUnavailableError("connection refused")] * 2)
    second = services.create_payment_session(collection, provider_id="wallet")
    services.authorize_payment_session(second)
    with pytest.raises(AmountError) as refusal:
        services.authorize_payment_session(first)
    assert (refusal.value.code, refusal.value.field) == ("exceeds_remaining", "amount")
    assert card.requests("authorize") == []


def test_authorizations_under_way_count_as_held(collection: PaymentCollection, card: Script) -> None:
    first = services.create_payment_session(collection, provider_id="card")
    card.next("cancel", ProviderUnavailableError("connection refused"))
    second = services.create_payment_session(collection, provider_id="wallet")
    card.next("authorize", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(first)
    with pytest.raises(AmountError):
        services.authorize_payment_session(second)


def test_canceled_session_cannot_be_authorized(session: PaymentSession, card: Script) -> None:
    services.cancel_payment_session(session)
    with pytest.raises(TransitionError) as refusal:
        services.authorize_payment_session(session)
    assert (refusal.value.code, refusal.value.field) == ("invalid_transition", "status")
    assert card.requests("authorize") == []


def test_expired_session_cannot_be_authorized_nor_initiated(session: PaymentSession, card: Script) -> None:
    past = timezone.now() - timedelta(seconds=1)
    for initiated_at in (session.initiated_at, None):
        PaymentSession.objects.filter(pk=session.pk).update(expires_at=past, initiated_at=initiated_at)
        with pytest.raises(TransitionError) as refusal:
            services.authorize_payment_session(session)
        assert refusal.value.code == "session_expired"
    assert card.verbs == ["initiate"]


def test_account_of_the_exchange_is_kept_for_operators(session: PaymentSession, card: Script) -> None:
    card.next("authorize", authorized("100.00", provider_log={"status": 200, "took": "120 ms"}))
    services.authorize_payment_session(session)
    assert session.operations.get(kind="authorize").provider_log == {"status": 200, "took": "120 ms"}


def prepared_beside(collection: PaymentCollection, part: str) -> tuple[PaymentSession, PaymentSession]:
    """Return the shop's session for what is left, and a payer's for a part."""
    rest = services.create_payment_session(collection, provider_id="card")
    split = services.create_payment_session(collection, provider_id="card", amount=part, by_payer=True)
    rest.refresh_from_db()
    assert (rest.status, rest.amount) == ("pending", Decimal(100))
    return rest, split


@pytest.mark.shows(
    "A payer pays a part while a session for the whole amount is prepared, which their browser can confirm by itself",
    "The prepared session is made smaller at the provider, or canceled if it can't be or nothing is left",
)
@pytest.mark.parametrize(
    ("part", "supports_update", "status"),
    [("60.00", True, "pending"), ("60.00", False, "canceled"), ("100.00", True, "canceled")],
)
def test_session_for_the_rest_follows_what_a_payer_has_paid(
    collection: PaymentCollection, card: Script, part: str, supports_update: bool, status: str
) -> None:
    rest, split = prepared_beside(collection, part)
    card.lacks.update(() if supports_update else ("update",))
    paid = services.authorize_payment_session(split, by_payer=True)
    rest.refresh_from_db()
    assert (paid.status, paid.payment is not None) == ("authorized", True)
    assert rest.status == status
    if status == "pending":
        (request,) = card.requests("update")
        assert (rest.amount, request.amount) == (Decimal(40), Decimal(40))


def test_payment_stands_if_the_session_for_the_rest_can_not_follow(
    collection: PaymentCollection, card: Script
) -> None:
    rest, split = prepared_beside(collection, "60.00")
    card.next("update", TimeoutError())
    assert services.authorize_payment_session(split, by_payer=True).status == "authorized"
    rest.refresh_from_db()
    assert rest.operations.get(kind="update").status == "unknown"


@pytest.mark.parametrize("how", ["told", "pending"])
def test_opening_fits_the_session_for_the_rest_to_what_others_take(card: Script, how: str) -> None:
    order = Order.objects.create(number="A-1", total=100, currency_code="eur")
    resolved = ResolvedPayable(payable=order, amount="100.00", currency_code="eur")
    collection, _is_new = services.open_payment_collection(resolved)
    rest, split = prepared_beside(collection, "60.00")
    if how == "told":
        fact = SessionFact(
            currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(60)
        )
        services.record_fact(split, fact, origin=services.Origin(source=EventSource.WEBHOOK))
    else:
        card.next("authorize", TimeoutError())
        with pytest.raises(OutcomeUnknownError):
            services.authorize_payment_session(split, by_payer=True)
    services.open_payment_collection(resolved, by_payer=True)
    rest.refresh_from_db()
    assert rest.amount == Decimal(40)


@pytest.mark.shows(
    "An order becomes cheaper, and its session's provider can't be reached to make that smaller",
    "The next opening tries again",
)
@pytest.mark.parametrize("amount", [None, "90.00"])
def test_opening_again_repeats_a_change_that_was_not_sent(card: Script, amount: str | None) -> None:
    order = Order.objects.create(number="A-1", total=100, currency_code="eur")
    resolved = ResolvedPayable(payable=order, amount="100.00", currency_code="eur")
    collection, _is_new = services.open_payment_collection(resolved)
    session = services.create_payment_session(collection, provider_id="card", amount=amount)
    away = ProviderUnavailableError("connection refused")
    card.next("update", *[away] * 2)
    for expected in (session.amount, Decimal(60)):
        with suppress(ProviderUnavailableError):
            services.open_payment_collection(replace(resolved, amount="60.00"), by_payer=True)
        session.refresh_from_db()
        assert session.amount == expected


@pytest.mark.database_independent
def test_answer_to_the_payer_does_not_depend_on_the_other_session(
    collection: PaymentCollection, card: Script
) -> None:
    _rest, split = prepared_beside(collection, "60.00")
    card.next("update", TimeoutError())
    answer = Visitor(secret=client_secret(collection.pk)).post(
        f"storefront/payment-sessions/{split.pk}/authorize/"
    )
    assert (answer.status, answer.body["status"]) == (200, "authorized")


def test_session_for_the_rest_follows_an_authorization_that_takes_days(
    collection: PaymentCollection, card: Script
) -> None:
    rest, split = prepared_beside(collection, "60.00")
    card.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    services.authorize_payment_session(split, by_payer=True)
    rest.refresh_from_db()
    assert rest.amount == Decimal(40)


@pytest.mark.shows(
    "A payer's split was refused, and other sessions take its place; its page can still confirm it",
    "It is canceled at the provider once it is for more than is left",
)
@pytest.mark.parametrize(("taken", "status"), [("60.00", "canceled"), ("40.00", "error")])
def test_failed_split_is_canceled_once_others_take_its_place(
    collection: PaymentCollection, card: Script, taken: str, status: str
) -> None:
    failed = services.create_payment_session(collection, provider_id="card", amount="60.00", by_payer=True)
    card.next("authorize", declined(AuthorizeResult))
    assert services.authorize_payment_session(failed, by_payer=True).status == "error"
    other = services.create_payment_session(collection, provider_id="card", amount=taken, by_payer=True)
    services.authorize_payment_session(other, by_payer=True)
    failed.refresh_from_db()
    assert failed.status == status


@pytest.mark.shows(
    "So little is left that the provider refuses to take it",
    "The session that was for more is canceled, whoever has made the order smaller or paid the rest",
)
@pytest.mark.parametrize("how", ["a receipt", "a payer", "a cheaper order"])
def test_session_is_canceled_if_its_provider_refuses_the_smaller_amount(card: Script, how: str) -> None:
    order = Order.objects.create(number="A-1", total=100, currency_code="eur")
    resolved = ResolvedPayable(payable=order, amount="100.00", currency_code="eur")
    collection, _is_new = services.open_payment_collection(resolved)
    rest = services.create_payment_session(collection, provider_id="card")
    card.always("update", UpdateResult(outcome=Outcome.DECLINED, failure=Failure(code="amount_too_small")))
    if how == "a receipt":
        services.mark_payment_collection_as_paid(collection, amount="99.80")
    elif how == "a payer":
        split = services.create_payment_session(collection, provider_id="card", amount="99.80", by_payer=True)
        services.authorize_payment_session(split, by_payer=True)
    else:
        services.open_payment_collection(replace(resolved, amount="0.20"), by_payer=True)
    rest.refresh_from_db()
    assert rest.status == "canceled"
