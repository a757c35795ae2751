"""What payers may do: every verb, in every status, whoever has made the session, by both doors that payers have."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import product
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from payments import services
from payments.api.storefront import payables
from payments.api.storefront.access import client_secret
from payments.api.views import PaymentsView
from payments.exceptions import InputError, OperationInProgressError, PaymentError
from payments.models import AccountHolder, PaymentCollection, PaymentEvent, PaymentSession
from payments.providers import AuthorizeResult, Failure, NextAction, PaymentContext
from payments.services.ledger.payers import PAYERS_MAY, Verb
from payments.states import Outcome
from payments.testing import Script
from tests.api.client import Visitor
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

STATUSES: Final = ("pending", "requires_more", "error", "authorized", "canceled")
MAKERS: Final = ("payer", "shop", "plan")
OFFERED: Final = (True, False)
FACES: Final = ("service", "secret", pytest.param("log-in", marks=pytest.mark.thorough))
VERBS: Final = ("authorize", "update", "cancel")

ANSWERS: Final = {
    "requires_more": AuthorizeResult(
        outcome=Outcome.SUCCEEDED, next_action=NextAction(type="redirect", url="https://bank.example/")
    ),
    "error": AuthorizeResult(outcome=Outcome.DECLINED, failure=Failure(code="declined", message="No.")),
}


def session_in(collection: PaymentCollection, script: Script, status: str, maker: str) -> PaymentSession:
    """Make a session, by whom it is to be made, and bring it into a status by the shop's own verbs."""
    if maker == "plan":
        [session] = services.create_installment_plan(
            collection, provider_id="scripted", count=1, interval="month"
        )
    else:
        session = services.create_payment_session(
            collection, provider_id="scripted", amount="60.00", by_payer=maker == "payer"
        )
    if status == "canceled":
        return services.cancel_payment_session(session)
    if status != "pending":
        script.next("authorize", *([ANSWERS[status]] if status in ANSWERS else []))
        session = services.authorize_payment_session(session)
    assert session.status == status
    return session


def ask(visitor: Visitor, actor: Any, face: str, session: PaymentSession, verb: str) -> str | None:
    """Ask for a verb as a payer; return the code of the refusal, or None."""
    if face == "service":
        values: dict[str, Any] = {"amount": "50.00"} if verb == "update" else {}
        try:
            getattr(services, f"{verb}_payment_session")(session, by_payer=True, actor=actor, **values)
        except PaymentError as error:
            return error.code
        return None
    path = f"storefront/payment-sessions/{session.pk}/"
    answer = visitor.patch(path, {"amount": "50.00"}) if verb == "update" else visitor.post(f"{path}{verb}/")
    return None if answer.status < 300 else str(answer.body["code"])


def expected(
    verb: str, status: str, maker: str, *, is_offered: bool, may_release: bool = False
) -> str | None:
    """Return the code with which the table refuses, written down once more and in other words; None if it doesn't."""
    if verb == "update" and status in ("authorized", "canceled"):
        return "invalid_transition"
    if not is_offered:
        return "provider_not_offered"
    if verb == "authorize":
        return "invalid_transition" if status == "canceled" else None
    if verb == "cancel" and status == "authorized" and not may_release:
        return "already_authorized"
    return {"payer": None, "shop": "made_by_shop", "plan": "planned"}[maker]


@pytest.fixture
def offer(settings: Any) -> Callable[[bool], None]:
    """Return a function that has the provider offered to payers, or withheld from them."""
    providers = settings.PAYMENTS["PROVIDERS"]

    def change(is_offered: bool) -> None:
        entry = {**providers["scripted"], "STOREFRONT": is_offered}
        settings.PAYMENTS = {**settings.PAYMENTS, "PROVIDERS": {**providers, "scripted": entry}}

    return change


