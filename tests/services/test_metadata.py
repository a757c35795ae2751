"""What a shop keeps of its own beside the rows it makes."""

from __future__ import annotations

import pytest

from payments import services
from payments.models import Capture, Payment, Refund
from payments.testing import Script

MOVED = {"warehouse": "north", "parcels": [1, 2]}


@pytest.fixture
def payment(transactional_db: None, script: Script) -> Payment:
    """A payment of a session that was made with metadata."""
    collection = services.create_payment_collection(amount="50.00", currency_code="eur")
    session = services.create_payment_session(
        collection, provider_id="scripted", metadata={"till": 4, "clerk": "Anna"}
    )
    assert session.metadata == {"till": 4, "clerk": "Anna"}
    authorized = services.authorize_payment_session(session).payment
    assert authorized is not None
    return authorized


def test_payment_takes_over_the_metadata_of_its_session(payment: Payment) -> None:
    payment.refresh_from_db()
    assert payment.metadata == {"till": 4, "clerk": "Anna"}


def test_each_movement_has_metadata_of_its_own(payment: Payment) -> None:
    services.capture_payment(payment, amount="20.00", metadata=MOVED)
    services.capture_payment(payment, amount="30.00")
    services.refund_payment(payment, amount="5.00", metadata={"ticket": "T-1"})
    captured = Capture.objects.order_by("created_at", "id").values_list("metadata", flat=True)
    assert list(captured) == [MOVED, {}]
    assert Refund.objects.get().metadata == {"ticket": "T-1"}


def test_providers_are_told_nothing_of_it(payment: Payment, script: Script) -> None:
    services.capture_payment(payment, metadata=MOVED)
    assert "Anna" not in str(script.requests("initiate")) + str(script.requests("authorize"))
    assert "north" not in str(script.requests("capture"))
