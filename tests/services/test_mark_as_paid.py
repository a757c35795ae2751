"""Marking a collection as paid: what is left was settled outside of any provider."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from payments import services
from payments.exceptions import (
    AmountError,
    InputError,
    OutcomeUnknownError,
    PaymentError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentProvider,
    PaymentSession,
)
from payments.providers import AuthorizeResult, CancelResult, InitiateResult, UpdateResult
from payments.services.ledger.operations import Checkpoint, watching
from payments.states import OperationKind, Outcome
from payments.testing import Script
from payments.testing.scripted import Verb
from tests.services.results import declined

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


def test_unpaid_collection_is_completed_by_the_system_provider(
    collection: PaymentCollection, staff: Any
) -> None:
    services.mark_payment_collection_as_paid(collection, actor=staff, source="admin")
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    payment = Payment.objects.get()
    assert (payment.provider_id, payment.status, payment.amount) == ("system", "captured", Decimal(100))
    sources = set(collection.events.exclude(type="collection.created").values_list("source", "actor_label"))
    assert sources == {("admin", "alice")}


def test_open_sessions_are_canceled_whether_splits_or_not(
    collection: PaymentCollection, card: Script
) -> None:
    services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.create_payment_session(collection, provider_id="card")
    services.mark_payment_collection_as_paid(collection)
    assert collection.status == "completed"
    assert (
        list(collection.sessions.filter(provider="card").values_list("status", flat=True)) == ["canceled"] * 2
    )
    assert Payment.objects.get().amount == Decimal(100)


@pytest.mark.parametrize("asked", [None, "100.00"])
@pytest.mark.parametrize("expected", [None, "30.00"])
@pytest.mark.parametrize(("price", "left"), [("150.00", "50.00"), ("80.00", None)])
def test_nobody_has_received_what_an_order_costs_more_meanwhile(
    collection: PaymentCollection,
    card: Script,
    *,
    asked: str | None,
    expected: str | None,
    price: str,
    left: Any,
) -> None:
    """What an order costs less meanwhile isn't received either; that it was stated is told as an error."""
    if expected is not None:
        held = services.create_payment_session(collection, provider_id="system", amount=expected)
        services.authorize_payment_session(held)
    services.create_payment_session(collection, provider_id="card", amount="20.00")

    def answer(request: Any) -> CancelResult:
        order = PaymentCollection.objects.get()
        services.update_payment_collection(order, amount=price)
        return CancelResult(outcome=Outcome.SUCCEEDED)

    card.next("cancel", answer)
    if asked is not None and left is None:
        with pytest.raises(AmountError) as refusal:
            services.mark_payment_collection_as_paid(collection, amount=asked)
        assert refusal.value.code == "exceeds_remaining"
        collection.refresh_from_db()
        assert collection.captured_amount == 0
    services.mark_payment_collection_as_paid(collection, amount=asked if left else None)

    assert collection.amount == Decimal(price)
    assert collection.captured_amount == (Decimal(100) if left else Decimal(price))
    assert collection.status == ("partially_captured" if left else "completed")
    if left:
        assert services.create_payment_session(collection, provider_id="card").amount == Decimal(left)


def _marked(amount: str | None) -> None:
    services.mark_payment_collection_as_paid(
        PaymentCollection.objects.get(), amount=amount, reference="other"
    )


def _cut(amount: str | None) -> None:
    services.update_payment_collection(PaymentCollection.objects.get(), amount=amount or "1.00")


def _paid(amount: str | None) -> None:
    session = services.create_payment_session(
        PaymentCollection.objects.get(), provider_id="card", amount=amount
    )
    services.authorize_payment_session(session)


