"""Creating sessions that cover what is left or a part of it, and changing them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from payments import services
from payments.exceptions import (
    AmountError,
    DeclinedError,
    InputError,
    NotSupportedError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers import AuthorizeResult, CancelResult, InitiateResult, PaymentContext, UpdateResult
from payments.states import Outcome
from payments.testing import Script
from tests.services.results import CHALLENGE, declined

pytestmark = pytest.mark.django_db


def test_session_without_amount_covers_what_is_left(collection: PaymentCollection) -> None:
    services.create_payment_session(collection, provider_id="card", amount="60.00")
    rest = services.create_payment_session(collection, provider_id="wallet")
    assert (rest.amount, rest.is_split, rest.status) == (Decimal(40), False, "pending")
    collection.refresh_from_db()
    assert collection.status == "awaiting"


def test_provider_is_told_who_pays_and_for_what(collection: PaymentCollection, card: Script) -> None:
    context = PaymentContext(email="bob@mail.example", return_url="https://shop.example/back")
    session = services.create_payment_session(
        collection, provider_id="card", data={"token": "tok_1"}, context=context
    )
    (request,) = card.requests("initiate")
    operation = session.operations.get()
    assert (request.session_id, request.collection_id) == (session.pk, collection.pk)
    assert (request.amount, request.currency_code) == (Decimal(100), "eur")
    assert (request.operation_id, request.idempotency_key) == (operation.pk, operation.pk)
    assert (request.input, request.context) == ({"token": "tok_1"}, context)


def test_customer_of_the_collection_is_the_payer_unless_told_otherwise(
    rows: None, card: Script, staff: Any
) -> None:
    collection = services.create_payment_collection(amount=10, currency_code="eur", customer=staff)
    services.create_payment_session(collection, provider_id="card")
    (request,) = card.requests("initiate")
    assert (request.context.customer_id, request.context.email) == (str(staff.pk), "alice@shop.example")


def test_data_of_a_session_is_split_into_public_and_private(session: PaymentSession) -> None:
    assert session.data == {"client_token": f"token_{session.pk}"}
    assert session.provider_data == {"secret": f"secret_{session.pk}"}
    assert session.provider_reference == f"scripted_{session.pk}"
    assert session.initiated_at is not None


def test_session_without_amount_replaces_the_one_before(
    collection: PaymentCollection, card: Script, wallet: Script
) -> None:
    first = services.create_payment_session(collection, provider_id="card")
    second = services.create_payment_session(collection, provider_id="wallet")
    first.refresh_from_db()
    assert (first.status, second.status, second.amount) == ("canceled", "pending", Decimal(100))
    assert [request.session_id for request in card.requests("cancel")] == [first.pk]


def test_failed_session_is_replaced_as_well(session: PaymentSession, card: Script) -> None:
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(session)
    services.create_payment_session(session.collection, provider_id="wallet")
    session.refresh_from_db()
    assert session.status == "canceled"


def test_split_is_not_replaced(collection: PaymentCollection) -> None:
    split = services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.create_payment_session(collection, provider_id="wallet")
    services.create_payment_session(collection, provider_id="wallet")
    split.refresh_from_db()
    assert split.status == "pending"
    assert sorted(collection.sessions.values_list("status", flat=True)) == ["canceled", "pending", "pending"]


@pytest.mark.shows(
    "A payer has split off a little, and the shop asks for all that is left, or for a part that doesn't fit beside it",
    "The payer's split yields, as far as it has to; the shop's own stays",
)
@pytest.mark.parametrize("can_update", [True, False])
@pytest.mark.parametrize(
    ("asked", "amount", "left"), [(None, "99.00", "0"), ("99.00", "99.00", "0"), ("98.50", "98.50", "0.50")]
)
def test_what_a_payer_has_split_off_yields_to_the_shop(
    collection: PaymentCollection,
    card: Script,
    *,
    can_update: bool,
    asked: str | None,
    amount: str,
    left: str,
) -> None:
    card.lacks.update(() if can_update else ("update",))
    own = services.create_payment_session(collection, provider_id="card", amount="1.00")
    theirs = services.create_payment_session(collection, provider_id="card", amount="0.75", by_payer=True)

    session = services.create_payment_session(collection, provider_id="card", amount=asked)

    theirs.refresh_from_db()
    own.refresh_from_db()
    assert (session.amount, own.status, own.amount) == (Decimal(amount), "pending", Decimal(1))
    if Decimal(left) and can_update:
        assert (theirs.status, theirs.amount) == ("pending", Decimal(left))
    else:
        assert theirs.status == "canceled"
    assert services.authorize_payment_session(session).status == "authorized"


@pytest.mark.shows(
    "A payer has split off a little, and the shop makes a session of its own larger than fits beside it",
    "The payer's split yields, as far as it has to, but not where the session can't be changed anyway",
)
@pytest.mark.parametrize(("asked", "left"), [("99.50", "0.50"), ("100.00", None)])
def test_what_a_payer_has_split_off_yields_to_a_session_that_the_shop_changes(
    collection: PaymentCollection, card: Script, asked: str, left: str | None
) -> None:
    own = services.create_payment_session(collection, provider_id="card", amount="1.00")
    theirs = services.create_payment_session(collection, provider_id="card", amount="0.75", by_payer=True)

    with pytest.raises(AmountError):
        services.update_payment_session(own, amount="100.01")
    services.update_payment_session(own, data={"token": "tok"})
    card.lacks.add("update")
    with pytest.raises(NotSupportedError):
        services.update_payment_session(own, amount=asked)
    theirs.refresh_from_db()
    assert (theirs.status, theirs.amount) == ("pending", Decimal("0.75"))

    card.lacks.clear()
    services.update_payment_session(own, amount=asked)

    theirs.refresh_from_db()
    assert own.amount == Decimal(asked)
    if left is None:
        assert theirs.status == "canceled"
    else:
        assert (theirs.status, theirs.amount) == ("pending", Decimal(left))
    assert services.authorize_payment_session(own).status == "authorized"


def test_a_split_that_is_being_paid_or_too_small_does_not_yield(
    collection: PaymentCollection, card: Script
) -> None:
    theirs = services.create_payment_session(collection, provider_id="card", amount="0.75", by_payer=True)
    with pytest.raises(AmountError):
        services.create_payment_session(collection, provider_id="card", amount="100.01")
    card.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    services.authorize_payment_session(theirs, by_payer=True)

    session = services.create_payment_session(collection, provider_id="card")

    theirs.refresh_from_db()
    assert (theirs.status, theirs.amount, session.amount) == ("pending", Decimal("0.75"), Decimal("99.25"))


def test_a_payers_split_stays_where_the_provider_could_only_refuse_to_shrink_it(
    collection: PaymentCollection, card: Script
) -> None:
    theirs = services.create_payment_session(collection, provider_id="card", amount="60.00", by_payer=True)
    card.step = Decimal(1)

    with pytest.raises(AmountError) as refusal:
        services.create_payment_session(collection, provider_id="card", amount="99.50")

    theirs.refresh_from_db()
    assert refusal.value.code == "not_a_multiple"
    assert (theirs.status, theirs.amount) == ("pending", Decimal(60))


@pytest.mark.parametrize("answer", [TimeoutError(), declined(CancelResult)])
def test_shop_gets_what_is_left_while_a_payers_split_may_not_yield(
    collection: PaymentCollection, card: Script, answer: Any
) -> None:
    services.create_payment_session(collection, provider_id="card", amount="0.75", by_payer=True)
    card.next("cancel", answer)
    assert services.create_payment_session(collection, provider_id="card").amount == Decimal("99.25")


@pytest.mark.shows(
    "A payer pays a little beside what the shop has asked for, which covers the rest",
    "That is made smaller, and can be paid; it is canceled if its provider can't change it",
)
@pytest.mark.parametrize("by_payer", [True, False])
@pytest.mark.parametrize("can_update", [True, False])
def test_session_for_the_rest_is_for_what_is_left_when_it_is_authorized(
    collection: PaymentCollection, card: Script, by_payer: bool, can_update: bool
) -> None:
    card.lacks.update(() if can_update else ("update",))
    rest = services.create_payment_session(collection, provider_id="card")
    split = services.create_payment_session(collection, provider_id="card", amount="0.01", by_payer=True)
    services.authorize_payment_session(split, by_payer=True)

    if not can_update:
        with pytest.raises(TransitionError):
            services.authorize_payment_session(rest, by_payer=by_payer)
        assert services.create_payment_session(collection, provider_id="card").amount == Decimal("99.99")
        return
    services.authorize_payment_session(rest, by_payer=by_payer)

    assert (rest.status, rest.amount, rest.is_split) == ("authorized", Decimal("99.99"), False)
    assert [request.amount for request in card.requests("update")] == [Decimal("99.99")]
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("authorized", Decimal(100))


def test_new_session_is_made_even_where_the_old_one_could_not_be_canceled(
    session: PaymentSession, card: Script
) -> None:
    card.next("cancel", *[ProviderUnavailableError("connection refused")] * 2)
    new = services.create_payment_session(session.collection, provider_id="wallet")
    session.refresh_from_db()
    assert (session.status, new.status) == ("pending", "pending")
    services.authorize_payment_session(new)
    with pytest.raises(AmountError):
        services.authorize_payment_session(session)


def test_splits_cannot_exceed_the_collection(collection: PaymentCollection) -> None:
    services.create_payment_session(collection, provider_id="card", amount="60.00")
    with pytest.raises(AmountError) as refusal:
        services.create_payment_session(collection, provider_id="card", amount="40.01")
    assert (refusal.value.code, refusal.value.field) == ("exceeds_remaining", "amount")
    assert "40.01 EUR" in refusal.value.message
    assert "40.00 EUR" in refusal.value.message
    services.create_payment_session(collection, provider_id="card", amount="40.00")
    with pytest.raises(AmountError) as refusal:
        services.create_payment_session(collection, provider_id="card")
    assert refusal.value.code == "nothing_left"


def test_what_a_failed_or_canceled_split_was_for_is_left_again(
    collection: PaymentCollection, card: Script
) -> None:
    failed = services.create_payment_session(collection, provider_id="card", amount="60.00")
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(failed)
    canceled = services.create_payment_session(collection, provider_id="card", amount="40.00")
    services.cancel_payment_session(canceled)
    assert services.create_payment_session(collection, provider_id="card").amount == Decimal(100)


def test_failed_split_cannot_come_back_once_others_took_its_place(
    collection: PaymentCollection, card: Script
) -> None:
    failed = services.create_payment_session(collection, provider_id="card", amount="60.00")
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(failed)
    services.create_payment_session(collection, provider_id="wallet", amount="70.00")
    with pytest.raises(AmountError) as refusal:
        services.authorize_payment_session(failed)
    assert refusal.value.code == "exceeds_remaining"
    with pytest.raises(AmountError) as refusal:
        services.update_payment_session(failed, data={"token": "tok_2"})
    assert refusal.value.code == "exceeds_remaining"
    services.update_payment_session(failed, amount="30.00")
    assert services.authorize_payment_session(failed).status == "authorized"


def test_declined_initiation_leaves_a_failed_session(collection: PaymentCollection, card: Script) -> None:
    card.next("initiate", declined(InitiateResult, "amount_too_small"))
    with pytest.raises(DeclinedError) as refusal:
        services.create_payment_session(collection, provider_id="card")
    session = collection.sessions.get()
    assert refusal.value.code == "amount_too_small"
    assert (session.status, session.error_code, session.initiated_at) == ("error", "amount_too_small", None)
    assert session.error_message == "The bank said no."


def test_lost_initiation_is_repeated_when_the_session_is_authorized(
    collection: PaymentCollection, card: Script
) -> None:
    card.next("initiate", ProviderUnavailableError("connection refused"))
    with pytest.raises(ProviderUnavailableError):
        services.create_payment_session(collection, provider_id="card")
    session = services.authorize_payment_session(collection.sessions.get())
    assert session.status == "authorized"
    first, second = card.requests("initiate")
    assert first.idempotency_key != second.idempotency_key


def test_shopper_can_go_elsewhere_while_an_initiation_is_unknown(
    collection: PaymentCollection, card: Script
) -> None:
    card.next("initiate", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.create_payment_session(collection, provider_id="card")
    lost = collection.sessions.get()
    with pytest.raises(OperationInProgressError):
        services.authorize_payment_session(lost)
    other = services.create_payment_session(collection, provider_id="wallet")
    assert services.authorize_payment_session(other).status == "authorized"


def test_initiation_may_demand_an_action_at_once(collection: PaymentCollection, card: Script) -> None:
    card.next("initiate", InitiateResult(outcome=Outcome.SUCCEEDED, next_action=CHALLENGE))
    session = services.create_payment_session(collection, provider_id="card")
    assert session.status == "requires_more"
    assert session.next_action == {"type": "redirect", "url": "https://bank.example/3ds"}


def test_sessions_live_as_long_as_the_settings_say(collection: PaymentCollection, settings: Any) -> None:
    assert services.create_payment_session(collection, provider_id="card").expires_at is None
    settings.PAYMENTS = settings.PAYMENTS | {"SESSION_LIFETIME": timedelta(minutes=30)}
    session = services.create_payment_session(collection, provider_id="card")
    assert session.expires_at is not None
    assert timedelta(minutes=29) < session.expires_at - timezone.now() <= timedelta(minutes=30)


def test_changed_session_becomes_a_split_of_the_new_amount(session: PaymentSession, card: Script) -> None:
    services.update_payment_session(session, amount="70.00", data={"token": "tok_2"})
    assert (session.amount, session.is_split) == (Decimal(70), True)
    (request,) = card.requests("update")
    assert (request.amount, request.input) == (Decimal(70), {"token": "tok_2"})


def test_changing_only_the_data_keeps_the_amount(session: PaymentSession, card: Script) -> None:
    services.update_payment_session(session, data={"token": "tok_2"})
    assert (session.amount, session.is_split) == (Decimal(100), False)


def test_split_can_be_raised_to_what_is_left_and_no_further(collection: PaymentCollection) -> None:
    services.create_payment_session(collection, provider_id="card", amount="30.00")
    split = services.create_payment_session(collection, provider_id="card", amount="10.00")
    with pytest.raises(AmountError) as refusal:
        services.update_payment_session(split, amount="70.01")
    assert refusal.value.code == "exceeds_remaining"
    assert services.update_payment_session(split, amount="70.00").amount == Decimal(70)


def test_split_that_is_being_raised_counts_with_its_new_amount(
    collection: PaymentCollection, card: Script
) -> None:
    split = services.create_payment_session(collection, provider_id="card", amount="10.00")
    card.next("update", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_session(split, amount="70.00")
    with pytest.raises(AmountError):
        services.create_payment_session(collection, provider_id="card", amount="30.01")
    services.create_payment_session(collection, provider_id="card", amount="30.00")


def test_refused_change_leaves_the_session_as_it_was(session: PaymentSession, card: Script) -> None:
    card.next("update", declined(UpdateResult))
    with pytest.raises(DeclinedError):
        services.update_payment_session(session, amount="70.00")
    session.refresh_from_db()
    assert (session.amount, session.is_split, session.status) == (Decimal(100), False, "pending")


def test_change_reopens_a_failed_session(session: PaymentSession, card: Script) -> None:
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(session)
    services.update_payment_session(session, data={"token": "tok_2"})
    assert (session.status, session.error_code, session.error_message) == ("pending", "", "")


def test_nothing_to_change_is_refused(session: PaymentSession) -> None:
    with pytest.raises(InputError) as refusal:
        services.update_payment_session(session)
    assert (refusal.value.code, refusal.value.field) == ("nothing_to_change", "amount")


def test_provider_that_cannot_change_a_session_says_so(session: PaymentSession, card: Script) -> None:
    card.lacks.add("update")
    with pytest.raises(NotSupportedError):
        services.update_payment_session(session, amount="70.00")
    session.refresh_from_db()
    assert (session.amount, session.is_split) == (Decimal(100), False)


def test_authorized_session_cannot_be_changed(payment: Payment, card: Script) -> None:
    with pytest.raises(TransitionError) as refusal:
        services.update_payment_session(payment.session, amount="10.00")
    assert (refusal.value.code, refusal.value.field) == ("invalid_transition", "status")
    assert card.requests("update") == []


def test_provider_answering_with_another_amount_needs_a_person(session: PaymentSession, card: Script) -> None:
    card.next("update", UpdateResult(outcome=Outcome.SUCCEEDED, amount=Decimal(71), currency_code="eur"))
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_session(session, amount="70.00")
    operation = session.operations.get(kind="update")
    session.refresh_from_db()
    assert (operation.status, session.amount) == ("attention", Decimal(100))
    assert operation.detail.startswith("update_mismatch")


@pytest.mark.parametrize("amount", [None, "999.50"])
def test_amount_that_the_provider_cannot_take_is_refused_before_it_is_asked(
    rows: None, card: Script, amount: str | None
) -> None:
    card.step = Decimal(1)
    collection = services.create_payment_collection(amount="1000.50", currency_code="huf")
    with pytest.raises(AmountError) as refusal:
        services.create_payment_session(collection, provider_id="card", amount=amount)
    assert (refusal.value.code, refusal.value.field) == ("not_a_multiple", "amount")
    assert (card.verbs, collection.sessions.count()) == ([], 0)
    session = services.create_payment_session(collection, provider_id="card", amount="1000.00")
    with pytest.raises(AmountError):
        services.update_payment_session(session, amount="999.50")
    assert card.verbs == ["initiate"]
    assert services.create_payment_session(collection, provider_id="wallet").amount == Decimal("0.50")


def test_movement_that_the_provider_cannot_make_is_refused_before_it_is_asked(
    rows: None, card: Script
) -> None:
    card.step = Decimal(1)
    collection = services.create_payment_collection(amount="1000.00", currency_code="huf")
    session = services.create_payment_session(collection, provider_id="card")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    with pytest.raises(AmountError):
        services.capture_payment(payment, amount="10.50")
    services.capture_payment(payment)
    with pytest.raises(AmountError) as refusal:
        services.refund_payment(payment, amount="10.50")
    assert refusal.value.code == "not_a_multiple"
    assert card.verbs == ["initiate", "authorize", "capture"]
    assert not payment.refunds.exists()
