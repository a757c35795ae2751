"""Customers at Stripe: made once, with saved payment methods, which are charged while they are away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, transaction
from django.test import Client

from payments import services
from payments.exceptions import (
    DeclinedError,
    NotFoundError,
    NotSupportedError,
    OpenTransactionError,
    OutcomeUnknownError,
    ProviderUnavailableError,
)
from payments.models import AccountHolder, PaymentOperation, PaymentSession
from payments.providers import NextAction
from payments.providers.account_holders import SavedPaymentMethod
from payments.states import OperationStatus, SessionStatus
from payments.testing import configured_provider
from payments.testing.factories import CustomerFactory
from tests.reliability.clocks import TestClock
from tests.stripe.conftest import BACKEND, VISA, options_for
from tests.stripe.fake import FakeStripe, Fault
from tests.stripe.test_webhooks import deliver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database_independent]


@pytest.fixture
def customer(db: None) -> AbstractBaseUser:
    """Return a customer."""
    return CustomerFactory.create(email="ada@example.com")


@pytest.fixture
def holder(shop: FakeStripe, customer: AbstractBaseUser) -> AccountHolder:
    """Return the customer's account at Stripe."""
    return services.create_account_holder(customer, provider_id="stripe")


@pytest.fixture
def due(shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder) -> PaymentSession:
    """Return a due installment of 50.00 euros, of which Stripe knows nothing yet."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    return services.create_installment_plan(collection, provider_id="stripe", count=2, interval="month")[0]


def lose(shop: FakeStripe, holder: AccountHolder, *, is_proven: bool) -> None:
    """Have Stripe not find an account any more: because it was deleted, or because it is another account's."""
    if is_proven:
        shop.customers.delete(str(holder.provider_reference))
    else:
        del shop.books.objects[str(holder.provider_reference)]


class TestAccounts:
    """Making an account."""

    def test_an_account_is_made_once_for_each_customer(
        self, shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder
    ) -> None:
        assert services.create_account_holder(customer, provider_id="stripe") == holder
        [row] = shop.books.all("customer")
        assert holder.provider_reference == row["id"]
        assert row["email"] == "ada@example.com"
        assert row["metadata"] == {
            "payment_account_holder": holder.pk,
            "payment_customer": str(customer.pk),
        }

    @pytest.mark.parametrize("is_searchable", [True, False])
    def test_a_lost_answer_makes_no_second_account(
        self, shop: FakeStripe, customer: AbstractBaseUser, is_searchable: bool
    ) -> None:
        shop.books.is_searchable = is_searchable
        shop.misbehave("customer", Fault.CUT_OFF_AFTER)
        with pytest.raises(OutcomeUnknownError):
            services.create_account_holder(customer, provider_id="stripe")
        holder = services.create_account_holder(customer, provider_id="stripe")
        [row] = shop.books.all("customer")
        assert holder.provider_reference == row["id"]

    def test_two_at_once_make_one_account(self, shop: FakeStripe, customer: AbstractBaseUser) -> None:
        def make(_number: int) -> str:
            try:
                return str(services.create_account_holder(customer, provider_id="stripe").provider_reference)
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=4) as pool:
            references = set(pool.map(make, range(4)))
        assert references == {row["id"] for row in shop.books.all("customer")}
        assert len(references) == 1

    def test_a_refusal_ends_its_key(self, shop: FakeStripe, customer: AbstractBaseUser) -> None:
        with (
            configured_provider(
                "stripe", {"BACKEND": BACKEND, "OPTIONS": options_for(shop, api_key="sk_test_wrong")}
            ),
            pytest.raises(ProviderUnavailableError),
        ):
            services.create_account_holder(customer, provider_id="stripe")
        AccountHolder.objects.update(email="x" * 10, refusals=1)
        services.create_account_holder(customer, provider_id="stripe")
        keys = [request.key for request in shop.requests if request.path == "/v1/customers"]
        pk = AccountHolder.objects.get().pk
        assert keys == [f"{pk}-0", f"{pk}-1"]

    def test_a_provider_without_accounts_says_so(self, customer: AbstractBaseUser) -> None:
        with pytest.raises(NotSupportedError):
            services.create_account_holder(customer, provider_id="system")

    def test_it_does_not_run_in_a_transaction(self, shop: FakeStripe, customer: AbstractBaseUser) -> None:
        with pytest.raises(OpenTransactionError), transaction.atomic():
            services.create_account_holder(customer, provider_id="stripe")

    def test_an_account_without_an_answer_yet_has_no_methods(self, customer: AbstractBaseUser) -> None:
        with pytest.raises(NotFoundError):
            services.list_saved_payment_methods(AccountHolder(provider_id="stripe"))