@pytest.mark.shows(
    "While money is being marked as received, less is left: marked by somebody else, paid, or for a lower price",
    "What was stated is recorded as a whole, or refused with nothing of it recorded",
)
@pytest.mark.parametrize(
    ("stated", "meanwhile", "amount", "left"),
    [
        ("60.00", _marked, "60.00", 40),
        ("60.00", _marked, "100.00", 0),
        ("60.00", _marked, None, 0),
        ("100.00", _marked, "60.00", 40),
        ("100.00", _marked, "100.00", 0),
        (None, _marked, "60.00", 40),
        ("60.00", _cut, "40.00", 40),
        ("100.00", _cut, "40.00", 40),
        (None, _cut, "40.00", 40),
        ("60.00", _paid, "40.00", 60),
        ("100.00", _paid, None, 0),
    ],
)
def test_stated_amount_is_received_as_a_whole_or_refused(
    collection: PaymentCollection,
    *,
    stated: str | None,
    meanwhile: Callable[[str | None], None],
    amount: str | None,
    left: int,
) -> None:
    steps = iter([partial(meanwhile, amount)])

    def act(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == Checkpoint.RECORDED and operation.kind == OperationKind.INITIATE:
            next(steps, lambda: None)()

    is_whole = stated is None or Decimal(stated) <= left
    with watching(act), nullcontext() if is_whole else pytest.raises(AmountError):
        services.mark_payment_collection_as_paid(collection, amount=stated, reference="mine")

    received = sum(Capture.objects.filter(reference="mine").values_list("amount", flat=True))
    assert received == ((stated and Decimal(stated)) or left if is_whole else 0)
    assert not PaymentCollection.objects.get().sessions.unauthorized().filter(provider="system").exists()


@pytest.mark.shows(
    "A part is marked as paid, and the session for the rest can't be fitted to what is left",
    "An error says that nothing was recorded, and is true; what is recorded is no error",
)
@pytest.mark.parametrize("expected", [None, "20.00"])
@pytest.mark.parametrize("split", [None, "70.00", "80.00"])
@pytest.mark.parametrize("verb", ["initiate", "update", "cancel"])
@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.NOT_SENT, Outcome.UNKNOWN])
def test_refusal_to_mark_as_paid_has_recorded_nothing(
    collection: PaymentCollection,
    card: Script,
    *,
    expected: str | None,
    split: str | None,
    verb: Verb,
    outcome: Outcome,
) -> None:
    if expected is not None:
        held = services.create_payment_session(collection, provider_id="system", amount=expected)
        services.authorize_payment_session(held)
    card.lacks.update(("update",) if verb == "cancel" else ())
    card.next(
        verb,
        {"initiate": InitiateResult, "update": UpdateResult, "cancel": CancelResult}[verb](outcome=outcome),
    )
    with suppress(PaymentError):
        services.create_payment_session(collection, provider_id="card", amount=split)

    try:
        services.mark_payment_collection_as_paid(collection, amount="30.00")
    except OutcomeUnknownError:
        pass  # Nobody is told that nothing has happened.
    except PaymentError:
        assert not Capture.objects.exists()
    else:
        assert collection.captured_amount == 30


@pytest.fixture
def plan(collection: PaymentCollection, card: Script) -> list[PaymentSession]:
    """Return three installments, the first of which was refused, so that only that one is known to its provider."""
    parts = services.create_installment_plan(collection, provider_id="card", count=3, interval="month")
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(parts[0])
    return parts


def _is_unclear(card: Script, part: PaymentSession) -> None:
    card.next("authorize", AuthorizeResult(outcome=Outcome.UNKNOWN))
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(part)


def _is_pending(card: Script, part: PaymentSession) -> None:
    card.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    services.authorize_payment_session(part)


def _cannot_be_reached(card: Script, part: PaymentSession) -> None:
    card.next("cancel", CancelResult(outcome=Outcome.NOT_SENT))
    card.next("update", UpdateResult(outcome=Outcome.NOT_SENT))


def _is_disabled(card: Script, part: PaymentSession) -> None:
    services.disable_provider(PaymentProvider.objects.get(pk="system"))


