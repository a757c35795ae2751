"""Erasing a customer: nothing of the person is left anywhere, and all of the money is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import services
from payments.exceptions import DeclinedError, OpenTransactionError, OutcomeUnknownError
from payments.models import AccountHolder, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import Failure, PaymentContext, SessionFact
from payments.services.ledger.books import Books, open_books
from payments.simulator import SimulatorService
from payments.states import EventSource, SessionStatus
from payments.testing import Script, configured_provider, scripted_provider
from payments.testing.factories import (
    AccountHolderFactory,
    CustomerFactory,
    IdempotencyRecordFactory,
    WebhookEventFactory,
)
from tests.paypal.conftest import BACKEND as PAYPAL
from tests.paypal.conftest import options_for as paypal_options
from tests.paypal.fake import FakePayPal
from tests.reliability.clocks import TestClock
from tests.shop.models import Order
from tests.stripe.conftest import BACKEND as STRIPE
from tests.stripe.conftest import VISA
from tests.stripe.conftest import options_for as stripe_options
from tests.stripe.fake import FakeStripe, Fault

pytestmark = pytest.mark.django_db(transaction=True)

EMAIL = "canary@nest.example"
NAME = "Canary Flügge"


@pytest.fixture(autouse=True)
def _offered(settings: Any) -> None:
    """Have the provider `system` alone; each test adds its own."""
    settings.PAYMENTS = {"PROVIDERS": {"system": {"BACKEND": "payments.providers.system.SystemProvider"}}}


@pytest.fixture
def customer(db: None) -> AbstractBaseUser:
    """Return a customer who logs in with an address, by which a search finds them everywhere."""
    return CustomerFactory.create(
        username=EMAIL.upper(), email=EMAIL, first_name="Canary", last_name="Flügge"
    )


@pytest.fixture
def script() -> Iterator[Script]:
    """Return the script of a provider that says of a person whatever it can."""
    with scripted_provider() as script:
        yield script


@pytest.fixture
def stripe() -> Iterator[FakeStripe]:
    """Return a fake of Stripe, to which the provider `stripe` talks."""
    with (
        FakeStripe() as fake,
        configured_provider("stripe", {"BACKEND": STRIPE, "OPTIONS": stripe_options(fake)}),
    ):
        yield fake


def left() -> list[str]:
    """Return which columns of which tables of ours still hold something of the customer."""
    found = []
    for model in apps.get_app_config("payments").get_models():
        for name in (field.attname for field in model._meta.concrete_fields):
            rows: QuerySet[Any] = QuerySet(model)
            texts = (
                json.dumps(value, default=str, ensure_ascii=False)
                for value in rows.values_list(name, flat=True)
            )
            found += [
                f"{model.__name__}.{name}"
                for text in texts
                if "canary" in text.lower() or "flügge" in text.lower()
            ]
    return found


def collection_of(customer: AbstractBaseUser | None, payable: Any = None) -> PaymentCollection:
    """Return a collection of a customer that says what is bought by whom."""
    return services.create_payment_collection(
        amount="100.00",
        currency_code="eur",
        customer=customer,
        payable=payable,
        description=f"A cage for {NAME}",
        metadata={"ship_to": [{"name": NAME}]},
        actor=customer,
    )


def told(text: str = NAME) -> dict[str, Any]:
    """Return a document that tells of the customer, deep within."""
    return {"payer": [{"name": text, "email": EMAIL, "note": f"<{EMAIL.upper()}>, {NAME}; 10.00"}]}


def talkative(request: Any, result: Any) -> Any:
    """Return an answer that says of the customer whatever fits in."""
    failure = Failure(code="declined", message=f"{NAME} was declined.", detail=f"Ask {EMAIL}.")
    return replace(result, provider_log=told(), failure=failure if result.outcome == "declined" else None)


def answer(outcome: str, verb: str) -> Any:
    """Return a scripted answer that says whatever it can."""
    from payments.providers import AuthorizeResult, CaptureResult, InitiateResult, RefundResult  # noqa: PLC0415

    kinds: dict[str, Any] = {
        "initiate": InitiateResult,
        "authorize": AuthorizeResult,
        "capture": CaptureResult,
        "refund": RefundResult,
    }

    def respond(request: Any) -> Any:
        values: dict[str, Any] = {"outcome": outcome}
        if verb == "initiate":
            values |= {"data": {"client_token": f"for {EMAIL}"}, "provider_data": told()}
            values |= {"provider_reference": f"scripted_{request.session_id}"}
        elif outcome == "succeeded":
            values |= {"amount": request.amount, "currency_code": request.currency_code}
        return talkative(request, kinds[verb](**values))

    return respond


def life(customer: AbstractBaseUser, script: Script, payable: Any = None) -> PaymentCollection:
    """Have a customer live through everything there is, at a provider that talks about them."""
    collection = collection_of(customer, payable)
    script.next("initiate", answer("succeeded", "initiate"))
    session = services.create_payment_session(collection, provider_id="scripted", actor=customer)
    script.next("authorize", answer("declined", "authorize"), answer("succeeded", "authorize"))
    services.authorize_payment_session(session, data={"token": NAME}, actor=customer)
    payment = services.authorize_payment_session(session, data={"token": EMAIL}).payment
    assert payment is not None
    script.next("capture", answer("declined", "capture"), answer("succeeded", "capture"))
    with pytest.raises(DeclinedError):
        services.capture_payment(payment, amount="60.00")
    services.capture_payment(payment, amount="60.00")
    script.next("refund", answer("succeeded", "refund"))
    services.refund_payment(payment, amount="10.00", note=f"{NAME} ({EMAIL}) called.")
    script.next("capture", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment, amount="5.00")
    operation = PaymentOperation.objects.open().get()
    operation.require_attention(detail="unresolved")
    operation.save()
    services.resolve_operation(
        operation, has_happened=False, reason=f"{NAME} says so.", evidence=f"Mail of {EMAIL}"
    )
    WebhookEventFactory.create(session=session, applied=True, payload=told(), fact=told())
    WebhookEventFactory.create(session=session, failed=True, payload=told())
    WebhookEventFactory.create(provider=session.provider, ignored=True, payload=told())
    IdempotencyRecordFactory.create(response_body={"id": collection.pk, **told()})
    IdempotencyRecordFactory.create(response_body={"name": NAME})
    collection.refresh_from_db()
    return collection


def test_nothing_of_an_erased_customer_is_left(customer: AbstractBaseUser, script: Script) -> None:
    collection = life(customer, script)
    holder = AccountHolderFactory.create(customer=customer, provider__id="scripted", email=EMAIL)
    places = {*left()}
    assert {"PaymentSession.context", "PaymentOperation.provider_log", "PaymentEvent.actor_label"} <= places
    assert {"WebhookEvent.payload", "IdempotencyRecord.response_body", "Refund.note"} <= places

    erasure = services.erase_customer(customer, source="staff")

    assert (erasure.collections, erasure.accounts) == (1, (holder.pk,)), "This provider deletes no accounts."
    assert left() == []
    assert collection.events.filter(type="customer.erased", source="staff").count() == 1


@pytest.mark.parametrize("filling", ["", "x" * 300])
def test_the_name_on_a_bank_transfer_goes_and_the_rest_of_its_reference_stays(
    customer: AbstractBaseUser, filling: str
) -> None:
    collection = collection_of(customer)
    reference = f"Invoice 12, {NAME}"
    services.mark_payment_collection_as_paid(
        collection, reference=f"{reference} {filling}"[:255].strip(), note=f"From {EMAIL}"
    )

    services.erase_customer(customer)

    assert left() == []
    capture = collection.payments.get().captures.get()
    assert capture.reference.startswith("Invoice 12, [erased]")


def test_amounts_and_history_stay(customer: AbstractBaseUser, script: Script) -> None:
    collection = life(customer, script)
    before = _figures(collection)
    assert services.erase_customer(customer).is_complete
    assert _figures(collection) == [*before, "customer.erased"]
    payment = services.refund_payment(collection.payments.get(), amount="20.00")
    assert payment.refunded_amount == Decimal(30)


def _figures(collection: PaymentCollection) -> list[Any]:
    rows: list[Any] = [PaymentCollection.objects.get(pk=collection.pk)]
    for name in ("sessions", "payments", "operations"):
        rows += getattr(collection, name).order_by("pk")
    for name in ("captures", "refunds"):
        rows += getattr(collection.payments.get(), name).order_by("pk")
    figures = [(row.pk, str(row.status), row.amount, row.created_at) for row in rows]
    return [*figures, *collection.events.order_by("id").values_list("type", flat=True)]


@pytest.mark.parametrize("text", [EMAIL, EMAIL.title(), NAME, NAME.upper(), NAME.lower()])
def test_customer_is_found_in_stored_answers_however_they_are_written(
    customer: AbstractBaseUser, text: str
) -> None:
    record = IdempotencyRecordFactory.create(response_body={"note": f"by {text}, by phone"})
    services.erase_customer(customer)
    record.refresh_from_db()
    assert record.response_body == {"note": "by [erased], by phone"}


def test_erasing_again_changes_nothing(customer: AbstractBaseUser, script: Script) -> None:
    collection = life(customer, script)
    services.erase_customer(customer)
    version = PaymentCollection.objects.get(pk=collection.pk).version
    assert services.erase_customer(customer).is_complete
    assert PaymentCollection.objects.get(pk=collection.pk).version == version
    assert collection.events.filter(type="customer.erased").count() == 1


def test_whoever_erases_themselves_is_not_named(customer: AbstractBaseUser) -> None:
    collection = collection_of(customer)
    services.erase_customer(customer, actor=customer)
    assert collection.events.get(type="customer.erased").actor is None
    assert left() == []


def test_others_keep_theirs(customer: AbstractBaseUser, script: Script) -> None:
    other = CustomerFactory.create(email="robin@nest.example")
    session = services.create_payment_session(collection_of(other), provider_id="scripted")
    services.erase_customer(customer)
    session.refresh_from_db()
    assert session.context["email"] == "robin@nest.example"
    assert not PaymentEvent.objects.filter(type="customer.erased").exists()


def test_word_that_only_begins_like_a_name_stays(script: Script) -> None:
    customer = CustomerFactory.create(username="ann", email="a@b.example", first_name="Al", last_name="")
    collection = collection_of(customer)
    session = services.create_payment_session(collection, provider_id="scripted")
    documents = {"plan": "annual", "mail": "aa@b.example, a@b.example.org"}
    QuerySet(PaymentSession).filter(pk=session.pk).update(provider_data=documents)
    services.erase_customer(customer)
    session.refresh_from_db()
    assert session.provider_data["plan"] == "annual"
    assert session.provider_data["mail"].startswith("aa@b.example, ")


@pytest.mark.shows(
    "A customer is erased while a call to their provider has no known outcome",
    "What would be sent again under the same key stays until that has ended, and the rest goes",
)
def test_what_may_be_sent_again_waits(customer: AbstractBaseUser, script: Script, clock: TestClock) -> None:
    collection = collection_of(customer)
    script.next("initiate", TimeoutError(), answer("declined", "initiate"))
    with pytest.raises(OutcomeUnknownError):
        services.create_payment_session(collection, provider_id="scripted", data={"token": NAME})
    operation = PaymentOperation.objects.open().get()

    erasure = services.erase_customer(customer)
    assert not erasure.is_complete
    assert erasure.operations == (operation.pk,)
    assert {*left()} == {"PaymentSession.context", "PaymentOperation.input"}

    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    first, second = script.requests("initiate")
    assert (first.context, first.input, first.idempotency_key) == (
        second.context,
        second.input,
        second.idempotency_key,
    )
    assert not PaymentOperation.objects.open().exists()
    assert services.erase_customer(customer).is_complete
    assert left() == []


def test_event_that_is_not_applied_yet_waits(customer: AbstractBaseUser, script: Script) -> None:
    session = services.create_payment_session(collection_of(customer), provider_id="scripted")
    event = WebhookEventFactory.create(session=session, fact={"currency_code": "eur"})
    erasure = services.erase_customer(customer)
    assert erasure.webhook_events == (event.pk,)
    event.ignore(detail="foreign")
    event.save()
    assert services.erase_customer(customer).is_complete
    event.refresh_from_db()
    assert (event.payload, event.fact) == ({}, None)


@pytest.mark.shows(
    "A customer is erased, of whom an event that couldn't be applied tells",
    "It can still be applied, so it is named; only what an operator can read of it is gone",
)
def test_event_that_has_failed_keeps_what_it_tells_of_the_money(
    customer: AbstractBaseUser, script: Script
) -> None:
    session = services.create_payment_session(collection_of(customer), provider_id="scripted")
    fact = {"currency_code": "eur", "status": "authorized"}
    event = WebhookEventFactory.create(session=session, failed=True, payload={"payer": EMAIL}, fact=fact)
    assert services.erase_customer(customer).webhook_events == (event.pk,)
    event.refresh_from_db()
    assert (event.payload, event.fact) == ({}, fact)


def test_account_at_stripe_is_deleted(customer: AbstractBaseUser, stripe: FakeStripe) -> None:
    holder = services.create_account_holder(customer, provider_id="stripe")
    reference = str(holder.provider_reference)
    stripe.customers.save(reference)
    collection = collection_of(customer)
    session = services.create_payment_session(collection, provider_id="stripe")
    payment = services.authorize_payment_session(session, data=VISA).payment
    assert payment is not None
    services.capture_payment(payment)
    assert "AccountHolder.email" in left()

    assert services.erase_customer(customer).is_complete
    assert left() == []
    assert stripe.customers.retrieve(reference, {})["deleted"] is True
    holder.refresh_from_db()
    assert (holder.provider_reference, holder.email) == (None, "")
    assert services.create_account_holder(customer, provider_id="stripe").provider_reference != reference


@pytest.mark.parametrize("fault", [Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER])
def test_account_whose_deletion_was_not_answered_is_deleted_the_next_time(
    customer: AbstractBaseUser, stripe: FakeStripe, fault: Fault
) -> None:
    holder = services.create_account_holder(customer, provider_id="stripe")
    stripe.misbehave("delete_customer", fault)
    assert services.erase_customer(customer).accounts == (holder.pk,)
    assert services.erase_customer(customer).is_complete
    assert stripe.books.all("customer") == []


def test_account_that_was_asked_for_in_vain_is_asked_for_anew_under_another_key(
    customer: AbstractBaseUser, stripe: FakeStripe
) -> None:
    stripe.books.is_searchable = False
    stripe.misbehave("customer", Fault.SILENCE_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        services.create_account_holder(customer, provider_id="stripe")
    assert services.erase_customer(customer).is_complete
    assert left() == []
    assert services.create_account_holder(customer, provider_id="stripe").provider_reference


def test_account_at_the_simulator_is_deleted(customer: AbstractBaseUser, simulator: SimulatorService) -> None:
    holder = services.create_account_holder(customer, provider_id="simulator")
    services.start_adding_payment_method(holder, return_url="https://shop.example/back")
    session = services.create_payment_session(collection_of(customer), provider_id="simulator")
    services.authorize_payment_session(session)
    assert services.erase_customer(customer).is_complete
    assert left() == []
    assert services.find_account_holder(customer, provider_id="simulator") is None


def test_account_that_is_gone_already_counts_as_deleted(
    customer: AbstractBaseUser, simulator: SimulatorService
) -> None:
    holder = services.create_account_holder(customer, provider_id="simulator")
    reference = holder.provider_reference
    services.erase_customer(customer)
    QuerySet(AccountHolder).filter(pk=holder.pk).update(provider_reference=reference)
    assert services.erase_customer(customer).is_complete


def test_account_that_nobody_can_delete_is_named(customer: AbstractBaseUser, script: Script) -> None:
    gone = AccountHolderFactory.create(customer=customer, provider__id="gone", email=EMAIL)
    unable = AccountHolderFactory.create(customer=customer, provider__id="scripted", email=EMAIL)
    assert {*services.erase_customer(customer).accounts} == {gone.pk, unable.pk}
    assert left() == []


def test_customer_of_paypal_is_erased(customer: AbstractBaseUser) -> None:
    with ExitStack() as stack:
        fake = stack.enter_context(FakePayPal())
        options = {"BACKEND": PAYPAL, "OPTIONS": paypal_options(fake)}
        stack.enter_context(configured_provider("paypal", options))
        collection = collection_of(customer)
        context = PaymentContext(email=EMAIL, description=NAME, return_url=f"https://shop.example/?{EMAIL}")
        session = services.create_payment_session(collection, provider_id="paypal", context=context)
        fake.orders.approve(session.provider_reference or "")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        services.capture_payment(payment)
        services.refund_payment(payment, note=NAME)
        assert services.erase_customer(customer).is_complete
    assert left() == []


@pytest.mark.shows(
    "The process dies in the middle of erasing a customer",
    "What is done is done; erasing again does the rest",
)
def test_erasing_that_was_cut_short_is_finished_by_the_next(
    customer: AbstractBaseUser, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _count in range(3):
        services.create_payment_session(collection_of(customer), provider_id="scripted", actor=customer)
    opened: list[str] = []

    def open_at_most_one(collection_id: str, **arguments: Any) -> Books:
        opened.append(collection_id)
        if len(opened) == 2:
            raise KeyboardInterrupt
        return open_books(collection_id, **arguments)

    monkeypatch.setattr("payments.services.erasure.open_books", open_at_most_one)
    with pytest.raises(KeyboardInterrupt):
        services.erase_customer(customer)
    assert PaymentEvent.objects.filter(type="customer.erased").count() == 1
    assert services.erase_customer(customer).is_complete
    assert left() == []
    assert PaymentEvent.objects.filter(type="customer.erased").count() == 3


@pytest.fixture
def patron() -> Iterator[type[User]]:
    """Return a proxy of the user model, as shops have them for the pages of their customers in the admin."""

    class Patron(User):
        class Meta:
            proxy = True
            app_label = "stall"

    apps.get_app_config("payments").ready()  # as if the model had been there when Django began
    yield Patron
    del apps.all_models["stall"]["patron"]
    apps.clear_cache()


@pytest.mark.parametrize("is_proxy", [False, True])
def test_deleting_a_user_erases_our_rows_in_the_same_transaction(
    customer: AbstractBaseUser, script: Script, patron: type[User], is_proxy: bool
) -> None:
    collection = life(customer, script)
    model = patron if is_proxy else User
    with transaction.atomic():
        model.objects.get().delete()
        transaction.set_rollback(True)
    assert left() != []
    model.objects.filter(email=EMAIL).delete()
    assert left() == []
    collection.refresh_from_db()
    assert (collection.customer, collection.captured_amount) == (None, Decimal(60))


def test_account_of_a_deleted_user_is_deleted_when_asked(
    customer: AbstractBaseUser, stripe: FakeStripe
) -> None:
    holder = services.create_account_holder(customer, provider_id="stripe")
    customer.delete()
    holder.refresh_from_db()
    assert (holder.email, holder.customer) == ("", None)
    assert len(stripe.books.all("customer")) == 1
    assert services.erase_abandoned_accounts().is_complete
    assert stripe.books.all("customer") == []


def test_erasing_inside_a_transaction_is_refused(customer: AbstractBaseUser) -> None:
    with pytest.raises(OpenTransactionError), transaction.atomic():
        services.erase_customer(customer)


def test_command_erases_and_says_what_is_left(customer: AbstractBaseUser, script: Script) -> None:
    collection_of(customer)
    holder = AccountHolderFactory.create(customer=customer, provider__id="gone", email=EMAIL)
    with pytest.raises(CommandError, match=holder.pk):
        call_command("payments_erase_customer", customer.get_username())
    assert left() == []
    QuerySet(AccountHolder).filter(pk=holder.pk).update(provider_reference=None)
    out = StringIO()
    call_command("payments_erase_customer", customer.get_username(), stdout=out)
    call_command("payments_erase_customer", deleted=True, stdout=out)
    assert out.getvalue().splitlines() == [
        "Erased. 1 payment collections stay, with their amounts.",
        "Erased. 0 payment collections stay, with their amounts.",
    ]
    with pytest.raises(CommandError, match="no user"):
        call_command("payments_erase_customer", "nobody")


def test_time_of_a_row_says_when_it_was_erased(customer: AbstractBaseUser, script: Script) -> None:
    session = services.create_payment_session(collection_of(customer), provider_id="scripted")
    before = timezone.now()
    services.erase_customer(customer)
    session.refresh_from_db()
    assert session.updated_at > before


OTHER = "robin@nest.example"


@pytest.fixture
def order(db: None) -> Order:
    """Return an order that may come into other hands."""
    return Order.objects.create(number="A-1", total=200, currency_code="eur")


@pytest.fixture
def other(db: None) -> AbstractBaseUser:
    """Return another customer."""
    return CustomerFactory.create(username=OTHER, email=OTHER, first_name="Robin", last_name="Red")


@pytest.fixture(params=["customer", "guest"])
def heir(request: pytest.FixtureRequest, other: AbstractBaseUser) -> AbstractBaseUser | None:
    """Return to whom an order goes: another customer, or a guest."""
    return other if request.param == "customer" else None


def give(order: Order, to: AbstractBaseUser | None) -> PaymentCollection:
    """Open the collection of an order that is now a customer's, or a guest's."""
    resolved = services.ResolvedPayable(
        payable=order, amount=200, currency_code="eur", customer=to, description=f"A tree for {to}"
    )
    return services.open_payment_collection(resolved, actor=to, by_payer=True)[0]


def begin(collection: PaymentCollection, payer: AbstractBaseUser | None) -> PaymentSession:
    """Pay 10.00 euros of a collection."""
    asker: dict[str, Any] = {"actor": payer, "by_payer": True}
    context = services.payment_context(collection)
    session = services.create_payment_session(
        collection, provider_id="scripted", amount="10.00", context=context, **asker
    )
    email = getattr(payer, "email", "")
    return services.authorize_payment_session(session, data={"token": f"of {email}"}, **asker)


def rows_of(session: PaymentSession) -> list[dict[str, Any]]:
    """Return all that is stored of a session, its payment and operations, and its history."""
    rows: list[Any] = [PaymentSession.objects.get(pk=session.pk)]
    for name in ("operations", "events", "webhook_events"):
        rows += getattr(session, name).order_by("pk")
    return [{name: value for name, value in vars(row).items() if name != "_state"} for row in rows]


@pytest.mark.shows(
    "A customer is erased, or their user deleted, whose order has gone to another customer or a guest",
    "What they had begun is erased as well, or named as waiting; what the other has begun stays",
)
@pytest.mark.parametrize("how", ["erased", "deleted"])
def test_nothing_of_a_former_customer_is_left(
    customer: AbstractBaseUser, heir: AbstractBaseUser | None, order: Order, script: Script, how: str
) -> None:
    collection = life(customer, script, order)
    begin(give(order, customer), customer)
    services.create_payment_session(collection, provider_id="scripted", amount="1.00", actor=customer)
    theirs = begin(give(order, heir), heir)
    WebhookEventFactory.create(session=theirs, applied=True, payload={"payer": OTHER})
    before = rows_of(theirs)
    events = collection.events.count()

    if how == "erased":
        erasure = services.erase_customer(customer)
        assert (erasure.is_complete, erasure.collections) == (True, 1)
        assert services.erase_customer(customer).is_complete
    else:
        customer.delete()

    assert left() == []
    assert rows_of(theirs) == before
    assert collection.events.count() == events + 1
    collection.refresh_from_db()
    assert (collection.customer, collection.description) == (heir, f"A tree for {heir}")
    assert collection.captured_amount == 60


def test_what_the_shop_alone_has_written_of_a_former_customer_goes(
    customer: AbstractBaseUser, other: AbstractBaseUser, order: Order, script: Script
) -> None:
    collection = collection_of(customer, order)
    assert give(order, other) == collection

    assert services.erase_customer(customer).is_complete

    assert left() == []
    collection.refresh_from_db()
    assert collection.metadata == {"ship_to": [{"name": "[erased]"}]}


def test_the_present_customer_is_erased_and_the_former_one_is_not(
    customer: AbstractBaseUser, other: AbstractBaseUser, order: Order, script: Script
) -> None:
    theirs = begin(give(order, other), other)
    stored = IdempotencyRecordFactory.create(response_body={"email": OTHER})
    before = rows_of(theirs)
    begin(give(order, customer), customer)

    assert services.erase_customer(customer).is_complete

    assert left() == []
    assert rows_of(theirs) == before
    stored.refresh_from_db()
    assert stored.response_body == {"email": OTHER}


def test_address_is_erased_whatever_its_field_is_called(
    other: AbstractBaseUser, order: Order, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "EMAIL_FIELD", "last_name")
    payer = CustomerFactory.create(username="bird", email="", first_name="", last_name=EMAIL)
    collection = give(order, other)
    session = services.create_payment_session(collection, provider_id="scripted")
    session = services.authorize_payment_session(session, actor=payer, by_payer=True)
    assert session.payment is not None
    services.capture_payment(session.payment)
    services.refund_payment(session.payment, amount="1.00", note=f"As {EMAIL} wished")

    assert services.erase_customer(payer).is_complete

    assert left() == []


def test_customers_who_share_an_address_are_told_apart(
    customer: AbstractBaseUser, order: Order, script: Script
) -> None:
    spouse = CustomerFactory.create(username="spouse", email=EMAIL)
    collection = give(order, customer)
    begun = begin(collection, customer)
    collection = give(order, spouse)
    theirs = begin(collection, spouse)
    [later] = services.create_installment_plan(collection, provider_id="scripted", count=1, interval="month")
    before = rows_of(theirs), rows_of(later)

    assert services.erase_customer(customer).is_complete

    assert (rows_of(theirs), rows_of(later)) == before
    begun.refresh_from_db()
    assert begun.context == {}


def test_part_of_a_plan_that_goes_on_as_anothers_is_not_erased(
    customer: AbstractBaseUser, heir: AbstractBaseUser | None, order: Order, script: Script
) -> None:
    collection = give(order, customer)
    context = PaymentContext(
        return_url="https://shop.example/back", customer_id=str(customer.pk), email=EMAIL
    )
    tried, _later = services.create_installment_plan(
        collection, provider_id="scripted", count=2, interval="month", context=context
    )
    script.next("initiate", answer("declined", "initiate"))
    with pytest.raises(DeclinedError):
        services.authorize_payment_session(tried, actor=customer, by_payer=True)
    give(order, heir)
    contexts = dict(collection.sessions.values_list("pk", "context"))

    assert services.erase_customer(customer).is_complete

    assert dict(collection.sessions.values_list("pk", "context")) == contexts
    assert left() == []


def test_what_a_guest_began_before_they_were_a_customer_is_erased(
    customer: AbstractBaseUser, other: AbstractBaseUser, order: Order, script: Script
) -> None:
    collection = give(order, None)
    context = PaymentContext(email=EMAIL, description=f"A cage for {NAME}")
    services.create_payment_session(collection, provider_id="scripted", context=context)
    give(order, customer)
    give(order, other)

    assert services.erase_customer(customer).is_complete

    assert left() == []


@pytest.mark.parametrize("when", ["at once", "later", "after a silence"])
def test_who_has_paid_for_another_is_erased_and_the_other_is_not(
    customer: AbstractBaseUser, heir: AbstractBaseUser | None, order: Order, script: Script, when: str
) -> None:
    collection = give(order, heir)
    described = PaymentContext(email=OTHER, description=f"A tree for {heir}")
    theirs = services.create_payment_session(collection, provider_id="scripted", context=described)
    answers = {"at once": answer("succeeded", "authorize"), "later": answer("pending", "authorize")}
    script.next("authorize", answers.get(when, TimeoutError()))
    with suppress(OutcomeUnknownError):
        services.authorize_payment_session(theirs, data={"token": NAME}, actor=customer, by_payer=True)
    fact = SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=collection.amount
    )
    services.record_fact(theirs, fact, origin=services.Origin(source=EventSource.WEBHOOK))
    assert not PaymentOperation.objects.open().exists()
    context = theirs.context

    assert services.erase_customer(customer).is_complete

    assert left() == []
    theirs.refresh_from_db()
    assert (theirs.context, context["email"]) == (context, OTHER)


def test_what_is_under_way_in_an_order_that_has_gone_to_another_waits(
    customer: AbstractBaseUser, other: AbstractBaseUser, order: Order, script: Script
) -> None:
    collection = give(order, customer)
    session = services.create_payment_session(
        collection, provider_id="scripted", context=services.payment_context(collection)
    )
    script.next("authorize", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session, data={"token": NAME}, actor=customer)
    operation = PaymentOperation.objects.open().get()
    event = WebhookEventFactory.create(session=session)
    give(order, other)

    erasure = services.erase_customer(customer)

    assert (erasure.operations, erasure.webhook_events) == ((operation.pk,), (event.pk,))
    assert {*left()} == {"PaymentSession.context", "PaymentOperation.input"}
    operation.refresh_from_db()
    operation.require_attention(detail="unresolved")
    operation.save()
    services.resolve_operation(operation, has_happened=False, reason="The provider has nothing.")
    event.ignore(detail="foreign")
    event.save()
    assert services.erase_customer(customer).is_complete
    assert left() == []


def test_account_stays_while_it_pays_for_what_has_gone_to_another(
    customer: AbstractBaseUser, other: AbstractBaseUser, order: Order, stripe: FakeStripe
) -> None:
    holder = services.create_account_holder(customer, provider_id="stripe")
    collection = give(order, customer)
    session = services.create_payment_session(collection, provider_id="stripe")
    stripe.misbehave("confirm", Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session, data=VISA, actor=customer, by_payer=True)
    give(order, other)

    assert services.erase_customer(customer).accounts == (holder.pk,)

    assert len(stripe.books.all("customer")) == 1
    services.check_operation(PaymentOperation.objects.open().get())
    assert services.erase_customer(customer).is_complete
    assert stripe.books.all("customer") == []


@pytest.mark.database_independent
def test_erasing_scans_no_table_of_payments(
    customer: AbstractBaseUser, other: AbstractBaseUser, order: Order, script: Script
) -> None:
    collection = life(customer, script, order)
    give(order, other)
    own = life(customer, script)
    with CaptureQueriesContext(connection) as captured:
        services.erase_customer(customer)
    statements = [each["sql"] for each in captured if each["sql"].startswith(("SELECT", "UPDATE"))]
    assert all(any(row.pk in text for text in statements) for row in (collection, own))
    with connection.cursor() as cursor:
        plans = [cursor.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in statements]
    scanned = {row[3] for plan in plans for row in plan if row[3].startswith("SCAN payments_")}
    assert {name.split()[1] for name in scanned} <= {"payments_idempotencyrecord"}