class TestMethods:
    """Saved payment methods."""

    def test_saved_methods_are_listed_newest_first(self, shop: FakeStripe, holder: AccountHolder) -> None:
        for last4 in ("4242", "1881"):
            shop.customers.save(holder.provider_reference or "", last4=last4)
        methods = services.list_saved_payment_methods(holder)
        assert [method.last4 for method in methods] == ["1881", "4242"]
        assert methods[0] == SavedPaymentMethod(
            id=methods[0].id, type="card", brand="visa", last4="1881", expires="2034-12"
        )

    def test_adding_gives_the_browser_what_it_needs_and_no_more(
        self, shop: FakeStripe, holder: AccountHolder
    ) -> None:
        added = services.start_adding_payment_method(holder)
        [setup] = shop.books.all("setup_intent")
        assert added.next_action == NextAction(type="provider_script")
        assert added.data == {
            "intent_id": setup["id"],
            "client_secret": setup["client_secret"],
            "publishable_key": "pk_test_fake",
            "status": "requires_payment_method",
        }
        assert (setup["customer"], setup["usage"]) == (holder.provider_reference, "off_session")

    def test_a_removed_method_is_gone(self, shop: FakeStripe, holder: AccountHolder) -> None:
        method = shop.customers.save(holder.provider_reference or "")
        services.remove_saved_payment_method(holder, method["id"])
        assert services.list_saved_payment_methods(holder) == ()

    def test_another_customer_s_method_is_not_there(self, shop: FakeStripe, holder: AccountHolder) -> None:
        other = services.create_account_holder(CustomerFactory.create(), provider_id="stripe")
        method = shop.customers.save(other.provider_reference or "")
        with pytest.raises(NotFoundError):
            services.remove_saved_payment_method(holder, method["id"])
        assert len(services.list_saved_payment_methods(other)) == 1

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault.TOO_MANY, ProviderUnavailableError),
            (Fault.GARBAGE_BEFORE, OutcomeUnknownError),
            (Fault.SILENCE_BEFORE, OutcomeUnknownError),
        ],
    )
    def test_trouble_is_raised_as_what_it_is(
        self, shop: FakeStripe, holder: AccountHolder, fault: Fault, error: type[Exception]
    ) -> None:
        shop.misbehave("methods", fault)
        with pytest.raises(error):
            services.list_saved_payment_methods(holder)

    def test_paying_saves_the_method_where_the_shop_wants_that(
        self, shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder
    ) -> None:
        collection = services.create_payment_collection(
            amount="100.00", currency_code="eur", customer=customer
        )
        options = options_for(shop, setup_future_usage="off_session")
        with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options}):
            session = services.create_payment_session(collection, provider_id="stripe")
            services.authorize_payment_session(session, data=VISA)
        assert shop.intent_of(session.pk)["customer"] == holder.provider_reference
        assert len(services.list_saved_payment_methods(holder)) == 1

    def test_a_guest_s_payment_has_no_customer(self, shop: FakeStripe) -> None:
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        session = services.create_payment_session(collection, provider_id="stripe")
        assert shop.intent_of(session.pk)["customer"] is None

    def test_a_payer_cannot_pay_with_what_another_has_saved(
        self, shop: FakeStripe, holder: AccountHolder
    ) -> None:
        method = shop.customers.save(holder.provider_reference or "")
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        session = services.create_payment_session(collection, provider_id="stripe")
        services.authorize_payment_session(session, data={"payment_method": method["id"]})
        assert session.status == SessionStatus.ERROR


