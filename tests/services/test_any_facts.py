"""Any sequence of reports, sensible or not, is recorded without an error, and the books add up afterwards."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments import services
from payments.models import Payment, PaymentCollection, PaymentProvider
from payments.providers import Failure, InitiateResult, MovementFact, NextAction, SessionFact
from payments.states import (
    CollectionStatus,
    MovementKind,
    MovementStatus,
    Outcome,
    PaymentStatus,
    SessionStatus,
)
from payments.testing import Script
from tests.services.facts import WEBHOOK

pytestmark = pytest.mark.django_db

AMOUNTS = st.sampled_from(
    [Decimal(number) for number in ("-1", "0", "0.001", "10", "60", "100", "120", "NaN")]
)
POSSIBLE = st.sampled_from([Decimal(number) for number in ("10", "40", "60", "100", "130")])
REFERENCES = st.sampled_from([None, "", "m_1", "m_2", "m_3"])


def _name(movement: MovementFact) -> object:
    """Return what a report may have only once: a provider has one movement under one reference."""
    return (movement.kind, movement.provider_reference) if movement.provider_reference else object()


movements = st.builds(
    MovementFact,
    kind=st.sampled_from(MovementKind),
    status=st.sampled_from(MovementStatus),
    amount=POSSIBLE,
    currency_code=st.sampled_from(["eur", "eur", "eur", "usd"]),
    operation_id=st.sampled_from([None, None, "payop_foreign"]),
    provider_reference=REFERENCES,
    failure=st.none() | st.builds(Failure, code=st.just("x" * 80), message=st.just("No.")),
)
facts = st.builds(
    SessionFact,
    currency_code=st.sampled_from(["eur"] * 9 + ["usd"]),
    status=st.none() | st.sampled_from(SessionStatus),
    provider_reference=REFERENCES,
    amount=st.none() | POSSIBLE,
    authorized_amount=st.none() | POSSIBLE | AMOUNTS,
    captured_amount=st.none() | POSSIBLE | AMOUNTS,
    refunded_amount=st.none() | POSSIBLE | AMOUNTS,
    canceled_amount=st.none() | POSSIBLE | AMOUNTS,
    charged_back_amount=st.none() | POSSIBLE,
    reinstated_amount=st.none() | POSSIBLE,
    unclear_charge_backs=st.sampled_from([(), (), ("110 usd (du_1)",)]),
    movements=st.lists(movements, max_size=3, unique_by=_name).map(tuple),
    next_action=st.none() | st.just(NextAction(type="redirect", url="https://bank.example")),
    data=st.none() | st.just({"client_token": "t", "secret": "s"}),
    provider_data=st.none() | st.just({"id": "1"}),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories=st.lists(st.tuples(st.booleans(), facts), min_size=1, max_size=8))
def test_no_report_is_refused_and_the_books_add_up(
    rows: None, card: Script, stories: list[tuple[bool, SessionFact]]
) -> None:
    collection = services.create_payment_collection(amount=100, currency_code="eur")
    # They take the reference of the first report that has one; one that came with theirs would have all others refused.
    card.next("initiate", *[InitiateResult(outcome=Outcome.SUCCEEDED)] * 2)
    sessions = [
        services.create_payment_session(collection, provider_id="card", amount=amount) for amount in (60, 40)
    ]
    for is_first, fact in stories:
        session = sessions[0] if is_first else sessions[1]
        services.record_fact(session, fact, origin=WEBHOOK)
        assert_sound(collection)
        before = history(collection)
        services.record_fact(session, fact, origin=WEBHOOK)
        assert history(collection) == before


def history(collection: PaymentCollection) -> list[tuple[str, str, str, dict[str, str]]]:
    """Return all that has happened: nothing changes without an event."""
    return list(collection.events.values_list("type", "from_status", "to_status", "data"))


def assert_sound(collection: PaymentCollection) -> None:
    collection = PaymentCollection.objects.get(pk=collection.pk)
    payments = list(Payment.objects.filter(collection=collection))
    for payment in payments:
        succeeded = [
            sum((row.amount for row in rows.filter(status="succeeded")), Decimal(0))
            for rows in (payment.captures, payment.refunds)
        ]
        assert [payment.captured_amount, payment.refunded_amount] == succeeded
        assert payment.status == payment.derive_status()
        assert payment.status in PaymentStatus.values
        assert payment.session.status in {"authorized", "canceled"}
        assert "secret" not in payment.session.data
    totals = (collection.authorized_amount, collection.captured_amount, collection.refunded_amount)
    assert totals == (
        sum((row.amount - row.canceled_amount for row in payments), Decimal(0)),
        sum((row.captured_amount for row in payments), Decimal(0)),
        sum((row.refunded_amount for row in payments), Decimal(0)),
    )
    is_open = collection.sessions.filter(status__in=["pending", "requires_more", "error"]).exists()
    assert collection.status == collection.derive_status(has_open_sessions=is_open)
    assert collection.status in CollectionStatus.values
    assert PaymentProvider.objects.filter(pk="card").exists()
