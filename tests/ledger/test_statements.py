"""How books are opened and written: in a few statements each, whatever is in the collection, and read only once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import services
from payments.models import Payment, PaymentCollection, PaymentProvider, PaymentSession
from payments.providers import MovementFact, SessionFact
from payments.states import EventSource, MovementKind, MovementStatus, SessionStatus
from tests.services.facts import WEBHOOK
from tests.services.results import SCRIPTS, authorized, found

pytestmark = pytest.mark.django_db(transaction=True)

OPENING: Final = 6
CLOSING: Final = 6
FEW: Final = 1
MANY: Final = 20


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A collection of 100.00: 60.00 of it held, of which some was taken and given back, and a session for the rest."""

    collection: PaymentCollection
    payment: Payment
    session: PaymentSession


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """The statements of one transaction: those that read before anything is written, and those after."""

    opening: Sequence[str]
    closing: Sequence[str]


def build_scene(ended: int) -> Scene:
    """Return a scene in which so many captures and refunds have ended."""
    collection = services.create_payment_collection(amount=100, currency_code="eur")
    held = services.create_payment_session(collection, provider_id="card", amount=60)
    payment = services.authorize_payment_session(held).payment
    assert payment is not None
    movements = tuple(
        MovementFact(
            kind=kind,
            status=MovementStatus.SUCCEEDED,
            amount=amount,
            currency_code="eur",
            provider_reference=f"{kind}_{number}",
        )
        for kind, amount in ((MovementKind.CAPTURE, Decimal("0.50")), (MovementKind.REFUND, Decimal("0.10")))
        for number in range(ended)
    )
    services.record_fact(held, SessionFact(currency_code="eur", movements=movements), origin=WEBHOOK)
    session = services.create_payment_session(collection, provider_id="card")
    return Scene(
        collection=PaymentCollection.objects.get(pk=collection.pk),
        payment=Payment.objects.select_related("session").get(pk=payment.pk),
        session=PaymentSession.objects.get(pk=session.pk),
    )


def statements_of(verb: Callable[[Scene], Any], scene: Scene) -> list[str]:
    """Return what a verb sends to the database, with what begins and ends its transactions, all names quoted alike."""
    with CaptureQueriesContext(connection) as queries:
        result = verb(scene)
    kept = result if isinstance(result, CaptureQueriesContext) else queries
    return [query["sql"].replace("`", '"') for query in kept.captured_queries]


def transactions(statements: Sequence[str]) -> list[Transaction]:
    """Return what was sent between each BEGIN and its COMMIT."""
    found_all: list[list[str]] = []
    is_inside = False
    for sql in statements:
        if sql.startswith(("BEGIN", "COMMIT")):
            is_inside = sql.startswith("BEGIN")
            found_all += [[]] if is_inside else []
        elif is_inside:
            found_all[-1].append(sql)
    return [_divided(each) for each in found_all]


def _divided(statements: list[str]) -> Transaction:
    reading = next((at for at, sql in enumerate(statements) if not sql.startswith("SELECT")), len(statements))
    return Transaction(opening=statements[:reading], closing=statements[reading:])


def shape(sql: str) -> str:
    """Return what a statement does to which table, without its values."""
    table = re.search(r'(?:FROM|INTO|UPDATE) "(\w+)"', sql)
    return f"{sql.split(None, 1)[0]} {table[1] if table else ''}".strip()


def _take_at_once(scene: Scene) -> Any:
    SCRIPTS["card"].next("authorize", authorized("39.50", captured="39.50"))
    return services.authorize_payment_session(scene.session)


def _cancel_collection(scene: Scene) -> Any:
    services.refund_payment(scene.payment)
    with CaptureQueriesContext(connection) as queries:
        services.cancel_payment_collection(scene.collection)
    return queries


def _sync(scene: Scene) -> Any:
    SCRIPTS["card"].next("retrieve", found(_held(scene)))
    return services.sync_payment_session(scene.session)


def _record_whole_life(scene: Scene) -> Any:
    fact = replace(_held(scene), captured_amount=Decimal(30), refunded_amount=Decimal(10))
    return services.record_fact(scene.session, fact, origin=WEBHOOK)


def _record_discrepancy(scene: Scene) -> Any:
    fact = replace(_held(scene), authorized_amount=Decimal(90))
    return services.record_fact(scene.session, fact, origin=WEBHOOK)


def _held(scene: Scene) -> SessionFact:
    return SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=scene.session.amount
    )


