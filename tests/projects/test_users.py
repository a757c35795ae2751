"""Who pays and who asks, whatever object stands for them: a user, a guest, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from payments import services
from payments.exceptions import InputError
from payments.models import PaymentCollection, PaymentEvent
from payments.services import ResolvedPayable, open_payment_collection
from payments.testing import Script
from payments.users import email_of
from tests.api.client import Visitor
from tests.projects.stall.models import Shelf
from tests.shop.models import Order

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


class TokenUser:
    """Know no more of a user than a token says: their key, as simplejwt's does."""

    is_authenticated = is_active = True
    is_anonymous = False

    def __init__(self, key: Any) -> None:
        self.pk = self.id = key

    def get_username(self) -> str:
        return "from a token"


class Tokens(BaseAuthentication):
    """Recognize who was set."""

    known: ClassVar[list[Any]] = []

    def authenticate(self, request: Request) -> tuple[Any, None]:
        """Return them."""
        return self.known[0], None


@pytest.fixture
def kim() -> Any:
    """Return a user."""
    return get_user_model().objects.create_user("kim", email="kim@example.com")


@pytest.fixture
def order() -> Order:
    """Return an order over 10.00 euros."""
    return Order.objects.create(number="A-1", total="10.00", currency_code="eur")


def opened(order: Order, customer: Any) -> PaymentCollection:
    collection, _is_new = open_payment_collection(
        ResolvedPayable(payable=order, amount="10.00", currency_code="eur", customer=customer)
    )
    return collection


def created(_order: Order, customer: Any) -> PaymentCollection:
    return services.create_payment_collection(amount="1.00", currency_code="eur", customer=customer)


GIVEN: dict[str, Callable[[Any], Any]] = {
    "the user": lambda kim: kim,
    "lazily": lambda kim: SimpleLazyObject(lambda: kim),
    "their key as it is": lambda kim: TokenUser(kim.pk),
    "their key as a text": lambda kim: TokenUser(str(kim.pk)),
    "a row that has only their key": lambda kim: get_user_model()(pk=kim.pk),
    "lazily, their key": lambda kim: SimpleLazyObject(lambda: TokenUser(kim.pk)),
}
STRANGERS: dict[str, Callable[[], Any]] = {
    "a key of nobody": lambda: TokenUser(uuid4().int >> 80),
    "a key that can't be": lambda: TokenUser("x\0"),
    "no key": lambda: TokenUser(None),
    "a row of another model": lambda: Shelf.objects.create(name="A"),
    "a user who isn't saved": lambda: get_user_model()(username="new"),
    "no user at all": object,
}


@pytest.mark.parametrize("make", [opened, created])
@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_customer_is_the_user(make: Any, order: Order, kim: Any, given: Callable[[Any], Any]) -> None:
    assert make(order, given(kim)).customer == kim
    assert make(order, given(kim)).customer == kim


@pytest.mark.parametrize("make", [opened, created])
@pytest.mark.parametrize("nobody", [None, AnonymousUser(), SimpleLazyObject(AnonymousUser)])
def test_nobody_is_a_guest(make: Any, order: Order, kim: Any, nobody: Any) -> None:
    assert make(order, nobody).customer is None
    assert make(order, nobody).customer is None
    assert make(order, kim).customer == kim


@pytest.mark.parametrize("make", [opened, created])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_customer_who_is_no_user_is_refused(make: Any, order: Order, stranger: Callable[[], Any]) -> None:
    with pytest.raises(InputError) as refusal:
        make(order, stranger())

    assert (refusal.value.code, refusal.value.field) == ("unknown_user", "customer")
    assert PaymentCollection.objects.count() == 0


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_actor_is_the_user(kim: Any, given: Callable[[Any], Any]) -> None:
    services.create_payment_collection(amount="1.00", currency_code="eur", actor=given(kim))

    event = PaymentEvent.objects.get()
    assert (event.actor, event.actor_label) == (kim, "kim")


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_actor_who_is_no_user_is_refused(stranger: Callable[[], Any]) -> None:
    with pytest.raises(InputError) as refusal:
        services.create_payment_collection(amount="1.00", currency_code="eur", actor=stranger())

    assert (refusal.value.code, refusal.value.field) == ("unknown_user", "actor")