@pytest.mark.shows(
    "A receipt is refused: a part of a plan is being charged, a provider can't be reached, or receipts are disabled",
    "Nothing has changed, so that the plan goes on; asked for again afterwards, it is received",
)
@pytest.mark.parametrize(
    ("hindrance", "code"),
    [
        (_is_unclear, "operation_in_progress"),
        (_is_pending, "operation_in_progress"),
        (_cannot_be_reached, "provider_unavailable"),
        (_is_disabled, "provider_disabled"),
    ],
)
@pytest.mark.parametrize("asked", ["all", "100.00", "90.00", "20.00 of the first"])
def test_refused_receipt_leaves_a_plan_as_it_is(
    collection: PaymentCollection,
    plan: list[PaymentSession],
    card: Script,
    *,
    hindrance: Callable[[Script, PaymentSession], None],
    code: str,
    asked: str,
) -> None:
    amount = None if asked == "all" else asked.split(maxsplit=1)[0]
    session = plan[0] if asked.endswith("first") else None
    hindrance(card, plan[0])
    before = _sessions_of(collection)

    with pytest.raises(PaymentError) as refusal:
        services.mark_payment_collection_as_paid(collection, amount=amount, session=session)

    assert refusal.value.code == code
    if hindrance is _is_disabled:
        with pytest.raises(InputError):
            services.check_receipt(
                collection, amount=None if amount is None else Decimal(amount), session=session
            )
    assert _sessions_of(collection) == before
    assert not Payment.objects.exists()
    if code != "operation_in_progress":
        services.enable_provider(PaymentProvider.objects.get(pk="system"))
        card.next("cancel", CancelResult(outcome=Outcome.SUCCEEDED))
        services.mark_payment_collection_as_paid(collection, amount=amount, session=session)
        received = Decimal(amount or 100)
        assert collection.captured_amount == received
        assert sum(open_amounts(collection)) == 100 - received


def _sessions_of(collection: PaymentCollection) -> list[Any]:
    return list(collection.sessions.order_by("created_at", "id").values_list("pk", "status", "amount"))


def test_receipt_for_which_only_a_part_of_the_room_was_made_says_so(
    collection: PaymentCollection, card: Script, wallet: Script
) -> None:
    for provider_id in ("card", "wallet"):
        services.create_payment_session(collection, provider_id=provider_id, amount="30.00")
    wallet.next("cancel", CancelResult(outcome=Outcome.NOT_SENT))

    with pytest.raises(ProviderUnavailableError) as refusal:
        services.mark_payment_collection_as_paid(collection)

    assert refusal.value.message.startswith("A part of this is done.")
    assert open_amounts(collection) == [30]
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, open_amounts(collection)) == ("completed", [])


def test_installments_that_are_due_later_are_canceled(collection: PaymentCollection, card: Script) -> None:
    services.create_installment_plan(collection, provider_id="card", count=3, interval="month")
    services.mark_payment_collection_as_paid(collection)
    assert collection.status == "completed"
    assert card.verbs == []


def test_what_another_provider_holds_stays_for_its_own_capture(collection: PaymentCollection) -> None:
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.authorize_payment_session(held)
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount, collection.authorized_amount) == (
        "partially_captured",
        Decimal(40),
        Decimal(100),
    )
    assert held.payment is not None
    services.capture_payment(held.payment)
    collection.refresh_from_db()
    assert collection.status == "completed"


def test_cash_that_was_expected_is_taken_together_with_what_is_left(collection: PaymentCollection) -> None:
    cash = services.create_payment_session(collection, provider_id="system", amount="40.00")
    services.authorize_payment_session(cash)
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert sorted(Payment.objects.values_list("amount", flat=True)) == [Decimal(40), Decimal(60)]


def test_nothing_left_is_refused(payment: Payment) -> None:
    for move_on in (services.capture_payment, services.refund_payment, None):
        with pytest.raises(AmountError) as refusal:
            services.mark_payment_collection_as_paid(payment.collection)
        assert refusal.value.code == "nothing_left"
        if move_on is not None:
            move_on(payment)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("point", ["initiate", "authorize", "capture"])
@pytest.mark.parametrize("count", [0, 2])
def test_interrupted_marking_goes_on_when_it_is_asked_for_again(
    collection: PaymentCollection, settings: Any, wallet: Script, point: Verb, count: int
) -> None:
    settings.PAYMENTS = settings.PAYMENTS | {"MARK_AS_PAID_PROVIDER": "wallet"}
    if count:
        services.create_installment_plan(collection, provider_id="card", count=count, interval="month")
    wallet.next(point, MemoryError())
    with pytest.raises(OutcomeUnknownError):
        services.mark_payment_collection_as_paid(collection)
    _settle_by_hand(collection)
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert Payment.objects.count() == 1
    assert open_amounts(collection) == []