def _taken(amount: str) -> SessionFact:
    return SessionFact(currency_code="eur", captured_amount=Decimal(amount))


def _pay_as_customer(scene: Scene) -> Any:
    user, _is_new = get_user_model().objects.get_or_create(username="paula")
    scene.collection.customer = user
    scene.collection.save_fields("customer")
    with CaptureQueriesContext(connection) as queries:
        services.create_payment_session(
            scene.collection, provider_id="card", amount=20, actor=user, source=EventSource.STOREFRONT
        )
    return queries


CALLS: Final[dict[str, Callable[[Scene], Any]]] = {
    "create a session": lambda s: services.create_payment_session(
        s.collection, provider_id="card", amount=20
    ),
    "create a session for a customer": _pay_as_customer,
    "replace a session": lambda s: services.create_payment_session(s.collection, provider_id="card"),
    "update a session": lambda s: services.update_payment_session(s.session, amount=20),
    "authorize": lambda s: services.authorize_payment_session(s.session),
    "authorize, and take at once": _take_at_once,
    "cancel a session": lambda s: services.cancel_payment_session(s.session),
    "capture": lambda s: services.capture_payment(s.payment, amount=1),
    "capture all": lambda s: services.capture_payment(s.payment),
    "refund": lambda s: services.refund_payment(s.payment, amount="0.20"),
    "refund all": lambda s: services.refund_payment(s.payment),
    "cancel a payment": lambda s: services.cancel_payment(s.payment),
    "cancel the collection": _cancel_collection,
    "update the collection": lambda s: services.update_payment_collection(s.collection, amount=120),
}
"""The verbs that ask a provider, each in the scene."""

VERBS: Final = CALLS | {
    "mark as paid": lambda s: services.mark_payment_collection_as_paid(s.collection),
    "authorize again": lambda s: services.authorize_payment_session(s.payment.session),
    "sync": _sync,
    "record a capture": lambda s: services.record_fact(s.payment.session, _taken("55"), origin=WEBHOOK),
    "record a whole life": _record_whole_life,
}
LOOKS_FIRST: Final = {
    "create a session",
    "create a session for a customer",
    "replace a session",
    "cancel a session",
    "cancel the collection",
}
"""The verbs that give a session up look once more whether its payer was faster, outside of any transaction."""


@pytest.fixture(autouse=True)
def _promptness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no call come late, before which there would be another look, on a busy machine either."""
    monkeypatch.setattr("payments.services.ledger.protocol.LATE", timedelta(minutes=1))


@pytest.fixture(autouse=True)
def _rows(db: None) -> None:
    PaymentProvider.objects.bulk_create(PaymentProvider(pk=alias) for alias in ("card", "system"))
    build_scene(FEW)  # the first reads what is kept for the next ones, such as the providers' rows


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_books_are_opened_and_written_in_a_few_statements_whatever_has_ended(
    verb: Callable[[Scene], Any],
) -> None:
    few, many = (statements_of(verb, build_scene(ended)) for ended in (FEW, MANY))
    assert [shape(sql) for sql in few] == [shape(sql) for sql in many]
    for transaction in transactions(many):
        assert len(transaction.opening) <= OPENING, "\n".join(transaction.opening)
        assert len(transaction.closing) <= CLOSING, "\n".join(transaction.closing)


@pytest.mark.parametrize("name", CALLS)
def test_record_reads_nothing_while_nobody_else_has_written(name: str) -> None:
    statements = statements_of(CALLS[name], build_scene(FEW))
    claim, *records = transactions(statements)
    assert claim.opening
    assert records
    for record in records:
        assert record.opening == []
        assert [sql for sql in record.closing if sql.startswith("SELECT")] == []
        first, *others = record.closing
        assert re.search(r'^UPDATE "payments_paymentcollection" SET .* WHERE .*"version" = ', first), first
        assert [sql for sql in others if shape(sql) == shape(first)] == []
    claimed = next(at for at, sql in enumerate(statements) if sql.startswith("COMMIT"))
    reads = [sql for sql in statements[claimed:] if sql.startswith("SELECT")]
    assert name in LOOKS_FIRST or reads == []


def test_books_are_opened_again_with_the_discrepancies_told_before() -> None:
    tried, kept = transactions(statements_of(_record_discrepancy, build_scene(MANY)))
    assert (len(tried.opening), tried.closing) == (OPENING, ["ROLLBACK"])
    assert len(kept.opening) == OPENING + 1
    assert shape(kept.opening[-1]) == "SELECT payments_paymentevent"
    assert len(kept.closing) <= CLOSING