@pytest.mark.shows(
    "A payer asks for what isn't theirs: to release what is held, or to change what the shop or a plan has made",
    "It is refused, by the API and by the services, whatever state the session is in; nothing that is held is less",
)
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.database_independent
def test_a_payer_has_these_rights_and_no_others(
    shopper: Any, offer: Callable[[bool], None], script: Script, face: str, verb: str
) -> None:
    # Both doors of the API lead through the same verbs, which every status is tried with.
    statuses = STATUSES if face == "service" else ("pending", "authorized")
    customer = Visitor(user=shopper)
    for status, maker, is_offered in product(statuses, MAKERS, OFFERED):
        collection = services.create_payment_collection(amount=100, currency_code="eur", customer=shopper)
        visitor = Visitor(secret=client_secret(collection.pk)) if face == "secret" else customer
        offer(True)
        session = session_in(collection, script, status, maker)
        held = session.authorized_amount
        offer(is_offered)

        refusal = ask(visitor, shopper, face, session, verb)

        case = (status, maker, is_offered)
        assert refusal == expected(verb, status, maker, is_offered=is_offered), case
        assert PaymentSession.objects.get(pk=session.pk).authorized_amount >= held, case


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.database_independent
def test_the_setting_lets_payers_release_what_payers_have_made(
    guest: Visitor, collection: PaymentCollection, script: Script, settings: Any, maker: str
) -> None:
    settings.PAYMENTS = {**settings.PAYMENTS, "PAYERS_MAY_RELEASE": True}
    session = session_in(collection, script, "authorized", maker)

    refusal = ask(guest, None, "secret", session, "cancel")

    assert refusal == expected("cancel", "authorized", maker, is_offered=True, may_release=True)
    collection.refresh_from_db()
    assert (collection.authorized_amount == 0) is (refusal is None)


@pytest.mark.parametrize("value", ["True", 1, None])
@pytest.mark.database_independent
def test_only_true_lets_payers_release(
    settings: Any, collection: PaymentCollection, script: Script, value: Any
) -> None:
    settings.PAYMENTS = {**settings.PAYMENTS, "PAYERS_MAY_RELEASE": value}
    session = session_in(collection, script, "authorized", "payer")

    assert ask(Visitor(), None, "service", session, "cancel") == "already_authorized"


def test_the_table_names_every_verb_of_a_session() -> None:
    assert set(PAYERS_MAY) == set(Verb)


def shop_verbs(collection: PaymentCollection, script: Script) -> dict[str, Callable[..., Any]]:
    session = session_in(collection, script, "authorized", "payer")
    payment = session.payment
    assert payment is not None
    return {
        "update_payment_collection": partial(services.update_payment_collection, collection, amount="70.00"),
        "cancel_payment_collection": partial(services.cancel_payment_collection, collection),
        "mark_payment_collection_as_paid": partial(services.mark_payment_collection_as_paid, collection),
        "capture_payment": partial(services.capture_payment, payment),
        "refund_payment": partial(services.refund_payment, payment),
        "cancel_payment": partial(services.cancel_payment, payment),
        "create_installment_plan": partial(
            services.create_installment_plan, collection, provider_id="scripted", count=2, interval="month"
        ),
    }


def test_what_is_the_shops_alone_is_done_for_no_payer(collection: PaymentCollection, script: Script) -> None:
    verbs = shop_verbs(collection, script)
    events = PaymentEvent.objects.count()

    for name, verb in verbs.items():
        with pytest.raises(InputError) as refusal:
            verb(by_payer=True)
        assert refusal.value.code == "not_for_payers", name

    assert PaymentEvent.objects.count() == events


def test_a_source_is_a_label_and_decides_nothing(collection: PaymentCollection, script: Script) -> None:
    session = session_in(collection, script, "authorized", "shop")

    services.cancel_payment_session(session, source="storefront")

    assert session.status == "canceled"