def _settle_by_hand(collection: PaymentCollection) -> None:
    """Have a person find out that nothing has happened."""
    operation = collection.operations.get(status="unknown")
    operation.require_attention(detail="unresolved")
    operation.save_fields("status", "detail", "in_flight_key")
    services.resolve_operation(operation, has_happened=False, reason="Nothing on the statement.")


@pytest.fixture
def due(rows: None) -> PaymentCollection:
    """Return a collection of 38.00 euros."""
    return services.create_payment_collection(amount="38.00", currency_code="eur")


def open_amounts(collection: PaymentCollection) -> list[Any]:
    """Return what the payer's open sessions are for."""
    return list(collection.sessions.unauthorized().order_by("created_at").values_list("amount", flat=True))


@pytest.mark.parametrize(
    ("sessions", "left"),
    [
        ([], []),
        ([None], ["18"]),
        (["38.00"], ["18"]),
        (["19.00", "19.00"], ["18"]),
        (["10.00", "28.00"], ["10", "8"]),
        (["15.00"], ["15"]),
        (["10.00", None], ["10", "8"]),
    ],
)
@pytest.mark.parametrize("supports_update", [True, False])
def test_part_leaves_the_rest_open_and_the_payers_sessions_for_no_more(
    due: PaymentCollection, card: Script, sessions: list[Any], left: list[str], supports_update: bool
) -> None:
    for amount in sessions:
        services.create_payment_session(due, provider_id="card", amount=amount)
    card.lacks.update(() if supports_update else ("update",))
    services.mark_payment_collection_as_paid(due, amount="20.00")
    assert [due.status, due.captured_amount, due.authorized_amount] == ["partially_captured", 20, 20]
    if supports_update:
        assert open_amounts(due) == [Decimal(amount) for amount in left]
    assert sum(open_amounts(due)) <= 18
    services.mark_payment_collection_as_paid(due)
    assert [due.status, due.captured_amount, open_amounts(due)] == ["completed", 38, []]


def test_when_and_under_which_reference_is_kept(due: PaymentCollection, staff: Any) -> None:
    received_at = timezone.now() - timedelta(days=2)
    services.mark_payment_collection_as_paid(
        due,
        amount="20.00",
        received_at=received_at,
        reference="RF18 5390",
        note="By transfer.",
        actor=staff,
        source="admin",
    )
    capture = Payment.objects.get().captures.get()
    assert (capture.received_at, capture.reference, capture.note) == (
        received_at,
        "RF18 5390",
        "By transfer.",
    )
    event = due.events.get(type="payment.captured")
    assert (event.data["reference"], event.data["note"], event.actor) == ("RF18 5390", "By transfer.", staff)


def test_one_installment_is_paid_by_transfer_and_the_others_stay(
    collection: PaymentCollection, card: Script
) -> None:
    plan = services.create_installment_plan(collection, provider_id="card", count=4, interval="month")
    services.mark_payment_collection_as_paid(collection, session=plan[1])
    assert [collection.captured_amount, open_amounts(collection)] == [25, [25, 25, 25]]
    plan[1].refresh_from_db()
    assert plan[1].status == "canceled"
    services.mark_payment_collection_as_paid(collection, session=plan[2], amount="10.00")
    assert [collection.captured_amount, open_amounts(collection)] == [35, [25, 15, 25]]
    with pytest.raises(TransitionError) as refusal:
        services.mark_payment_collection_as_paid(collection, session=plan[1])
    assert refusal.value.code == "session_not_open"
    with pytest.raises(AmountError):
        services.mark_payment_collection_as_paid(collection, session=plan[3], amount="25.01")