def test_account_is_the_users(script: Script, kim: Any) -> None:
    holder = services.create_account_holder(TokenUser(str(kim.pk)), provider_id="scripted")  # type: ignore[arg-type]

    assert (holder.customer, holder.email) == (kim, "kim@example.com")
    assert services.find_account_holder(kim, provider_id="scripted") == holder
    assert services.find_account_holder(AnonymousUser(), provider_id="scripted") is None  # type: ignore[arg-type]
    for nobody in (AnonymousUser(), Shelf.objects.create(name="A")):
        with pytest.raises(InputError):
            services.create_account_holder(nobody, provider_id="scripted")  # type: ignore[arg-type]


# Over HTTP


@pytest.fixture
def recognized(settings: Any) -> Callable[[Any], Visitor]:
    """Return a function that has the API recognize somebody."""

    def recognize(person: Any) -> Visitor:
        Tokens.known[:] = [person]
        path = [f"{__name__}.Tokens"]
        settings.PAYMENTS = {
            **settings.PAYMENTS,
            "STOREFRONT_AUTHENTICATION_CLASSES": path,
            "STAFF_AUTHENTICATION_CLASSES": path,
            "PAYABLE_RESOLVER": f"{__name__}._own",
        }
        return Visitor()

    return recognize


def _own(request: Any, reference: str) -> ResolvedPayable | None:
    order = Order.objects.filter(number=reference).first()
    if order is None:
        return None
    return ResolvedPayable(payable=order, amount=order.total, currency_code="eur", customer=request.user)


@pytest.mark.shows(
    "A project recognizes its payers by tokens, and no more than a key is known of them",
    "What they open is theirs, and they find it again by their log-in",
)
@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_who_is_recognized_opens_and_reads_their_own(
    recognized: Any, order: Order, kim: Any, given: Callable[[Any], Any]
) -> None:
    visitor = recognized(given(kim))

    answer = visitor.post("storefront/payment-collections/", {"reference": "A-1"})

    assert answer.status == 201
    collection = PaymentCollection.objects.get()
    assert collection.customer == kim
    assert visitor.get(f"storefront/payment-collections/{collection.pk}/").status == 200
    assert set(PaymentEvent.objects.values_list("actor", flat=True)) == {kim.pk}


def test_guest_opens_an_order_for_which_the_resolver_names_the_requests_user(
    recognized: Any, order: Order
) -> None:
    assert (
        recognized(AnonymousUser()).post("storefront/payment-collections/", {"reference": "A-1"}).status
        == 201
    )
    assert PaymentCollection.objects.get().customer is None


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("path", ["storefront/payment-collections/", "staff/payment-collections/"])
def test_who_is_no_user_is_told_so(
    recognized: Any, order: Order, path: str, stranger: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = recognized(stranger()).post(path, {"reference": "A-1"})

    assert answer.error == (401, "authentication_error", "unknown_user", [])
    assert "isn't a user" in caplog.text
    assert PaymentCollection.objects.count() == 0


def test_resolver_that_names_no_user_is_the_shops_mistake(
    recognized: Any, order: Order, kim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = recognized(kim)
    wrong = ResolvedPayable(payable=order, amount="1", currency_code="eur", customer=Shelf())  # type: ignore[arg-type]
    monkeypatch.setattr(f"{__name__}._own", lambda request, reference: wrong)

    answer = visitor.post("storefront/payment-collections/", {"reference": "A-1"})

    assert answer.error == (500, "server_error", "payable_misconfigured", [])


def test_operator_is_the_user_of_the_token(recognized: Any, kim: Any) -> None:
    kim.is_staff = kim.is_superuser = True
    kim.save()
    visitor = recognized(TokenUser(kim.pk))

    assert visitor.get("staff/payment-collections/").status == 200
    answer = visitor.post("staff/payment-collections/", {"amount": "1.00", "currency_code": "eur"})
    assert answer.status == 201
    assert PaymentEvent.objects.get().actor == kim


# E-mail addresses


def test_address_is_read_from_the_field_that_the_model_names(
    order: Order, kim: Any, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "first_name")
    kim.first_name = "contact@example.com"
    kim.save()
    collection = opened(order, kim)

    session = services.create_payment_session(collection, provider_id="scripted")

    assert email_of(kim) == "contact@example.com"
    assert services.payment_context(collection).email == "contact@example.com"
    assert session.context["email"] == "contact@example.com"
    assert services.create_account_holder(kim, provider_id="scripted").email == "contact@example.com"


def test_user_without_an_address_has_none(kim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kim.email = ""
    assert email_of(kim) is None
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "absent")
    assert email_of(kim) is None