@pytest.mark.database_independent
def test_a_payers_session_takes_the_place_of_payers_and_leaves_the_shops(
    guest: Visitor, collection: PaymentCollection
) -> None:
    by_shop = services.create_payment_session(collection, provider_id="scripted")
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    first = guest.post(path, {"provider_id": "scripted"}).body["id"]
    second = guest.post(path, {"provider_id": "scripted"}).body["id"]

    statuses = dict(PaymentSession.objects.values_list("id", "status"))
    assert statuses == {by_shop.pk: "pending", first: "canceled", second: "pending"}

    services.create_payment_session(collection, provider_id="system")
    assert set(PaymentSession.objects.exclude(provider="system").values_list("status", flat=True)) == {
        "canceled"
    }


@pytest.fixture
def owned(shopper: Any, make_order: Callable[..., Order]) -> PaymentCollection:
    """Return the collection of the order A-1, which is the shopper's, who has an account at the provider."""
    AccountHolder.objects.create(
        provider_id=services.list_providers()[-1].pk, customer=shopper, provider_reference="acct_sam"
    )
    order = make_order(customer=shopper)
    collection, _is_new = services.open_payment_collection(
        services.ResolvedPayable(payable=order, amount=order.total, currency_code="eur", customer=shopper)
    )
    return collection


def secret_of(user: Any) -> str:
    return str(
        Visitor(user=user).post("storefront/payment-collections/", {"reference": "A-1"}).body["client_secret"]
    )