class TestDeletedCustomers:
    """A Customer that was deleted in Stripe's dashboard, or that another account's key doesn't find."""

    @pytest.mark.parametrize("is_proven", [True, False], ids=["deleted", "not found"])
    def test_their_owner_pays_all_the_same(
        self, shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder, is_proven: bool
    ) -> None:
        lose(shop, holder, is_proven=is_proven)
        collection = services.create_payment_collection(
            amount="100.00", currency_code="eur", customer=customer
        )
        options = options_for(shop, setup_future_usage="off_session")
        with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options}):
            session = services.create_payment_session(collection, provider_id="stripe")
            services.authorize_payment_session(session, data=VISA)
        assert session.status == SessionStatus.AUTHORIZED
        [intent] = shop.books.all("payment_intent")
        assert (intent["customer"], intent["setup_future_usage"]) == (None, None)

    def test_a_lost_answer_makes_no_second_intent(
        self, shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder, clock: TestClock
    ) -> None:
        shop.customers.delete(holder.provider_reference or "")
        shop.books.is_searchable = False
        collection = services.create_payment_collection(
            amount="100.00", currency_code="eur", customer=customer
        )
        shop.misbehave("create", Fault.CUT_OFF_AFTER, after=1)
        with pytest.raises(OutcomeUnknownError):
            services.create_payment_session(collection, provider_id="stripe")
        clock.advance(timedelta(minutes=2))
        services.reconcile_due()
        assert len(shop.books.all("payment_intent")) == 1
        assert not PaymentOperation.objects.open().exists()

    def test_another_refusal_is_still_one(
        self, shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder
    ) -> None:
        collection = services.create_payment_collection(amount="0.10", currency_code="eur", customer=customer)
        with pytest.raises(DeclinedError):
            services.create_payment_session(collection, provider_id="stripe")
        assert shop.books.all("payment_intent") == []

    def test_what_they_had_saved_is_gone_and_the_account_is_made_anew(
        self, shop: FakeStripe, customer: AbstractBaseUser, holder: AccountHolder
    ) -> None:
        gone = holder.provider_reference or ""
        shop.customers.save(gone)
        shop.customers.delete(gone)
        assert services.list_saved_payment_methods(holder) == ()
        renewed = services.create_account_holder(customer, provider_id="stripe")
        assert renewed == holder
        [row] = shop.books.all("customer")
        assert renewed.provider_reference == row["id"] != gone
        shop.customers.save(row["id"])
        assert len(services.list_saved_payment_methods(renewed)) == 1

    def test_an_account_is_made_anew_each_time_that_it_is_deleted(
        self, shop: FakeStripe, holder: AccountHolder
    ) -> None:
        for _time in range(3):
            shop.customers.delete(holder.provider_reference or "")
            services.start_adding_payment_method(holder)
            assert services.list_saved_payment_methods(holder) == ()
        assert len(shop.books.all("customer")) == 1

    def test_saving_another_makes_the_account_anew(self, shop: FakeStripe, holder: AccountHolder) -> None:
        gone = holder.provider_reference
        shop.customers.delete(gone or "")
        services.start_adding_payment_method(holder)
        [setup] = shop.books.all("setup_intent")
        [row] = shop.books.all("customer")
        holder.refresh_from_db()
        assert setup["customer"] == holder.provider_reference == row["id"] != gone

    def test_two_who_hear_of_it_make_one_account(self, shop: FakeStripe, holder: AccountHolder) -> None:
        shop.customers.delete(holder.provider_reference or "")
        other = AccountHolder.objects.get()
        services.start_adding_payment_method(holder)
        assert services.list_saved_payment_methods(other) == ()
        services.start_adding_payment_method(AccountHolder.objects.get())
        assert len(shop.books.all("customer")) == 1

    def test_an_installment_is_not_charged(
        self, shop: FakeStripe, due: PaymentSession, holder: AccountHolder
    ) -> None:
        shop.customers.save(holder.provider_reference or "")
        shop.customers.delete(holder.provider_reference or "")
        with pytest.raises(NotFoundError):
            services.charge_saved_payment_method(due)
        services.authorize_payment_session(due, data=VISA)
        assert due.status == SessionStatus.AUTHORIZED

    def test_one_that_another_account_does_not_find_is_kept(
        self, shop: FakeStripe, holder: AccountHolder
    ) -> None:
        lose(shop, holder, is_proven=False)
        for ask in (services.list_saved_payment_methods, services.start_adding_payment_method):
            with pytest.raises(DeclinedError) as caught:
                ask(holder)
            assert caught.value.code == "resource_missing"
        assert AccountHolder.objects.get().provider_reference == holder.provider_reference


