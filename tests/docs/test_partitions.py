"""The partitions of docs/scaling.md: its statements run, and the shop works on what they have made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connection

from payments import services
from payments.models import PaymentCollection, PaymentEvent
from payments.testing import Script, scripted_provider
from tests.reliability.books import assert_invariants

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="The recipe is for PostgreSQL."),
]

PAGE: Final = (Path(__file__).parents[2] / "docs/scaling.md").read_text(encoding="utf-8")
LIMIT: Final = 100_000_000
"""The page's first limit."""

INDEXES: Final = "SELECT indexname FROM pg_indexes WHERE tablename = 'payments_paymentevent' ORDER BY 1"


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers."""
    with scripted_provider() as script:
        yield script


@pytest.fixture(autouse=True)
def _restored(transactional_db: None) -> Iterator[None]:
    """Make the table anew afterwards, as migrations make it."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE payments_paymentevent")
    with connection.schema_editor() as editor:
        editor.create_model(PaymentEvent)


def run(statement: str) -> list[Any]:
    """Run a statement; return its rows, if there can be any."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [] if cursor.description is None else cursor.fetchall()


def paid() -> PaymentCollection:
    """Have a payment authorized, captured in part and refunded in part."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="scripted")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.refund_payment(services.capture_payment(payment, amount="60.00"), amount="10.00")
    return collection


@pytest.mark.usefixtures("script")
def test_events_are_divided_by_their_ids_while_the_shop_works() -> None:
    before = paid()
    events = list(PaymentEvent.objects.values_list("pk", "type"))
    indexes = run(INDEXES)
    constraints = (
        "SELECT conname FROM pg_constraint WHERE conrelid = 'payments_paymentevent'::regclass ORDER BY 1"
    )
    names = run(constraints)

    for block in re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        if "payments_" in block:
            run(block)

    assert list(PaymentEvent.objects.values_list("pk", "type")) == events
    assert run(INDEXES) == indexes
    assert run(constraints) == names
    between = paid()
    run(f"SELECT setval(pg_get_serial_sequence('payments_paymentevent', 'id'), {LIMIT})")
    after = paid()
    for collection in (before, between, after):
        assert_invariants(collection)
        assert [event.type for event in collection.events.order_by("id")] == [kind for _pk, kind in events]
    assert services.publish_due() == 0
    second = run("SELECT min(id), count(*) FROM payments_paymentevent_2")
    assert second == [(LIMIT + 1, len(events))]
