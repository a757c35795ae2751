"""Opening and seeing payment collections as a payer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from payments import services
from payments.models import PaymentCollection, PaymentEvent, PaymentOperation
from payments.providers import AuthorizeResult, CancelResult
from payments.services.ledger.records import record_result
from payments.states import Outcome
from payments.testing import Script
from payments.testing.scripted import ScriptedProvider
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

COLLECTION_KEYS = {
    "id",
    "status",
    "currency_code",
    "amount",
    "authorized_amount",
    "captured_amount",
    "refunded_amount",
    "accepts_saved_payment_methods",
    "payment_sessions",
    "completed_at",
    "canceled_at",
    "created_at",
}
PATH = "storefront/payment-collections/"


def test_a_collection_shows_these_keys_and_no_others(guest: Visitor, collection: PaymentCollection) -> None:
    collection.metadata = {"margin": "0.4"}
    collection.save_fields("metadata")

    shown = guest.get(f"{PATH}{collection.pk}/")

    assert shown.status == 200
    assert set(shown.body) == COLLECTION_KEYS
    assert b"margin" not in shown.raw


def test_the_secret_is_only_in_the_answer_that_opens_the_collection(make_order: MakeOrder) -> None:
    make_order()

    first = Visitor().post(PATH, {"reference": "A-1"})
    again = Visitor().post(PATH, {"reference": "A-1"})

    assert set(first.body) == set(again.body) == COLLECTION_KEYS | {"client_secret"}
    assert first.body["client_secret"] == again.body["client_secret"]


def test_opening_twice_gives_the_open_collection(make_order: MakeOrder) -> None:
    make_order()

    first = Visitor().post(PATH, {"reference": "A-1"})
    again = Visitor().post(PATH, {"reference": "A-1"})

    assert (first.status, again.status) == (201, 200)
    assert first.body["id"] == again.body["id"]


def test_the_shop_decides_the_amount_the_currency_and_the_customer(
    shopper: Any, make_order: MakeOrder
) -> None:
    order = make_order("A-7", total="12.50", currency_code="usd", customer=shopper)

    opened = Visitor(user=shopper).post(PATH, {"reference": "A-7"})

    collection = PaymentCollection.objects.for_payable(order).get()
    assert opened.body["id"] == collection.pk
    assert (opened.body["amount"], opened.body["currency_code"]) == ("12.50", "usd")
    assert collection.customer == shopper


def test_the_history_says_who_opened_it_and_where(shopper: Any, make_order: MakeOrder) -> None:
    make_order(customer=shopper)

    Visitor(user=shopper).post(PATH, {"reference": "A-1"})

    event = PaymentEvent.objects.get()
    assert (event.type, event.source, event.actor) == ("collection.created", "storefront", shopper)


@pytest.mark.parametrize(
    "field", ["amount", "currency_code", "status", "customer", "customer_id", "metadata", "capture_method"]
)
def test_a_payer_can_set_nothing_but_the_reference(make_order: MakeOrder, field: str) -> None:
    make_order()

    refused = Visitor().post(PATH, {"reference": "A-1", field: "1.00"})

    assert refused.error == (400, "invalid_request", "unknown_field", [(field, "unknown_field")])
    assert not PaymentCollection.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reference": "B-404"}, "unknown_reference"),
        ({}, "required"),
        ({"reference": ""}, "blank"),
        ({"reference": None}, "null"),
        ({"reference": ["A-1"]}, "invalid"),
        ({"reference": "A" * 256}, "max_length"),
        ({"reference": "A\u0000"}, "null_characters_not_allowed"),
        ({"reference": "\ud800"}, "surrogate_characters_not_allowed"),
    ],
)
def test_a_reference_that_stands_for_nothing_is_refused(body: dict[str, Any], code: str) -> None:
    refused = Visitor().post(PATH, body)

    assert refused.error == (400, "invalid_request", code, [("reference", code)])
    assert not PaymentCollection.objects.exists()


def test_somebody_elses_order_is_as_unknown_as_none(shopper: Any, make_order: MakeOrder) -> None:
    make_order(customer=shopper)

    foreign = Visitor().post(PATH, {"reference": "A-1"})
    missing = Visitor().post(PATH, {"reference": "A-2"})

    assert (foreign.status, foreign.raw) == (missing.status, missing.raw)
    assert foreign.headers == missing.headers


def test_a_changed_order_brings_its_collection_up_to_date(
    guest: Visitor, collection: PaymentCollection
) -> None:
    session = services.create_payment_session(collection, provider_id="system")
    Order.objects.update(total="120.00")

    opened = guest.post(PATH, {"reference": "A-1"})

    assert (opened.status, opened.body["amount"]) == (200, "120.00")
    assert [(row["id"], row["amount"]) for row in opened.body["payment_sessions"]] == [(session.pk, "120.00")]


@pytest.mark.database_independent
def test_an_order_that_costs_less_than_is_held_is_not_opened_at_the_old_amount(
    guest: Visitor, collection: PaymentCollection
) -> None:
    session = services.create_payment_session(collection, provider_id="system", amount="60.00")
    services.authorize_payment_session(session)
    Order.objects.update(total="50.00")

    refused = guest.post(PATH, {"reference": "A-1"})
    assert refused.error == (409, "conflict", "amount_changed", [])

    services.cancel_payment_session(session)
    opened = guest.post(PATH, {"reference": "A-1"})
    assert (opened.status, opened.body["amount"]) == (200, "50.00")


@pytest.mark.database_independent
def test_an_open_part_does_not_lock_an_order_that_costs_less(
    guest: Visitor, collection: PaymentCollection
) -> None:
    services.create_payment_session(collection, provider_id="scripted", amount="60.00")
    Order.objects.update(total="50.00")

    opened = guest.post(PATH, {"reference": "A-1"})

    assert (opened.status, opened.body["amount"]) == (200, "50.00")
    assert [row["amount"] for row in opened.body["payment_sessions"]] == ["50.00"]


@pytest.mark.database_independent
def test_an_order_that_costs_less_than_was_taken_is_paid(
    guest: Visitor, collection: PaymentCollection
) -> None:
    services.mark_payment_collection_as_paid(collection)
    Order.objects.update(total="70.00")

    opened = guest.post(PATH, {"reference": "A-1"})

    assert (opened.status, opened.body["amount"], opened.body["status"]) == (200, "100.00", "completed")


@pytest.mark.shows(
    "An order is changed while a payer's bank is still checking the old amount",
    "Opening it is 409 with `Retry-After` until that is known, and never an answer with the old amount",
)
@pytest.mark.database_independent
def test_a_changed_order_is_opened_again_once_nothing_is_in_progress(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    script.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    services.authorize_payment_session(session)
    Order.objects.update(total="150.00")

    refused = guest.post(PATH, {"reference": "A-1"})
    assert refused.error == (409, "conflict", "operation_in_progress", [])
    assert 2 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.body["message"] == (
        "We are still finding out about your last try. You need not pay again."
    )

    held = AuthorizeResult(outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur")
    record_result(PaymentOperation.objects.open().get(), held)
    opened = guest.post(PATH, {"reference": "A-1"})
    assert (opened.status, opened.body["amount"]) == (200, "150.00")
    assert opened.body["status"] == "partially_authorized"


@pytest.fixture
def rigid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a provider that can't change a session."""
    monkeypatch.setattr(ScriptedProvider, "supports_update", False)


