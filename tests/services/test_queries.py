"""How many queries each verb costs, as one table: what grows unseen with every change is seen here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import services
from payments.models import Payment, PaymentCollection, PaymentSession
from tests.services.facts import AUTHORIZED, WEBHOOK, captured
from tests.services.scripted import SCRIPTS, found
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

TRANSACTION_WORDS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET ")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Hold a collection of 100.00: 60.00 of it authorized, 30.00 of that captured, and 40.00 in an open session."""

    collection: PaymentCollection
    payment: Payment
    session: PaymentSession


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
        payment=Payment.objects.get(pk=payment.pk),
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
    fact = captured("30")
    services.record_fact(scene.payment.session, fact, origin=WEBHOOK)
    with CaptureQueriesContext(connection) as queries:
        services.record_fact(scene.payment.session, fact, origin=WEBHOOK)
    return queries


def _cancel_collection(scene: Scene) -> Any:
    services.refund_payment(scene.payment)
    with CaptureQueriesContext(connection) as queries:
        services.cancel_payment_collection(scene.collection)
    return queries


def _sync(scene: Scene) -> Any:
    SCRIPTS["card"].will("retrieve", found(AUTHORIZED))
    return services.sync_payment_session(scene.session)


# Reading and locking the collection, the sums of its rows and the events make a dozen statements of every claim and
# every record that changes a sum. Marking as paid is four operations in a row: cancel, initiate, authorize, capture.
TABLE: list[tuple[str, Callable[[Scene], Any], int]] = [
    ("create_payment_collection", _create_collection, 5),
    ("update_payment_collection", lambda s: services.update_payment_collection(s.collection, amount=120), 33),
    ("cancel_payment_collection", _cancel_collection, 47),
    (
        "mark_payment_collection_as_paid",
        lambda s: services.mark_payment_collection_as_paid(s.collection),
        112,
    ),
    (
        "create_payment_session",
        lambda s: services.create_payment_session(s.collection, provider_id="card", amount=20),
        52,
    ),
    ("update_payment_session", lambda s: services.update_payment_session(s.session, amount=20), 20),
    ("authorize_payment_session", lambda s: services.authorize_payment_session(s.session), 29),
    ("authorize_payment_session again", lambda s: services.authorize_payment_session(s.payment.session), 5),
    ("cancel_payment_session", lambda s: services.cancel_payment_session(s.session), 21),
    ("sync_payment_session", _sync, 20),
    ("capture_payment", lambda s: services.capture_payment(s.payment), 28),
    ("refund_payment", lambda s: services.refund_payment(s.payment), 28),
    ("cancel_payment", lambda s: services.cancel_payment(s.payment), 23),
    ("create_installment_plan of 12", _plan, 27),
    ("record_fact, replayed", _replay, 12),
]


@pytest.mark.parametrize(("name", "verb", "limit"), TABLE, ids=[name for name, _verb, _limit in TABLE])
def test_verb_costs_no_more_queries_than_written_here(
    scene: Scene, name: str, verb: Callable[[Scene], Any], limit: int
) -> None:
    with CaptureQueriesContext(connection) as around:
        result = verb(scene)
    queries = result if isinstance(result, CaptureQueriesContext) else around
    asked = [query["sql"] for query in queries.captured_queries if _is_counted(query["sql"])]
    assert len(asked) <= limit, "\n".join([f"{len(asked)} queries:", *(sql[:170] for sql in asked)])


def _is_counted(sql: str) -> bool:
    """Return whether a statement costs a round trip on every database, unlike the write that locks SQLite."""
    locks_sqlite = (
        sql.startswith('UPDATE "payments_paymentcollection" SET "updated_at"') and '"status"' not in sql
    )
    return not sql.startswith(TRANSACTION_WORDS) and not locks_sqlite
