"""Installment plans: exact parts, due dates that follow the calendar, and no provider asked before its time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.utils import timezone

from payments import services
from payments.exceptions import AmountError, DeclinedError, InputError, NotFoundError, TransitionError
from payments.models import PaymentCollection, PaymentSession
from payments.providers import AuthorizeResult, InitiateResult, PaymentContext
from payments.testing import Script
from payments.testing.factories import CustomerFactory
from payments.testing.scripted import Verb
from tests.services.facts import AUTHORIZED, WEBHOOK
from tests.services.results import declined

pytestmark = pytest.mark.django_db

JANUARY_31 = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)

REFUSALS: Final[dict[Verb, Any]] = {"initiate": InitiateResult, "authorize": AuthorizeResult}


def plan(collection: PaymentCollection, **more: Any) -> list[PaymentSession]:
    values: dict[str, Any] = {
        "provider_id": "card",
        "count": 3,
        "interval": "month",
        "first_due_at": JANUARY_31,
    } | more
    return services.create_installment_plan(collection, **values)


@pytest.mark.parametrize(
    ("amount", "currency_code", "count", "parts"),
    [
        ("100.00", "eur", 3, ["33.34", "33.33", "33.33"]),
        ("100", "jpy", 3, ["34", "33", "33"]),
        ("1.000", "kwd", 3, ["0.334", "0.333", "0.333"]),
        ("0.05", "eur", 3, ["0.03", "0.01", "0.01"]),
        ("100.00", "eur", 1, ["100.00"]),
    ],
)
def test_amount_is_divided_exactly_with_the_remainder_first(
    rows: None, amount: str, currency_code: str, count: int, parts: list[str]
) -> None:
    collection = services.create_payment_collection(amount=amount, currency_code=currency_code)
    sessions = plan(collection, count=count)
    assert [session.amount for session in sessions] == [Decimal(part) for part in parts]
    assert [session.installment for session in sessions] == list(range(1, count + 1))
    assert all(session.is_split and session.status == "pending" for session in sessions)
    collection.refresh_from_db()
    assert collection.status == "awaiting"


@pytest.mark.parametrize(
    ("interval", "days"),
    [
        ("month", ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]),
        ("year", ["2027-01-31", "2028-01-31", "2029-01-31", "2030-01-31"]),
        ("week", ["2027-01-31", "2027-02-07", "2027-02-14", "2027-02-21"]),
        ("day", ["2027-01-31", "2027-02-01", "2027-02-02", "2027-02-03"]),
        (timedelta(days=14), ["2027-01-31", "2027-02-14", "2027-02-28", "2027-03-14"]),
    ],
)
def test_due_dates_follow_the_calendar(collection: PaymentCollection, interval: Any, days: list[str]) -> None:
    sessions = plan(collection, count=4, interval=interval)
    due = [session.due_at for session in sessions if session.due_at is not None]
    assert [str(moment.date()) for moment in due] == days
    assert {moment.time() for moment in due} == {JANUARY_31.time()}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles"])
@pytest.mark.parametrize(
    ("interval", "days"),
    [
        ("month", ["2026-03-01", "2026-04-01", "2026-05-01"]),
        ("year", ["2026-03-01", "2027-03-01", "2028-03-01"]),
        ("week", ["2026-03-01", "2026-03-08", "2026-03-15"]),
        ("day", ["2026-03-01", "2026-03-02", "2026-03-03"]),
        (timedelta(days=30), ["2026-03-01", "2026-03-31", "2026-04-30"]),
    ],
)
def test_due_dates_follow_the_shops_calendar_in_whatever_zone_the_first_is_given(
    collection: PaymentCollection, zone: str, interval: Any, days: list[str]
) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    with timezone.override("Europe/Berlin"):
        parts = plan(collection, interval=interval, first_due_at=midnight.astimezone(ZoneInfo(zone)))
        due = [timezone.localtime(part.due_at) for part in parts]
    assert [str(moment.replace(tzinfo=None)) for moment in due] == [f"{day} 00:00:00" for day in days]


def test_leap_day_is_the_end_of_february(collection: PaymentCollection) -> None:
    sessions = plan(collection, count=2, interval="year", first_due_at=datetime(2028, 2, 29, tzinfo=UTC))
    assert [str(session.due_at.date()) for session in sessions if session.due_at] == [
        "2028-02-29",
        "2029-02-28",
    ]


def test_first_part_is_due_now_unless_told_otherwise(collection: PaymentCollection) -> None:
    first = plan(collection, first_due_at=None)[0]
    assert first.due_at is not None
    assert timezone.now() - first.due_at < timedelta(minutes=1)


def test_plan_is_about_what_is_left(collection: PaymentCollection) -> None:
    down = services.create_payment_session(collection, provider_id="card", amount="40.00")
    services.authorize_payment_session(down)
    assert [session.amount for session in plan(collection)] == [Decimal(20)] * 3


def test_provider_hears_of_a_part_when_it_is_paid(collection: PaymentCollection, card: Script) -> None:
    first, second, _third = plan(collection)
    assert card.verbs == []
    services.authorize_payment_session(first)
    assert card.verbs == ["initiate", "authorize"]
    assert (first.status, first.data) == ("authorized", {"client_token": f"token_{first.pk}"})
    services.update_payment_session(second, amount="10.00")
    assert second.amount == Decimal(10)
    assert card.verbs == ["initiate", "authorize"]


def test_plan_joins_the_callers_transaction(rows: None) -> None:
    with transaction.atomic():
        collection = services.create_payment_collection(amount=90, currency_code="eur")
        plan(collection)
        transaction.set_rollback(True)
    assert not PaymentSession.objects.exists()


def test_second_plan_is_refused(collection: PaymentCollection) -> None:
    first = plan(collection)[0]
    services.cancel_payment_session(first)
    with pytest.raises(TransitionError) as refusal:
        plan(collection)
    assert refusal.value.code == "plan_exists"


def test_a_plan_after_a_canceled_one_goes_on_with_its_numbers(
    collection: PaymentCollection,
) -> None:
    first = plan(collection)
    services.authorize_payment_session(first[0])
    for session in first:
        services.cancel_payment_session(session)

    second = plan(collection, count=2)

    assert [session.installment for session in second] == [4, 5]
    assert [session.amount for session in second] == [Decimal(50)] * 2
    with pytest.raises(TransitionError) as refusal:
        plan(collection)
    assert refusal.value.code == "plan_exists"


def test_provider_is_told_what_the_shop_said_when_the_plan_was_made(
    collection: PaymentCollection, card: Script
) -> None:
    context = PaymentContext(return_url="https://shop.example/back", description="Order 12")
    first, _second, _third = plan(collection, context=context)
    services.authorize_payment_session(first)
    initiation = card.requests("initiate")[0]
    assert initiation.context == context


def test_provider_is_told_of_the_customer_unless_the_shop_says_more(rows: None, card: Script) -> None:
    customer = CustomerFactory.create(email="ada@example.com")
    collection = services.create_payment_collection(amount=90, currency_code="eur", customer=customer)
    services.authorize_payment_session(plan(collection)[0])
    initiation = card.requests("initiate")[0]
    assert initiation.context == PaymentContext(customer_id=str(customer.pk), email="ada@example.com")


def test_plan_is_refused_while_a_session_covers_what_is_left(session: PaymentSession) -> None:
    with pytest.raises(TransitionError) as refusal:
        plan(session.collection)
    assert refusal.value.code == "session_open"


@pytest.mark.shows(
    "A payer has split off a part before the shop makes a plan",
    "Refused while that may still be paid: a plan is never for less than the shop knows",
)
def test_a_plan_is_not_made_smaller_by_what_a_payer_has_split_off(collection: PaymentCollection) -> None:
    theirs = services.create_payment_session(collection, provider_id="card", amount="60.00", by_payer=True)
    with pytest.raises(TransitionError) as refusal:
        plan(collection)
    assert refusal.value.code == "session_open"

    services.cancel_payment_session(theirs)

    assert sum(part.amount for part in plan(collection)) == 100


def _receive(collection: PaymentCollection) -> None:
    services.mark_payment_collection_as_paid(collection, amount="30.00")


def _cost_less(collection: PaymentCollection) -> None:
    services.update_payment_collection(collection, amount="60.00")


def _charge_otherwise(collection: PaymentCollection) -> None:
    session = services.create_payment_session(collection, provider_id="wallet", amount="30.00")
    services.authorize_payment_session(session)


def _begin_otherwise(collection: PaymentCollection) -> None:
    services.create_payment_session(collection, provider_id="wallet", amount="30.00")


def _learn_late(collection: PaymentCollection) -> None:
    """Hear that a session was paid which had been canceled before the plan was made."""
    canceled = collection.sessions.get(provider="wallet")
    fact = replace(AUTHORIZED, amount=None, authorized_amount=Decimal(30))
    services.record_fact(canceled, fact, origin=WEBHOOK)


@pytest.mark.shows(
    "A part of a plan is refused, and then less is left: a receipt, a smaller order, or another session",
    "No more is asked for than is left, and the customer can pay all of that",
)
@pytest.mark.parametrize("refused", [[], [0], [1], [0, 1]])
@pytest.mark.parametrize("verb", ["initiate", "authorize"])
@pytest.mark.parametrize("supports_update", [True, False])
@pytest.mark.parametrize("change", [_receive, _cost_less, _charge_otherwise, _begin_otherwise, _learn_late])
def test_what_is_left_of_a_plan_can_be_paid(
    collection: PaymentCollection,
    card: Script,
    *,
    refused: list[int],
    verb: Verb,
    supports_update: bool,
    change: Callable[[PaymentCollection], None],
) -> None:
    other = services.create_payment_session(collection, provider_id="wallet", amount="30.00")
    services.cancel_payment_session(other)
    parts = plan(collection, count=2)
    for number in refused:
        card.next(verb, declined(REFUSALS[verb]))
        with suppress(DeclinedError):
            services.authorize_payment_session(parts[number])
    card.lacks.update(() if supports_update else ("update",))

    is_late = change is _learn_late

    with suppress(AmountError):  # The shop's own session finds no room where no part was refused.
        change(collection)

    collection.refresh_from_db()
    asked = collection.authorized_amount + sum(_asked_for(collection))
    assert asked == collection.amount or (asked < collection.amount and not supports_update) or is_late
    for session in collection.sessions.unauthorized().order_by("created_at"):
        try:
            services.authorize_payment_session(session, by_payer=True)
        except (AmountError, TransitionError):  # Nobody can change this one, so that it has to be canceled.
            assert is_late
            assert not supports_update
            services.cancel_payment_session(session)
    with suppress(AmountError):
        rest = services.create_payment_session(collection, provider_id="card", by_payer=True)
        services.authorize_payment_session(rest, by_payer=True)
    collection.refresh_from_db()
    assert collection.authorized_amount == collection.amount


def _asked_for(collection: PaymentCollection) -> list[Decimal]:
    return list(collection.sessions.unauthorized().values_list("amount", flat=True))


def test_session_of_the_shop_takes_the_place_of_what_was_refused_and_of_nothing_else(
    collection: PaymentCollection, card: Script
) -> None:
    first, _second = plan(collection, count=2)
    card.next("authorize", declined(AuthorizeResult))
    services.authorize_payment_session(first)
    with pytest.raises(AmountError) as refusal:
        services.create_payment_session(collection, provider_id="wallet", amount="50.01")
    assert refusal.value.code == "exceeds_remaining"
    with pytest.raises(AmountError):
        services.create_payment_session(collection, provider_id="wallet", amount="10.00", by_payer=True)
    assert _asked_for(collection) == [50, 50]

    assert services.create_payment_session(collection, provider_id="wallet").amount == 50

    rows = collection.sessions.filter(installment__gt=0).order_by("installment")
    assert list(rows.values_list("status", flat=True)) == ["canceled", "pending"]


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"count": 0}, "invalid_count", "count"),
        ({"count": -1}, "invalid_count", "count"),
        ({"count": 361}, "invalid_count", "count"),
        ({"count": "3"}, "invalid_count", "count"),
        ({"count": True}, "invalid_count", "count"),
        ({"count": 2.5}, "invalid_count", "count"),
        ({"interval": "fortnight"}, "invalid_interval", "interval"),
        ({"interval": timedelta(0)}, "invalid_interval", "interval"),
        ({"interval": timedelta(days=-1)}, "invalid_interval", "interval"),
        ({"interval": timedelta.max}, "invalid_interval", "interval"),
        ({"first_due_at": datetime(9999, 12, 31, tzinfo=UTC)}, "invalid_interval", "interval"),
        ({"first_due_at": datetime(2027, 1, 31)}, "naive_datetime", "first_due_at"),  # noqa: DTZ001
    ],
)
def test_impossible_plan_is_refused(
    collection: PaymentCollection, values: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(InputError) as refusal:
        plan(collection, **values)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert not PaymentSession.objects.exists()


def test_part_of_nothing_is_refused(rows: None) -> None:
    collection = services.create_payment_collection(amount="0.02", currency_code="eur")
    with pytest.raises(AmountError) as refusal:
        plan(collection)
    assert refusal.value.code == "too_small_to_split"


def test_nothing_left_and_unknown_providers_are_refused(payment: Any) -> None:
    with pytest.raises(AmountError) as refusal:
        plan(payment.collection)
    assert refusal.value.code == "nothing_left"
    with pytest.raises(NotFoundError):
        plan(payment.collection, provider_id="nobody")


def test_parts_are_what_the_provider_can_take(rows: None, card: Script) -> None:
    card.step = Decimal("0.010")
    collection = services.create_payment_collection(amount="10.000", currency_code="kwd")
    assert [session.amount for session in plan(collection)] == [
        Decimal("3.340"),
        Decimal("3.330"),
        Decimal("3.330"),
    ]


def test_no_plan_is_made_of_what_the_provider_cannot_take(rows: None, card: Script) -> None:
    card.step = Decimal(1)
    collection = services.create_payment_collection(amount="1000.50", currency_code="huf")
    with pytest.raises(AmountError) as refusal:
        plan(collection)
    assert refusal.value.code == "not_a_multiple"
    assert not PaymentSession.objects.exists()