class TestAbsentCustomers:
    """Charging a saved method for a due installment."""

    def test_a_due_installment_is_charged(
        self, shop: FakeStripe, due: PaymentSession, holder: AccountHolder
    ) -> None:
        shop.customers.save(holder.provider_reference or "")
        services.charge_saved_payment_method(due)
        assert due.status == SessionStatus.AUTHORIZED
        assert due.payment is not None
        assert due.payment.amount == Decimal("50.00")
        [confirmation] = [request for request in shop.requests if request.path.endswith("/confirm")]
        assert confirmation.params["off_session"] == "true"
        assert shop.intent_of(due.pk)["customer"] == holder.provider_reference

    def test_the_one_that_was_chosen_is_charged(
        self, shop: FakeStripe, due: PaymentSession, holder: AccountHolder
    ) -> None:
        chosen = shop.customers.save(holder.provider_reference or "")
        shop.customers.save(holder.provider_reference or "", card="pm_card_visa_chargeDeclined")
        services.charge_saved_payment_method(due, method_id=chosen["id"])
        assert due.status == SessionStatus.AUTHORIZED

    def test_a_decline_leaves_the_session_open(
        self, shop: FakeStripe, due: PaymentSession, holder: AccountHolder
    ) -> None:
        shop.customers.save(
            holder.provider_reference or "", card="pm_card_visa_chargeDeclinedInsufficientFunds"
        )
        services.charge_saved_payment_method(due)
        assert (due.status, due.error_code) == (SessionStatus.ERROR, "insufficient_funds")

    @pytest.mark.parametrize("comes_by_event_too", [True, False])
    def test_a_bank_that_wants_the_customer_to_confirm_has_them_come_back(
        self,
        shop: FakeStripe,
        due: PaymentSession,
        holder: AccountHolder,
        client: Client,
        comes_by_event_too: bool,
    ) -> None:
        shop.customers.save(holder.provider_reference or "", card="pm_card_authenticationRequired")
        services.charge_saved_payment_method(due)
        if comes_by_event_too:
            deliver(client, *shop.events("payment_intent.payment_failed"))
            due.refresh_from_db()
        assert str(due.status) == SessionStatus.REQUIRES_MORE
        assert due.next_action == {"type": "challenge", "url": None}
        services.authorize_payment_session(due)
        assert str(due.status) == SessionStatus.REQUIRES_MORE
        assert due.next_action == {"type": "provider_script", "url": None}
        shop.intents.authenticate(due.provider_reference or "")
        services.authorize_payment_session(due)
        assert due.status == SessionStatus.AUTHORIZED

    @pytest.mark.parametrize("fault", [Fault.SILENCE_AFTER, Fault.GARBAGE_BEFORE, Fault.ERROR_AFTER])
    def test_a_lost_answer_is_found_out_and_charged_once(
        self,
        shop: FakeStripe,
        due: PaymentSession,
        holder: AccountHolder,
        clock: TestClock,
        fault: Fault,
    ) -> None:
        shop.customers.save(holder.provider_reference or "")
        shop.misbehave("confirm", fault)
        with pytest.raises(OutcomeUnknownError):
            services.charge_saved_payment_method(due)
        clock.advance(timedelta(minutes=2))
        services.reconcile_due()
        due.refresh_from_db()
        assert due.status == SessionStatus.AUTHORIZED
        assert shop.executed.count("confirm") == 1
        assert PaymentOperation.objects.get(kind="authorize").status == OperationStatus.SUCCEEDED

    def test_without_a_saved_method_nothing_is_asked_for(self, shop: FakeStripe, due: PaymentSession) -> None:
        with pytest.raises(NotFoundError) as caught:
            services.charge_saved_payment_method(due)
        assert caught.value.code == "unknown_payment_method"
        assert not PaymentOperation.objects.exists()

    def test_a_guest_has_nothing_saved(self, shop: FakeStripe, session: PaymentSession) -> None:
        with pytest.raises(NotFoundError) as caught:
            services.charge_saved_payment_method(session)
        assert caught.value.code == "no_account"

    def test_no_payer_can_say_that_they_are_away(self, shop: FakeStripe, session: PaymentSession) -> None:
        sent: dict[str, Any]
        for sent in ({"off_session": True}, {"#saved_method": "pm_1"}, {"saved_method": "pm_1"}):
            with pytest.raises(Exception, match="takes no"):
                services.authorize_payment_session(session, data=sent)
