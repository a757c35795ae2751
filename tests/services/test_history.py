"""The history: one event per change, with what it was, what it is, where it came from and who did it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from payments import services
from payments.exceptions import AmountError, DeclinedError
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentSession
from payments.providers import CaptureResult
from payments.testing import Script
from tests.services.facts import AUTHORIZED, captured, tell
from tests.services.results import declined, requires_more

pytestmark = pytest.mark.django_db


def story(collection: PaymentCollection) -> list[tuple[str, str, str]]:
    """Return what happened to a collection's rows."""
    return list(collection.events.values_list("type", "from_status", "to_status"))


def test_whole_life_is_told_step_by_step(collection: PaymentCollection, card: Script) -> None:
    card.next("authorize", requires_more())
    session = services.create_payment_session(collection, provider_id="card")
    services.authorize_payment_session(session)
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.capture_payment(payment, amount="25.00")
    services.capture_payment(payment)
    services.refund_payment(payment, amount="15.00")
    assert story(collection) == [
        ("collection.created", "", "not_paid"),
        ("session.created", "", "pending"),
        ("session.requires_more", "pending", "requires_more"),
        ("session.authorized", "requires_more", "authorized"),
        ("payment.authorized", "", "authorized"),
        ("collection.authorized", "awaiting", "authorized"),
        ("payment.captured", "pending", "succeeded"),
        ("payment.captured", "pending", "succeeded"),
        ("collection.completed", "partially_captured", "completed"),
        ("payment.refunded", "pending", "succeeded"),
        ("collection.unauthorized", "", ""),
    ]


def test_operation_tells_by_itself_how_it_has_ended(payment: Payment) -> None:
    services.capture_payment(payment)
    operations = payment.collection.operations.order_by("created_at", "id")
    assert [(row.kind, row.status) for row in operations] == [
        (kind, "succeeded") for kind in ("initiate", "authorize", "capture")
    ]
    assert all(row.finished_at is not None for row in operations)
    assert set(payment.collection.events.exclude(operation=None).values_list("type", flat=True)) == {
        "payment.captured"
    }


def test_event_points_at_its_row_and_at_those_above(payment: Payment) -> None:
    services.capture_payment(payment, amount="25.00")
    event = PaymentEvent.objects.get(type="payment.captured")
    assert event.capture == payment.captures.get()
    assert (event.payment, event.session, event.collection) == (payment, payment.session, payment.collection)
    assert (event.amount, event.operation) == (Decimal(25), payment.operations.get(kind="capture"))


def test_events_name_who_did_it_and_from_where(session: PaymentSession, staff: Any, card: Script) -> None:
    payment = services.authorize_payment_session(session, actor=AnonymousUser(), source="storefront").payment
    assert payment is not None
    services.capture_payment(payment, actor=staff, source="staff")
    told = set(
        session.collection.events.filter(type__startswith="payment.").values_list(
            "type", "source", "actor_label"
        )
    )
    assert told == {
        ("payment.authorized", "storefront", ""),
        ("payment.captured", "staff", "alice"),
    }
    operation = payment.operations.get(kind="capture")
    assert (operation.actor, operation.source) == (staff, "staff")


def test_facts_are_told_as_coming_from_where_they_came(session: PaymentSession) -> None:
    tell(session, AUTHORIZED, captured("100"))
    sources = set(PaymentEvent.objects.filter(type__startswith="payment.").values_list("source", flat=True))
    assert sources == {"webhook"}


def test_refusals_are_told_with_their_code_and_nothing_for_operators(payment: Payment, card: Script) -> None:
    card.next("capture", declined(CaptureResult))
    with pytest.raises(DeclinedError):
        services.capture_payment(payment)
    event = PaymentEvent.objects.get(type="capture.failed")
    assert (event.from_status, event.to_status, event.data) == (
        "pending",
        "failed",
        {"code": "card_declined"},
    )


def test_refused_verb_leaves_no_event(payment: Payment) -> None:
    before = PaymentEvent.objects.count()
    with pytest.raises(AmountError):
        services.refund_payment(payment)
    assert PaymentEvent.objects.count() == before


def test_changed_amounts_are_told_with_what_they_were(session: PaymentSession) -> None:
    services.update_payment_collection(session.collection, amount="120.00")
    collection_event = PaymentEvent.objects.get(type="collection.updated")
    session_event = PaymentEvent.objects.get(type="session.updated")
    assert Decimal(collection_event.data["old_amount"]) == Decimal(100)
    assert Decimal(session_event.data["old_amount"]) == Decimal(100)
    assert (collection_event.amount, session_event.amount) == (Decimal(120), Decimal(120))


def test_history_holds_nothing_of_the_private_data(payment: Payment) -> None:
    services.refund_payment(services.capture_payment(payment))
    assert f"secret_{payment.session_id}" not in str(list(PaymentEvent.objects.values()))
