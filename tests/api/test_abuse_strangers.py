"""Another's answers: nobody gets one by knowing the owner's `Idempotency-Key`, an id, or a secret of something else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from payments import services
from payments.api.storefront.access import client_secret
from payments.models import Payment
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.evidence import Snapshot
from tests.api.routes import STAFF, STOREFRONT, filled, keys_of
from tests.shop.models import Order

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

NOT_FOUND: tuple[Any, ...] = (404, "not_found", "not_found", [])


@pytest.fixture
def strangers(db: None) -> list[Visitor]:
    """Return nobody, a customer and an operator without permissions, each also with the secret of what is theirs."""
    users = get_user_model().objects
    visitors = [
        None,
        users.create_user("mallory"),
        users.create_user("clerk", is_staff=True),
    ]
    own = [
        services.create_payment_collection(amount="1", currency_code="eur", customer=user)
        for user in visitors
    ]
    return [Visitor(user=user) for user in visitors] + [
        Visitor(user=user, secret=client_secret(mine.pk)) for user, mine in zip(visitors, own, strict=True)
    ]


@pytest.mark.shows(
    "At every address: the owner's `Idempotency-Key` and body again, from strangers who know the ids too",
    "The refusal of nowhere, never the owner's answer; nothing is stored, and no provider is asked",
)
def test_no_stranger_gets_the_owners_answer_by_the_owners_key(
    owner: Visitor, payment: Payment, strangers: list[Visitor], script: Script
) -> None:
    Order.objects.update(customer=owner.user)
    keys = keys_of(payment)
    posts = [route for route in (*STOREFRONT, *STAFF) if route.method == "POST"]
    # What a customer starts at a provider is the customer's own: tests/api/storefront/test_saved_methods.py.
    posts = [route for route in posts if "saved-payment-methods" not in route.path]

    for number, route in enumerate(posts):
        owner.headers = {"Idempotency-Key": f"key-{number}"}
        assert owner.post(filled(route.path, keys), filled(route.body, keys)).status < 500
    before, calls = Snapshot(), len(script.calls)
    for number, route in enumerate(posts):
        answers = []
        for stranger in strangers:
            stranger.headers = {**stranger.headers, "Idempotency-Key": f"key-{number}"}
            answers.append(stranger.post(filled(route.path, keys), filled(route.body, keys)))

        for answer in answers:
            assert "Idempotent-Replayed" not in answer.headers, route
            assert answer.body["code"] in (
                "not_found",
                "not_authenticated",
                "permission_denied",
                "unknown_reference",
            ), route
            if "{" in route.path and route in STOREFRONT:
                assert answer.error == NOT_FOUND
                assert answer.raw == answers[0].raw
    changes = {text for text in before.changes if not text.startswith("payments.IdempotencyRecord")}
    assert (changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "A collection's secret with the id of a session of another collection, and the other way round",
    "404, as for what isn't there",
)
def test_a_secret_opens_no_session_of_another_collection(payment: Payment, owner: Visitor) -> None:
    mine = services.create_payment_collection(amount="1", currency_code="eur")
    session = services.create_payment_session(mine, provider_id="scripted")
    thief = Visitor(secret=client_secret(mine.pk))

    assert thief.get(f"storefront/payment-sessions/{session.pk}/").status == 200
    assert thief.get(f"storefront/payment-sessions/{payment.session_id}/").error == NOT_FOUND
    assert owner.get(f"storefront/payment-sessions/{session.pk}/").error == NOT_FOUND
    assert thief.get(f"storefront/payment-collections/{payment.collection_id}/").error == NOT_FOUND
    assert thief.get(f"storefront/payment-collections/{session.pk}/").error == NOT_FOUND
