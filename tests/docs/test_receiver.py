"""The receiver of docs/getting-started.md, told of everything late, twice, and in another order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from django.utils import timezone

from payments import services, signals
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers import SessionFact
from payments.services import ResolvedPayable
from payments.testing import scripted_provider
from tests.api.pairs import daily
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

PAGE: Final = (Path(__file__).parents[2] / "docs/getting-started.md").read_text(encoding="utf-8")


@pytest.fixture
def receiver() -> Iterator[Callable[..., None]]:
    """Return the page's receiver, as it stands there, for the orders of the test shop."""
    [code] = re.findall(r"^```python\n# shop/receivers\.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("from shop.models", "from tests.shop.models"), names)  # noqa: S102 - it is our own page
    yield names["note_whether_it_is_paid"]
    for signal in (signals.collection_authorized, signals.collection_unauthorized):
        signal.disconnect(names["note_whether_it_is_paid"])


@pytest.fixture(autouse=True)
def told() -> Iterator[list[dict[str, Any]]]:
    """Return what the two signals have told, to be told again."""
    heard: list[dict[str, Any]] = []

    def listen(**told: Any) -> None:
        heard.append({name: told[name] for name in ("event", "collection")})

    both = (signals.collection_authorized, signals.collection_unauthorized)
    for signal in both:
        signal.connect(listen)
    with scripted_provider():
        yield heard
    for signal in both:
        signal.disconnect(listen)


def opened(total: str) -> PaymentCollection:
    """Have the order cost this much, and open its collection."""
    order, _is_new = Order.objects.update_or_create(
        number="A-1", defaults={"total": total, "currency_code": "eur"}
    )
    resolved = ResolvedPayable(payable=order, amount=total, currency_code="eur")
    return services.open_payment_collection(resolved)[0]


def paid(collection: PaymentCollection) -> Payment:
    """Pay what is left."""
    session = services.create_payment_session(collection, provider_id="scripted")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


def released_by_the_bank(payment: Payment) -> None:
    fact = SessionFact(
        provider_reference=payment.session.provider_reference,
        currency_code="eur",
        authorized_amount=payment.amount,
        canceled_amount=payment.amount,
        occurred_at=timezone.now(),
    )
    services.record_fact(payment.session, fact, origin=services.Origin())


def charged_back(payment: Payment) -> None:
    services.capture_payment(payment)
    fact = SessionFact(currency_code="eur", charged_back_amount=payment.amount)
    services.record_fact(payment.session, fact, origin=services.Origin())


def expired(payment: Payment) -> None:
    Payment.objects.filter(pk=payment.pk).update(expires_at=timezone.now())
    services.sweep_expired()


RELEASES: Final[dict[str, Callable[[Payment], Any]]] = {
    "an operator": services.cancel_payment,
    "the bank": released_by_the_bank,
    "the clock": expired,
    "an operator who cancels all": lambda payment: services.cancel_payment_collection(payment.collection),
    "the shop, by a refund": lambda payment: services.refund_payment(services.capture_payment(payment)),
    "the payer's bank": charged_back,
    "a part stays": lambda payment: services.cancel_payment(
        services.capture_payment(payment, amount="40.00")
    ),
}


@pytest.mark.shows(
    "What was held for an order is let go, by an operator, the bank or the clock, after the shop has confirmed it",
    "The shop is told by a signal of its own, once, and the documented receiver takes the confirmation back",
)
@pytest.mark.parametrize("cause", daily(RELEASES, step=3))
@pytest.mark.database_independent
def test_the_way_back_is_told_whoever_lets_go(
    receiver: Callable[..., None], told: list[dict[str, Any]], cause: str
) -> None:
    payment = paid(opened("100.00"))
    assert Order.objects.get().is_paid

    RELEASES[cause](payment)

    assert not Order.objects.get().is_paid
    assert [call["event"].type for call in told] == ["collection.authorized", "collection.unauthorized"]


STEPS: Final[dict[str, Callable[[], object]]] = {
    "paid": lambda: paid(PaymentCollection.objects.get()),
    "grown": lambda: Order.objects.update(total="100.00"),
    "opened anew": lambda: opened("100.00"),
    "released": lambda: services.cancel_payment(Payment.objects.order_by("-created_at")[0]),
    "captured": lambda: services.capture_payment(Payment.objects.order_by("created_at")[0]),
    "shrunk": lambda: opened("1.00"),
    "costs less": lambda: Order.objects.update(total="0.40"),
    "refunded in part": lambda: services.refund_payment(Payment.objects.get(), amount="0.60"),
    "refunded": lambda: services.refund_payment(Payment.objects.order_by("created_at")[0]),
}
STORIES: Final = {
    "an order grows": ["paid", "grown", "opened anew", "paid"],
    "an order grows while nobody looks": ["paid", "grown"],
    "a hold is released and paid again": ["paid", "released", "paid"],
    "the rest of a grown order is released": ["paid", "grown", "opened anew", "paid", "released", "shrunk"],
    "all is given back": ["paid", "captured", "refunded"],
    "goods go back twice": ["paid", "captured", "costs less", "refunded in part", "refunded"],
    "goods go back, and others are bought": ["paid", "captured", "refunded in part", "grown"],
}


def is_truly_paid() -> bool:
    """Return whether what the payments of the order hold, or have taken and kept, is what it costs."""
    kept = sum(row.amount - row.canceled_amount - row.refunded_amount for row in Payment.objects.all())
    return bool(kept >= Order.objects.get().total)


@pytest.mark.shows(
    "A signal comes late, twice, or in another order, while what is paid for grows or its money goes back",
    "After each the documented receiver says of the order what is so by then, and confirms none that isn't paid",
)
@pytest.mark.parametrize("story", daily(STORIES, step=3))
@pytest.mark.database_independent
def test_no_signal_out_of_its_time_confirms_what_is_not_paid(
    receiver: Callable[..., None], told: list[dict[str, Any]], story: str
) -> None:
    opened("1.00")

    for step in STORIES[story]:
        STEPS[step]()
        for call in [*told, *reversed(told)]:
            receiver(sender=None, **call)
            assert Order.objects.get().is_paid == is_truly_paid(), step
    assert told


def test_without_an_amount_what_was_opened_last_counts(receiver: Callable[..., None]) -> None:
    order = Order.objects.create(number="A-1", total="5.00", currency_code="eur")
    assert not services.is_held_for(order)
    paid(opened("5.00"))

    assert services.is_held_for(order)
    assert services.is_held_for(order, amount="5.00", currency_code="EUR")
    assert not services.is_held_for(order, amount="5.01", currency_code="eur")
    assert not services.is_held_for(order, amount="5.00", currency_code="usd")
    assert not services.is_held_for(order, amount=0, currency_code="eur")


@pytest.mark.database_independent
def test_what_the_bank_took_back_is_not_held() -> None:
    payment = services.capture_payment(paid(opened("5.00")))
    assert services.is_held_for(Order.objects.get())

    fact = SessionFact(
        provider_reference=payment.session.provider_reference,
        currency_code="eur",
        authorized_amount=Decimal(5),
        captured_amount=Decimal(5),
        charged_back_amount=Decimal(5),
    )
    services.record_fact(PaymentSession.objects.get(), fact, origin=services.Origin())

    assert not services.is_held_for(Order.objects.get())


def priced(total: str) -> Order:
    """Have the order cost this much, as the page says: `is_paid` is set where the total changes."""
    order, _is_new = Order.objects.update_or_create(
        number="A-1", defaults={"total": total, "currency_code": "eur"}
    )
    order.is_paid = services.is_held_for(order, amount=total, currency_code="eur")
    order.save()
    return order


def opened_by_the_recipe() -> PaymentCollection:
    """Open the order with all that was given back or charged back added to its total."""
    order = Order.objects.get()
    rows = PaymentCollection.objects.for_payable(order).exclude(status="canceled")
    back = sum((row.refunded_amount + row.charged_back_amount for row in rows), Decimal(0))
    resolved = ResolvedPayable(payable=order, amount=order.total + back, currency_code="eur")
    return services.open_payment_collection(resolved)[0]


def disputed(payment: Payment, taken: str, returned: str = "0") -> None:
    fact = SessionFact(
        currency_code="eur", charged_back_amount=Decimal(taken), reinstated_amount=Decimal(returned)
    )
    services.record_fact(payment.session, fact, origin=services.Origin())


def refunded_in_part() -> Payment:
    """Have an order of 100.00 paid, and cost 70.00 after a refund."""
    priced("100.00")
    payment = services.capture_payment(paid(opened_by_the_recipe()))
    priced("70.00")
    services.refund_payment(payment, amount="30.00")
    assert Order.objects.get().is_paid
    return payment


@pytest.mark.shows(
    "An order that was refunded in part, or charged back, is paid again: the rest, all, or by a dispute that is won",
    "The documented receiver is told, and the order is paid",
)
@pytest.mark.parametrize("is_captured", [True, False])
def test_rest_that_is_paid_after_a_refund_pays_the_order(
    receiver: Callable[..., None], told: list[dict[str, Any]], is_captured: bool
) -> None:
    refunded_in_part()
    assert not priced("90.00").is_paid
    heard = len(told)
    rest = paid(opened_by_the_recipe())
    if is_captured:
        services.capture_payment(rest)
    assert rest.amount == 20
    assert [each["event"].type for each in told[heard:]] == ["collection.authorized"]
    assert Order.objects.get().is_paid


def test_dispute_that_is_won_after_a_refund_pays_the_order(receiver: Callable[..., None]) -> None:
    payment = refunded_in_part()
    disputed(payment, "70")
    assert not Order.objects.get().is_paid
    disputed(payment, "70", "70")
    assert Order.objects.get().is_paid


def test_hold_that_is_let_go_and_made_again_after_a_refund_pays_the_order(
    receiver: Callable[..., None],
) -> None:
    refunded_in_part()
    priced("90.00")
    services.cancel_payment(paid(opened_by_the_recipe()))
    assert not Order.objects.get().is_paid
    paid(opened_by_the_recipe())
    assert Order.objects.get().is_paid


@pytest.mark.shows(
    "A customer makes good for a chargeback by paying again, and then the charged-back money comes back",
    "The order is paid, and a person is told that it may be paid twice",
)
@pytest.mark.parametrize("is_captured", [True, False])
def test_who_pays_again_after_a_chargeback_pays_the_order(
    receiver: Callable[..., None], is_captured: bool
) -> None:
    priced("100.00")
    payment = services.capture_payment(paid(opened_by_the_recipe()))
    disputed(payment, "100")
    assert not Order.objects.get().is_paid
    again = paid(opened_by_the_recipe())
    if is_captured:
        services.capture_payment(again)
    assert again.amount == 100
    assert Order.objects.get().is_paid
    disputed(payment, "100", "100")
    reasons = PaymentOperation.objects.get(status="attention").detail.splitlines()
    assert reasons[-1] == "reinstated: expected 0, reported 100"


def test_what_an_order_grows_by_after_a_refund_can_be_paid(receiver: Callable[..., None]) -> None:
    """The page says what the shop's resolver returns then: all that was ever to be paid."""
    [given_back] = re.findall(r"^(given_back = .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    def resolved(total: str) -> ResolvedPayable:
        order = Order.objects.get()
        Order.objects.update(total=total)
        names: dict[str, Any] = {"order": order, "PaymentCollection": PaymentCollection}
        exec(given_back, names)  # noqa: S102 - it is our own page
        amount = Decimal(total) + names["given_back"]
        return ResolvedPayable(payable=order, amount=amount, currency_code="eur")

    collection = opened("100.00")
    payment = services.capture_payment(paid(collection))
    Order.objects.update(total="70.00")
    services.refund_payment(payment, amount="30.00")
    assert services.open_payment_collection(resolved("70.00"))[0].amount == Decimal(100)
    assert is_truly_paid()

    services.open_payment_collection(resolved("90.00"))

    assert not is_truly_paid()
    session = services.create_payment_session(collection, provider_id="scripted", by_payer=True)
    assert session.amount == Decimal(20)
    services.authorize_payment_session(session, by_payer=True)
    assert is_truly_paid()
    assert session.payment is not None
    for last in (payment, services.capture_payment(session.payment)):
        services.refund_payment(last)
    anew, is_new = services.open_payment_collection(resolved("15.00"))
    assert (anew.amount, is_new) == (Decimal(15), True)