@pytest.mark.shows(
    "Who holds nothing but the secret pays a customer's collection",
    "The provider is told of nobody: nothing saved is used, and nothing is saved",
)
@pytest.mark.database_independent
def test_a_provider_is_told_of_no_customer_who_is_not_asking(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    path = f"storefront/payment-collections/{owned.pk}/payment-sessions/"
    friend = Visitor(secret=secret_of(shopper))

    friend.post(path, {"provider_id": "scripted"})
    Visitor(user=shopper).post(path, {"provider_id": "scripted"})

    told = [
        (request.context.customer_id, request.context.email, request.context.account_reference)
        for request in script.requests("initiate")
    ]
    assert told == [(None, None, None), (str(shopper.pk), shopper.email, "acct_sam")]


@pytest.mark.database_independent
def test_the_data_of_a_payment_from_an_account_are_its_customers(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    customer, friend = Visitor(user=shopper), Visitor(secret=secret_of(shopper))
    path = f"storefront/payment-collections/{owned.pk}/"
    session = customer.post(f"{path}payment-sessions/", {"provider_id": "scripted"}).body

    seen = [visitor.get(path).body for visitor in (customer, friend)]

    assert session["data"]
    assert [body["payment_sessions"][0]["data"] for body in seen] == [session["data"], {}]
    assert [body["accepts_saved_payment_methods"] for body in seen] == [True, False]
    assert [body["payment_sessions"][0]["accepts_saved_payment_methods"] for body in seen] == [True, False]
    address = f"storefront/payment-sessions/{session['id']}/"
    assert friend.get(address).body["data"] == {}
    assert friend.post(f"{address}authorize/").body["data"] == {}
    assert [request.refuses_saved for request in script.requests("authorize")] == [True]


# An order that comes into other hands


def hand_over(to: Any) -> None:
    Order.objects.update(customer=to)


@pytest.mark.shows(
    "An order comes into other hands, of a customer or a guest, while its former customer has begun to pay",
    "Access, secret and provider account go with it; what was begun ends, and what is held stays",
)
@pytest.mark.parametrize("is_guest", [False, True])
def test_an_order_that_changes_hands_takes_its_access_and_secret_with_it(
    owned: PaymentCollection, shopper: Any, script: Script, is_guest: bool
) -> None:
    ben = None if is_guest else get_user_model().objects.create_user("ben", email="ben@shopper.example")
    former, old_secret = Visitor(user=shopper), secret_of(shopper)
    path = f"storefront/payment-collections/{owned.pk}/"
    made = former.post(f"{path}payment-sessions/", {"provider_id": "scripted"}).body
    assert made["data"]
    begun = made["id"]
    hand_over(ben)

    opened = Visitor(user=ben).post("storefront/payment-collections/", {"reference": "A-1"})

    assert (opened.status, opened.body["id"]) == (200, owned.pk)
    new = Visitor(user=ben, secret=opened.body["client_secret"])
    assert opened.body["client_secret"] != old_secret
    assert [visitor.get(path).status for visitor in (former, Visitor(secret=old_secret), new)] == [
        404,
        404,
        200,
    ]
    assert PaymentSession.objects.get(pk=begun).status == "canceled"
    for shown in (
        new.get(f"storefront/payment-sessions/{begun}/").body,
        *new.get(path).body["payment_sessions"],
    ):
        assert (shown["id"], shown["data"], shown["next_action"]) == (begun, {}, None)
    new.post(f"{path}payment-sessions/", {"provider_id": "scripted"})
    [request] = script.requests("initiate")[1:]
    told = (request.context.customer_id, request.context.email, request.context.account_reference)
    assert told == (None if ben is None else str(ben.pk), None if ben is None else ben.email, None)


@pytest.mark.shows(
    "An order comes into other hands while a request of its former customer's, who was let in, goes on",
    "404, with nothing done in what is the new customer's",
)
@pytest.mark.parametrize("door", ["secret", "log-in"])
@pytest.mark.parametrize("verb", ["create", "update", "authorize", "cancel"])
@pytest.mark.database_independent
def test_who_was_let_in_before_an_order_changed_hands_does_nothing_in_it(
    owned: PaymentCollection,
    shopper: Any,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    *,
    door: str,
    verb: str,
) -> None:
    ben = get_user_model().objects.create_user("ben")
    former = Visitor(user=shopper) if door == "log-in" else Visitor(secret=secret_of(shopper))
    collections, sessions = "storefront/payment-collections/", "storefront/payment-sessions/"
    bens: list[str] = []
    real = PaymentsView.read

    def read(view: PaymentsView, *args: Any, **more: Any) -> dict[str, Any]:
        if not bens:  # the request is past the door
            bens.append("")
            hand_over(ben)
            opened = Visitor(user=ben).post(collections, {"reference": "A-1"}).body
            path = f"{collections}{opened['id']}/payment-sessions/"
            body = {"provider_id": "scripted", "amount": "10.00"}
            bens[0] = Visitor(user=ben).post(path, body).body["id"]
        return real(view, *args, **more)

    theirs = session_in(owned, script, "pending", "payer")
    monkeypatch.setattr(PaymentsView, "read", read)
    answer = {
        "create": lambda: former.post(
            f"{collections}{owned.pk}/payment-sessions/", {"provider_id": "scripted"}
        ),
        "update": lambda: former.patch(f"{sessions}{theirs.pk}/", {"amount": "1.00"}),
        "authorize": lambda: former.post(f"{sessions}{theirs.pk}/authorize/"),
        "cancel": lambda: former.post(f"{sessions}{theirs.pk}/cancel/"),
    }[verb]()

    assert answer.status == 404
    assert answer.body == former.get(f"{collections}{owned.pk}/").body
    statuses = dict(PaymentSession.objects.values_list("id", "status"))
    assert statuses == {theirs.pk: "canceled", bens[0]: "pending"}
    assert len(script.requests("authorize")) == 0


@pytest.mark.shows(
    "The shop's word that an order is somebody's is older than the last change of hands",
    "The shop is asked again, and the new customer keeps what is theirs",
)
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.database_independent
def test_an_old_word_of_the_shop_takes_no_order_back(
    owned: PaymentCollection, shopper: Any, is_late: bool
) -> None:
    ben = get_user_model().objects.create_user("ben")
    order = Order.objects.get()

    def word(customer: Any) -> services.ResolvedPayable:
        return services.ResolvedPayable(
            payable=order, amount="100.00", currency_code="eur", customer=customer
        )

    def ask_again() -> services.ResolvedPayable:
        if not is_late:
            return word(ben)
        services.open_payment_collection(word(ben))  # right behind what the shop says now
        return word(shopper)

    if not is_late:
        services.open_payment_collection(word(ben))
        assert services.open_payment_collection(word(shopper), ask_again=ask_again)[0] == owned
    else:
        services.open_payment_collection(word(None))
        with pytest.raises(OperationInProgressError):
            services.open_payment_collection(word(shopper), ask_again=ask_again)

    owned.refresh_from_db()
    assert owned.customer == ben


def test_a_visitor_whose_order_has_gone_meanwhile_finds_nothing(
    owned: PaymentCollection, shopper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = get_user_model().objects.create_user("ben")
    real, asked = payables.resolve_payable, list[str]()

    def resolve(request: Any, reference: str) -> services.ResolvedPayable:
        resolved = real(request, reference)
        if not asked:
            asked.append(reference)
            hand_over(ben)
            Visitor(user=ben).post("storefront/payment-collections/", {"reference": "A-1"})
        return resolved

    monkeypatch.setattr("payments.api.storefront.collections.resolve_payable", resolve)
    answer = Visitor(user=shopper).post("storefront/payment-collections/", {"reference": "A-1"})

    assert answer.error[2] == "unknown_reference"
    owned.refresh_from_db()
    assert (owned.customer, owned.secret_generation) == (ben, 1)


@pytest.mark.database_independent
def test_a_guest_who_logs_in_keeps_what_was_begun_and_gets_a_new_secret(
    guest: Visitor, collection: PaymentCollection, shopper: Any
) -> None:
    path = f"storefront/payment-collections/{collection.pk}/"
    session = guest.post(f"{path}payment-sessions/", {"provider_id": "scripted"}).body
    hand_over(shopper)

    opened = Visitor(user=shopper).post("storefront/payment-collections/", {"reference": "A-1"})

    assert (opened.status, opened.body["id"]) == (200, collection.pk)
    assert guest.get(path).status == 404
    assert Visitor(secret=opened.body["client_secret"]).get(path).status == 200
    assert opened.body["payment_sessions"][0]["id"] == session["id"]
    assert opened.body["payment_sessions"][0]["status"] == "pending"
    assert Visitor(user=shopper).get(path).body["accepts_saved_payment_methods"] is True


@pytest.mark.database_independent
def test_what_was_paid_before_an_order_changed_hands_stays_paid(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    session = session_in(owned, script, "authorized", "payer")
    hand_over(get_user_model().objects.create_user("ben"))

    opened = Visitor(user=Order.objects.get().customer).post(
        "storefront/payment-collections/", {"reference": "A-1"}
    )

    assert (opened.status, opened.body["authorized_amount"]) == (200, "60.00")
    session.refresh_from_db()
    assert session.status == "authorized"


@pytest.mark.database_independent
def test_a_session_of_unknown_end_does_not_keep_an_order_from_a_new_customer(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    path = f"storefront/payment-collections/{owned.pk}/"
    former = Visitor(user=shopper)
    begun = former.post(f"{path}payment-sessions/", {"provider_id": "scripted"}).body["id"]
    script.next("authorize", TimeoutError())
    assert former.post(f"storefront/payment-sessions/{begun}/authorize/").status == 202
    ben = get_user_model().objects.create_user("ben")
    hand_over(ben)

    opened = Visitor(user=ben).post("storefront/payment-collections/", {"reference": "A-1"})

    assert opened.status == 200
    assert [visitor.get(path).status for visitor in (former, Visitor(user=ben))] == [404, 200]
    assert opened.body["payment_sessions"][0]["data"] == {}


def test_a_plan_goes_on_as_the_new_customers(owned: PaymentCollection, shopper: Any, script: Script) -> None:
    first, second = services.create_installment_plan(
        owned, provider_id="scripted", count=2, interval="month", first_due_at=timezone.now()
    )
    script.next("authorize", ANSWERS["error"])
    services.authorize_payment_session(first)
    ben = get_user_model().objects.create_user("ben", email="ben@shopper.example")
    hand_over(ben)

    Visitor(user=ben).post("storefront/payment-collections/", {"reference": "A-1"})

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("canceled", "pending")
    assert (second.context["customer_id"], second.context["email"]) == (str(ben.pk), ben.email)
    assert second.amount == Decimal(50)


@pytest.mark.shows(
    "An order comes into other hands after its customer was deleted, or erased",
    "As above: who comes next takes nothing of theirs over",
)
@pytest.mark.parametrize("moment", ["deleted", "erased"])
@pytest.mark.database_independent
def test_who_comes_after_a_customer_that_is_gone_takes_nothing_of_theirs_over(
    owned: PaymentCollection, shopper: Any, script: Script, moment: str
) -> None:
    path = f"storefront/payment-collections/{owned.pk}/"
    begun = Visitor(user=shopper).post(f"{path}payment-sessions/", {"provider_id": "scripted"}).body["id"]
    old_secret = secret_of(shopper)
    if moment == "erased":
        services.erase_customer(shopper)
    else:
        shopper.delete()
    hand_over(get_user_model().objects.create_user("dan"))
    assert Visitor(secret=old_secret).get(path).status == 404

    opened = Visitor(user=Order.objects.get().customer).post(
        "storefront/payment-collections/", {"reference": "A-1"}
    )

    assert (opened.status, opened.body["id"]) == (200, owned.pk)
    assert PaymentSession.objects.get(pk=begun).status == "canceled"


@pytest.mark.shows(
    "A former customer repeats the request with which they had opened the collection, under its key",
    "They get what the reference means to the shop now, and no secret of the new customer's",
)
@pytest.mark.database_independent
def test_a_replay_gives_the_former_customer_no_secret_of_the_new_one(
    shopper: Any, make_order: Callable[..., Order], settings: Any, script: Script
) -> None:
    """The reference means whatever is in the cart, so it goes on to mean something when the order has gone."""
    settings.PAYMENTS = {
        **settings.PAYMENTS,
        "PAYABLE_RESOLVER": "tests.api.storefront.test_payers.resolve_cart",
    }
    ben = get_user_model().objects.create_user("ben")
    given = make_order("A-1", customer=shopper)
    ann = Visitor(user=shopper)
    ann.headers = {"Idempotency-Key": "k1"}
    first = ann.post("storefront/payment-collections/", {"reference": "cart"}).body
    Order.objects.filter(pk=given.pk).update(customer=ben)
    make_order("A-2", customer=shopper)
    bens = Visitor(user=ben).post("storefront/payment-collections/", {"reference": "cart"}).body
    assert bens["id"] == first["id"]

    again = ann.post("storefront/payment-collections/", {"reference": "cart"}).body

    assert again["id"] != first["id"]
    assert again["client_secret"] not in (bens["client_secret"], first["client_secret"])
    assert PaymentCollection.objects.get(pk=again["id"]).customer == shopper


def resolve_cart(request: Any, _reference: str) -> services.ResolvedPayable:
    """Return what the visitor is about to buy."""
    order = Order.objects.filter(customer=request.user).latest("pk")
    return services.ResolvedPayable(
        payable=order, amount=order.total, currency_code="eur", customer=order.customer
    )


# Plans


def plan(collection: PaymentCollection, **values: Any) -> list[PaymentSession]:
    return services.create_installment_plan(
        collection, provider_id="scripted", count=2, interval="month", first_due_at=timezone.now(), **values
    )


@pytest.mark.shows(
    "A plan that is charged by itself is about an order that has come into other hands",
    "Nobody is charged who hasn't agreed",
)
@pytest.mark.parametrize("has_account", [True, False])
@pytest.mark.database_independent
def test_nobody_is_charged_by_a_plan_that_somebody_else_has_agreed_to(
    owned: PaymentCollection, script: Script, has_account: bool
) -> None:
    plan(owned, is_automatic=True)
    ben = get_user_model().objects.create_user("ben")
    if has_account:
        AccountHolder.objects.create(provider_id="scripted", customer=ben, provider_reference="acct_ben")
    hand_over(ben)
    Visitor(user=ben).post("storefront/payment-collections/", {"reference": "A-1"})

    services.charge_due_installments()

    assert script.requests("authorize") == []
    assert set(PaymentSession.objects.values_list("is_automatic", "status")) == {(False, "pending")}
    [event] = PaymentEvent.objects.filter(type="collection.changed_hands")
    assert len(event.data["not_automatic"]) == 2


@pytest.mark.shows(
    "Who holds nothing but the secret tries bad cards on a plan that is charged by itself",
    "Refused: the customer is charged as they have agreed",
)
@pytest.mark.database_independent
def test_a_stranger_can_not_spoil_what_is_charged_by_itself(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    first, _second = plan(owned, is_automatic=True)
    stranger = Visitor(secret=secret_of(shopper))

    refused = stranger.post(f"storefront/payment-sessions/{first.pk}/authorize/")

    assert refused.error[:3] == (409, "conflict", "planned")
    services.charge_due_installments()
    first.refresh_from_db()
    assert first.status == "authorized"


@pytest.mark.database_independent
def test_a_customers_own_refused_try_takes_nothing_from_what_was_agreed(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    first, second = plan(owned, is_automatic=True)
    script.next("authorize", ANSWERS["error"])
    customer = Visitor(user=shopper)
    assert customer.post(f"storefront/payment-sessions/{first.pk}/authorize/").body["status"] == "error"
    path = f"storefront/payment-collections/{owned.pk}/payment-sessions/"
    taken = customer.post(path, {"provider_id": "scripted", "amount": "0.01"})

    services.charge_due_installments()

    assert taken.error[:3] == (400, "invalid_request", "nothing_left")
    statuses = dict(PaymentSession.objects.values_list("id", "status"))
    assert statuses == {first.pk: "authorized", second.pk: "pending"}


def test_whose_account_pays_is_written_down_with_the_account(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    context = PaymentContext(return_url="https://shop.example/back")
    session = services.create_payment_session(owned, provider_id="scripted", context=context)

    assert session.context["account_reference"] == "acct_sam"
    assert session.context["customer_id"] == str(shopper.pk)


@pytest.mark.shows(
    "It isn't known yet whether a provider has made what a former customer pays a part of a plan with",
    "It stays what that customer had asked for: nobody else is shown it, and nothing of theirs is saved",
)
@pytest.mark.database_independent
def test_a_part_whose_beginning_is_unknown_stays_the_former_customers(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    first, _second = plan(owned)
    script.next("initiate", TimeoutError())
    Visitor(user=shopper).post(f"storefront/payment-sessions/{first.pk}/authorize/")
    ben = get_user_model().objects.create_user("ben")
    hand_over(ben)

    Visitor(user=ben).post("storefront/payment-collections/", {"reference": "A-1"})

    first.refresh_from_db()
    told = (first.context["customer_id"], first.context["account_reference"])
    assert told == (str(shopper.pk), "acct_sam")


def test_who_was_erased_has_agreed_to_nothing_and_leaves_nothing_to_others(
    owned: PaymentCollection, shopper: Any, script: Script
) -> None:
    session = services.create_payment_session(owned, provider_id="scripted", amount="20.00")
    services.authorize_payment_session(session)
    plan(owned, is_automatic=True)

    services.erase_customer(shopper)
    services.erase_customer(shopper)

    assert not PaymentSession.objects.filter(is_automatic=True).exists()
    dan = get_user_model().objects.create_user("dan")
    hand_over(dan)
    opened = Visitor(user=dan).post("storefront/payment-collections/", {"reference": "A-1"}).body
    shown = {row["id"]: row["data"] for row in opened["payment_sessions"]}
    assert shown[session.pk] == {}