@pytest.mark.usefixtures("rigid")
@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.UNKNOWN, 503), (Outcome.NOT_SENT, 503), (Outcome.DECLINED, 402)]
)
@pytest.mark.database_independent
def test_an_unchangeable_session_does_not_open_at_the_old_amount(
    guest: Visitor,
    collection: PaymentCollection,
    script: Script,
    outcome: Outcome,
    status: int,
) -> None:
    services.create_payment_session(collection, provider_id="scripted")
    script.next("cancel", CancelResult(outcome=outcome))
    Order.objects.update(total="120.00")

    assert guest.post(PATH, {"reference": "A-1"}).status == status


def test_what_was_paid_is_not_asked_for_again(guest: Visitor, collection: PaymentCollection) -> None:
    services.mark_payment_collection_as_paid(collection)

    opened = guest.post(PATH, {"reference": "A-1"})

    assert (opened.status, opened.body["id"], opened.body["status"]) == (200, collection.pk, "completed")


@pytest.mark.database_independent
def test_an_order_that_grew_after_it_was_paid_asks_for_the_difference(
    guest: Visitor, collection: PaymentCollection
) -> None:
    services.mark_payment_collection_as_paid(collection)
    Order.objects.update(total="130.00")

    opened = guest.post(PATH, {"reference": "A-1"})
    rest = guest.post(f"{PATH}{opened.body['id']}/payment-sessions/", {"provider_id": "system"})

    assert (opened.body["status"], opened.body["amount"]) == ("partially_captured", "130.00")
    assert rest.body["amount"] == "30.00"


def test_a_canceled_collection_is_followed_by_a_new_one(
    guest: Visitor, collection: PaymentCollection
) -> None:
    services.cancel_payment_collection(collection)

    opened = guest.post(PATH, {"reference": "A-1"})

    assert opened.status == 201
    assert opened.body["id"] != collection.pk


def test_without_a_resolver_the_answer_says_what_to_type(settings: Any) -> None:
    settings.PAYMENTS = {**settings.PAYMENTS, "PAYABLE_RESOLVER": None}

    refused = Visitor().post(PATH, {"reference": "A-1"})

    assert refused.error == (501, "server_error", "no_payable_resolver", [])
    assert '"PAYABLE_RESOLVER": "shop.payments.resolve_payable"' in refused.body["message"]


@pytest.mark.parametrize(
    ("wrong", "code", "reason"),
    [
        ({"total": "0"}, "nothing_to_pay", "more than zero"),
        ({"total": "-1"}, "payable_misconfigured", "more than zero"),
        ({"total": "98.9009"}, "payable_misconfigured", "decimals"),
        ({"currency_code": "xxq"}, "payable_misconfigured", "currency"),
    ],
)
def test_what_the_shop_says_wrongly_is_not_the_payers_fault(
    make_order: MakeOrder, caplog: pytest.LogCaptureFixture, wrong: dict[str, str], code: str, reason: str
) -> None:
    make_order(**wrong)

    refused = Visitor().post(PATH, {"reference": "A-1"})

    assert refused.error == (500, "server_error", code, [])
    told = [record for record in caplog.records if record.name == "payments.payables"]
    assert [record.levelname for record in told] == ["ERROR"]
    assert reason in told[0].getMessage()
    assert PaymentCollection.objects.count() == 0


def test_providers_are_listed_by_name_while_they_are_enabled(db: None, script: Script) -> None:
    providers = services.list_providers()
    services.disable_provider(next(row for row in providers if row.pk == "simulator"))

    listed = Visitor().get("storefront/payment-providers/")

    assert listed.body == {
        "results": [
            {
                "id": "system",
                "name": "Handled by the merchant",
                "supports_saved_payment_methods": False,
            },
            {"id": "scripted", "name": "Scripted", "supports_saved_payment_methods": True},
        ]
    }
