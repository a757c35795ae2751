"""How many queries each verb costs, as one table: what grows or shrinks with a change is seen here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import services
from payments.api.storefront.access import client_secret
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers import SessionFact
from payments.states import SessionStatus
from tests.api.client import Visitor
from tests.services.facts import WEBHOOK
from tests.services.results import SCRIPTS, found
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")

TRANSACTION_WORDS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET ")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Hold a collection of 100.00: 60.00 of it authorized, 30.00 of that captured, and 40.00 in an open session."""

    collection: PaymentCollection
    payment: Payment
    session: PaymentSession


@pytest.fixture(autouse=True)
def _promptness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no call come late, before which there would be another look, on a busy machine either."""
    monkeypatch.setattr("payments.services.ledger.protocol.LATE", timedelta(minutes=1))


@pytest.fixture
def scene(rows: None) -> Scene:
    """Return the rows that every verb is tried on."""
    collection = services.create_payment_collection(amount=100, currency_code="eur")
    held = services.create_payment_session(collection, provider_id="card", amount=60)
    payment = services.authorize_payment_session(held).payment
    assert payment is not None
    services.capture_payment(payment, amount=30)
    session = services.create_payment_session(collection, provider_id="card")
    ContentType.objects.get_for_model(Order)
    return Scene(
        collection=PaymentCollection.objects.get(pk=collection.pk),
        payment=Payment.objects.select_related("session").get(pk=payment.pk),
        session=PaymentSession.objects.get(pk=session.pk),
    )


def _create_collection(_scene: Scene) -> Any:
    return services.create_payment_collection(amount=10, currency_code="eur")


def _plan(scene: Scene) -> Any:
    services.cancel_payment_session(scene.session)
    with CaptureQueriesContext(connection) as queries:
        services.create_installment_plan(scene.collection, provider_id="card", count=12, interval="month")
    return queries


def _replay(scene: Scene) -> Any:
    _record(scene)
    with CaptureQueriesContext(connection) as queries:
        _record(scene)
    return queries


def _record(scene: Scene) -> Any:
    fact = SessionFact(currency_code="eur", captured_amount=Decimal(40))
    return services.record_fact(scene.payment.session, fact, origin=WEBHOOK)


def _cancel_collection(scene: Scene) -> Any:
    services.refund_payment(scene.payment)
    with CaptureQueriesContext(connection) as queries:
        services.cancel_payment_collection(scene.collection)
    return queries


def _sync(scene: Scene) -> Any:
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(40))
    SCRIPTS["card"].next("retrieve", found(fact))
    return services.sync_payment_session(scene.session)


def _read(scene: Scene, path: str) -> Any:
    answer = Visitor(secret=client_secret(scene.collection.pk)).get(f"storefront/{path}/")
    assert answer.status == 200
    return answer


# Books are opened with four statements and up to two for captures and refunds, and written with one for the collection
# and one for each kind of row and of change. An answer is recorded in the books of its claim. Before a session is given
# up there is another look. Marking as paid is four operations in a row: cancel, initiate, authorize, capture.
TABLE: list[tuple[str, Callable[[Scene], Any], int]] = [
    ("create_payment_collection", _create_collection, 2),
    ("update_payment_collection", lambda s: services.update_payment_collection(s.collection, amount=120), 13),
    ("cancel_payment_collection", _cancel_collection, 18),
    ("mark_payment_collection_as_paid", lambda s: services.mark_payment_collection_as_paid(s.collection), 51),
    (
        "create_payment_session",
        lambda s: services.create_payment_session(s.collection, provider_id="card", amount=20),
        18,
    ),
    ("update_payment_session", lambda s: services.update_payment_session(s.session, amount=20), 10),
    ("authorize_payment_session", lambda s: services.authorize_payment_session(s.session), 11),
    ("authorize_payment_session again", lambda s: services.authorize_payment_session(s.payment.session), 4),
    ("cancel_payment_session", lambda s: services.cancel_payment_session(s.session), 11),
    ("sync_payment_session", _sync, 12),
    ("capture_payment", lambda s: services.capture_payment(s.payment), 14),
    ("refund_payment", lambda s: services.refund_payment(s.payment), 14),
    ("cancel_payment", lambda s: services.cancel_payment(s.payment), 12),
    ("create_installment_plan of 12", _plan, 8),
    ("record_fact", _record, 10),
    ("record_fact, replayed", _replay, 6),
    ("a collection, read by its payer", lambda s: _read(s, f"payment-collections/{s.collection.pk}"), 2),
    ("a session, read by its payer", lambda s: _read(s, f"payment-sessions/{s.session.pk}"), 1),
]

FLOW: dict[str, int] = {
    "create_payment_collection": 2,
    "create_payment_session": 12,
    "authorize_payment_session": 11,
    "capture_payment": 13,
    "refund_payment": 14,
}


@pytest.mark.parametrize(("name", "verb", "count"), TABLE, ids=[name for name, _verb, _count in TABLE])
def test_verb_costs_the_queries_written_here(
    scene: Scene, name: str, verb: Callable[[Scene], Any], count: int
) -> None:
    with CaptureQueriesContext(connection) as around:
        result = verb(scene)
    asked = _counted(result if isinstance(result, CaptureQueriesContext) else around)
    assert len(asked) == count, "\n".join([f"{len(asked)} queries:", *(sql[:170] for sql in asked)])


def test_payment_from_its_beginning_costs_the_queries_written_here(rows: None) -> None:
    assert _flow() == FLOW


def _flow() -> dict[str, int]:
    """Pay, take and give back 100.00, and return what each verb costs."""
    costs: dict[str, int] = {}

    def counted(verb: Callable[..., T], *arguments: Any, **named: Any) -> T:
        with CaptureQueriesContext(connection) as queries:
            result = verb(*arguments, **named)
        costs[verb.__name__] = len(_counted(queries))
        return result

    collection = counted(services.create_payment_collection, amount=100, currency_code="eur")
    session = counted(services.create_payment_session, collection, provider_id="card")
    payment = counted(services.authorize_payment_session, session).payment
    assert payment is not None
    counted(services.refund_payment, counted(services.capture_payment, payment))
    return costs


def _counted(queries: CaptureQueriesContext) -> list[str]:
    """Return the statements that cost a round trip of their own: what begins a transaction goes along with the next."""
    statements = [query["sql"] for query in queries.captured_queries]
    return [sql for sql in statements if not sql.startswith(TRANSACTION_WORDS)]