def test_part_of_what_was_expected_in_cash_is_taken_of_that(collection: PaymentCollection) -> None:
    cash = services.create_payment_session(collection, provider_id="system", amount="40.00")
    services.authorize_payment_session(cash)
    services.mark_payment_collection_as_paid(collection, amount="30.00")
    assert [collection.authorized_amount, collection.captured_amount] == [40, 30]
    services.mark_payment_collection_as_paid(collection, amount="30.00")
    assert [collection.authorized_amount, collection.captured_amount] == [60, 60]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"amount": "38.01"}, "exceeds_remaining"),
        ({"amount": "0"}, "not_positive"),
        ({"amount": "1.001"}, "too_many_decimals"),
        ({"received_at": timezone.now() + timedelta(days=1)}, "received_later"),
        ({"received_at": datetime(2026, 1, 1)}, "naive_datetime"),  # noqa: DTZ001 - that is the point
    ],
)
def test_what_cannot_have_been_received_is_refused(
    due: PaymentCollection, values: dict[str, Any], code: str
) -> None:
    with pytest.raises(PaymentError) as refusal:
        services.mark_payment_collection_as_paid(due, **values)
    assert refusal.value.code == code
    assert not due.sessions.exists()


@pytest.mark.shows(
    "A collection was marked as paid by mistake",
    "A person corrects it: the money was never there, and it is to be paid again",
)
@pytest.mark.parametrize("amount", ["20.00", None])
def test_mark_as_paid_is_corrected(due: PaymentCollection, amount: str | None) -> None:
    services.mark_payment_collection_as_paid(due, amount=amount)
    operation = due.operations.get(kind="capture")
    corrected = services.correct_operation(operation, has_happened=False, reason="Another order's.")
    due.refresh_from_db()
    assert (corrected.status, due.status) == ("declined", "not_paid")
    assert [due.authorized_amount, due.captured_amount] == [0, 0]
    services.mark_payment_collection_as_paid(due)
    assert [due.status, due.captured_amount] == ["completed", 38]


def test_amount_that_was_marked_as_paid_is_corrected(due: PaymentCollection) -> None:
    services.mark_payment_collection_as_paid(due)
    operation = due.operations.get(kind="capture")
    services.correct_operation(operation, has_happened=True, amount="30.00", reason="Misread.")
    due.refresh_from_db()
    assert [due.authorized_amount, due.captured_amount] == [30, 30]
    services.correct_operation(operation, has_happened=False, reason="Another order's.")
    due.refresh_from_db()
    assert [due.status, due.authorized_amount] == ["not_paid", 0]


@pytest.mark.shows(
    "A receipt is corrected to another amount while other sessions are open",
    "They are for what is left: the session for the rest, or the parts of a plan",
)
@pytest.mark.parametrize(
    ("count", "said", "meant", "left"),
    [
        (0, "8.00", "18.00", [20]),
        (0, "18.00", "8.00", [30]),
        (0, "8.00", "38.00", []),
        (2, "8.00", "18.00", [11, 9]),
        (2, "18.00", "38.00", []),
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.NOT_SENT, Outcome.UNKNOWN])
def test_open_sessions_follow_a_corrected_receipt(
    due: PaymentCollection,
    card: Script,
    *,
    count: int,
    said: str,
    meant: str,
    left: list[Any],
    outcome: Outcome,
) -> None:
    first = None
    if count:
        first, *_others = services.create_installment_plan(
            due, provider_id="card", count=count, interval="month"
        )
    else:
        services.create_payment_session(due, provider_id="card")
    services.mark_payment_collection_as_paid(due, amount=said, session=first)
    if outcome != Outcome.SUCCEEDED:
        card.next("update", UpdateResult(outcome=outcome))
    operation = due.operations.get(kind="capture")

    services.correct_operation(
        operation, has_happened=True, amount=meant, reason="Misread.", accept_excess=True
    )

    due.refresh_from_db()
    assert due.captured_amount == Decimal(meant)
    is_asked = bool(card.requests("update")) and outcome != Outcome.SUCCEEDED
    assert is_asked or open_amounts(due) == left


def test_money_that_a_provider_took_is_not_corrected_as_marked(
    due: PaymentCollection, settings: Any, wallet: Script
) -> None:
    settings.PAYMENTS = settings.PAYMENTS | {"MARK_AS_PAID_PROVIDER": "wallet"}
    services.mark_payment_collection_as_paid(due)
    operation = due.operations.get(kind="capture")
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "already_recorded"
