"""Accounts at the simulator: whatever goes wrong, each customer has one, and nothing is saved twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser

from payments import services
from payments.api.storefront.access import client_secret
from payments.exceptions import DeclinedError, OutcomeUnknownError, ProviderUnavailableError
from payments.models import AccountHolder
from payments.providers.account_holders import SavedPaymentMethod
from payments.simulator import SimulatorService
from payments.testing import simulator_settings
from payments.testing.factories import CustomerFactory
from tests.api.client import Visitor
from tests.providers.simulator.desk import post_form
from tests.reliability.clocks import TestClock, moving_clock

pytestmark = pytest.mark.django_db(transaction=True)

IMPATIENCE = 0.3


@pytest.fixture
def customer(db: None) -> AbstractBaseUser:
    """Return a customer."""
    return CustomerFactory.create(email="ada@example.com")


@pytest.fixture
def clock(simulator: SimulatorService) -> Iterator[TestClock]:
    """Return the time of the shop and of the simulator, for the test to move."""
    with moving_clock(simulator) as clock:
        yield clock


def card_of(simulator: SimulatorService, holder: AccountHolder, card: str = "card_ok") -> str:
    return simulator.save_method(holder.provider_reference or "", card=card).id


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("drop_after", OutcomeUnknownError),
        ("decline", DeclinedError),
        *(
            pytest.param(*case, marks=pytest.mark.database_independent)
            for case in (
                ("timeout_before", OutcomeUnknownError),
                ("timeout_after", OutcomeUnknownError),
                ("error_500_after", OutcomeUnknownError),
                ("sticky_500", OutcomeUnknownError),
                ("garbage", OutcomeUnknownError),
                ("rate_limited", ProviderUnavailableError),
            )
        ),
    ],
)
def test_an_account_is_made_once_whatever_happens(
    simulator: SimulatorService, customer: AbstractBaseUser, fault: str, error: type[Exception]
) -> None:
    options: dict[str, Any] = {"acted": True} if fault == "sticky_500" else {}
    simulator.script(operation="account", fault=fault, **options)
    with simulator_settings(simulator, timeout=IMPATIENCE), pytest.raises(error):
        services.create_account_holder(customer, provider_id="simulator")

    holder = services.create_account_holder(customer, provider_id="simulator")

    [made] = simulator.customers(reference=holder.pk)
    assert (holder.provider_reference, made.email) == (made.id, "ada@example.com")


@pytest.mark.database_independent
def test_a_card_is_saved_on_the_simulators_page(
    simulator: SimulatorService, customer: AbstractBaseUser
) -> None:
    holder = services.create_account_holder(customer, provider_id="simulator")
    setup = services.start_adding_payment_method(holder, return_url="https://shop.example/account")
    assert set(setup.data) == {"client_token", "status"}
    assert setup.next_action is not None
    assert setup.next_action.type == "redirect"
    assert services.list_saved_payment_methods(holder) == ()

    post_form(setup.next_action.url or "", card="card_3ds")

    [saved] = services.list_saved_payment_methods(holder)
    assert saved == SavedPaymentMethod(
        id=saved.id, type="card", brand="Sandcard", last4="3220", expires="2039-12"
    )
    services.remove_saved_payment_method(holder, saved.id)
    assert services.list_saved_payment_methods(holder) == ()


def test_a_customer_pays_with_a_saved_card_and_nobody_else_does(
    simulator: SimulatorService, customer: AbstractBaseUser
) -> None:
    method = card_of(simulator, services.create_account_holder(customer, provider_id="simulator"))
    thief = CustomerFactory.create()
    services.create_account_holder(thief, provider_id="simulator")

    statuses = {}
    for payer in (customer, thief, None):
        collection = services.create_payment_collection(amount="10.00", currency_code="eur", customer=payer)
        session = services.create_payment_session(collection, provider_id="simulator")
        statuses[payer] = services.authorize_payment_session(session, data={"payment_method": method}).status

    assert statuses == {customer: "authorized", thief: "error", None: "error"}


@pytest.mark.database_independent
def test_a_client_secret_and_a_known_id_pay_with_no_saved_method(
    simulator: SimulatorService, customer: AbstractBaseUser
) -> None:
    method = card_of(simulator, services.create_account_holder(customer, provider_id="simulator"))
    collection = services.create_payment_collection(amount="10.00", currency_code="eur", customer=customer)
    session = services.create_payment_session(collection, provider_id="simulator")
    path = f"storefront/payment-sessions/{session.pk}/authorize/"
    guest = Visitor(secret=client_secret(collection.pk))

    refused = guest.post(path, {"data": {"payment_method": method}})
    missing = guest.post(path, {"data": {"payment_method": "pm_missing"}})

    assert (refused.status, refused.body["status"]) == (200, "error")
    assert refused.body == missing.body
    assert simulator.totals(session.pk).authorizations == 0
    paid = Visitor(user=customer).post(path, {"data": {"payment_method": method}})
    assert paid.body["status"] == "authorized"


@pytest.mark.database_independent
def test_who_holds_the_secret_pays_with_a_card_of_their_own(
    simulator: SimulatorService, customer: AbstractBaseUser
) -> None:
    services.create_account_holder(customer, provider_id="simulator")
    collection = services.create_payment_collection(amount="10.00", currency_code="eur", customer=customer)
    session = services.create_payment_session(collection, provider_id="simulator")
    guest = Visitor(secret=client_secret(collection.pk))

    paid = guest.post(f"storefront/payment-sessions/{session.pk}/authorize/", {"data": {"card": "card_ok"}})

    assert paid.body["status"] == "authorized"


@pytest.mark.database_independent
def test_a_bank_that_wants_a_customer_who_is_away_makes_them_come_back(
    simulator: SimulatorService, customer: AbstractBaseUser
) -> None:
    card_of(simulator, services.create_account_holder(customer, provider_id="simulator"), "card_3ds")
    collection = services.create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    due, _later = services.create_installment_plan(
        collection, provider_id="simulator", count=2, interval="month"
    )

    services.charge_saved_payment_method(due)
    assert (due.status, due.next_action) == ("requires_more", {"type": "challenge", "url": None})
    services.authorize_payment_session(due)
    assert due.next_action is not None
    assert due.next_action["type"] == "redirect"
    services.authorize_payment_session(due, data={"code": "123456"})
    assert due.status == "authorized"


@pytest.mark.parametrize(
    ("card", "status"),
    [
        ("card_ok", "authorized"),
        pytest.param("card_3ds", "requires_more", marks=pytest.mark.database_independent),
    ],
)
def test_a_lost_answer_to_a_charge_is_found_out(
    simulator: SimulatorService, customer: AbstractBaseUser, clock: TestClock, card: str, status: str
) -> None:
    card_of(simulator, services.create_account_holder(customer, provider_id="simulator"), card)
    collection = services.create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    due, _later = services.create_installment_plan(
        collection, provider_id="simulator", count=2, interval="month"
    )
    simulator.script(operation="authorize", fault="drop_after")
    with pytest.raises(OutcomeUnknownError):
        services.charge_saved_payment_method(due)

    clock.advance(timedelta(minutes=2))
    services.reconcile_due()

    due.refresh_from_db()
    assert due.status == status
    assert simulator.totals(due.pk).authorizations == (1 if card == "card_ok" else 0)
