"""Answers that are given again: never more than the asker may see now, and no secret that was kept for them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from payments import services
from payments.models import IdempotencyRecord, Payment, PaymentCollection, PaymentOperation
from payments.providers import InitiateResult
from payments.states import Outcome
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder
from tests.api.evidence import database_texts, with_traces
from tests.api.pairs import daily
from tests.api.routes import STAFF, Route, filled, keys_of
from tests.shop.models import Order

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

OPENING = "storefront/payment-collections/"
PRIVATE = {"provider_data", "context", "input", "exchange", "fact"}
KEY = {"Idempotency-Key": "once"}


def without_private(value: Any) -> Any:
    """Return an answer as it is for who lacks the permission view_provider_data."""
    if isinstance(value, dict):
        return {name: without_private(inner) for name, inner in value.items() if name not in PRIVATE}
    return [without_private(inner) for inner in value] if isinstance(value, list) else value


def names_in(value: Any) -> set[str]:
    """Return all names of an answer's objects, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    return set().union(*map(names_in, value)) if isinstance(value, list) else set()


@pytest.fixture
def sam(shopper: Any, make_order: MakeOrder) -> Visitor:
    """Return the shopper, who owes the order A-1 and sends all under one key."""
    make_order(customer=shopper)
    visitor = Visitor(user=shopper)
    visitor.headers |= KEY
    return visitor


@pytest.mark.parametrize("route", daily(route for route in STAFF if route.method == "POST"), ids=str)
def test_a_replay_hides_what_its_asker_may_not_see_any_more(
    owner: Visitor, payment: Payment, route: Route
) -> None:
    keys = keys_of(payment)
    if "refund/" in route.path:
        services.capture_payment(payment, amount="10.00")
    if "resolve" in route.path:
        operation = PaymentOperation.objects.get(pk=keys["operation"])
        operation.require_attention(detail="unresolved")
        operation.save()
    if "correct" in route.path:
        PaymentOperation.objects.filter(pk=keys["operation"]).update(resolution_reason="Seen.")
        Payment.objects.filter(pk=payment.pk).update(is_by_person=True)
    if "mark-as-paid" in route.path:
        services.update_payment_collection(payment.collection, amount="120.00")
    path, body = filled(route.path, keys), filled(route.body, keys)
    owner.headers |= KEY
    first = owner.post(path, body)
    assert first.status in (200, 201), first.body

    allowed = Permission.objects.filter(content_type__app_label="payments")
    owner.user.user_permissions.set(allowed.exclude(codename="view_provider_data"))
    owner.user.is_superuser = False
    owner.user.save()
    again = owner.post(path, body)

    assert (again.status, again.headers["Idempotent-Replayed"]) == (first.status, "true")
    assert not names_in(again.body) & PRIVATE
    assert again.body == without_private(first.body)
    owner.user.is_superuser = True
    owner.user.save()
    assert owner.post(path, body).body == first.body


def test_a_replay_publishes_only_what_the_provider_declares_now(
    guest: Visitor, collection: PaymentCollection, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.next("initiate", InitiateResult(outcome=Outcome.SUCCEEDED, data={"client_token": "t"}))
    guest.headers |= KEY
    path, body = f"{OPENING}{collection.pk}/payment-sessions/", {"provider_id": "scripted"}
    first = guest.post(path, body)
    assert first.body["data"] == {"client_token": "t"}

    monkeypatch.setattr("payments.testing.scripted.ScriptedProvider.public_data_keys", frozenset())

    assert guest.post(path, body).body == first.body | {"data": {}}


def test_a_client_secret_is_not_stored_and_told_anew(sam: Visitor, shopper: Any, settings: Any) -> None:
    first = sam.post(OPENING, {"reference": "A-1"})
    assert first.status == 201
    assert IdempotencyRecord.objects.get().response_status == 201
    assert with_traces(database_texts(), ["paycs_"]) == []

    assert sam.post(OPENING, {"reference": "A-1"}).body == first.body
    settings.SECRET_KEY = "another"
    sam.client.force_login(shopper)
    again = sam.post(OPENING, {"reference": "A-1"})

    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.body == first.body | {"client_secret": again.body["client_secret"]}
    path = f"{OPENING}{first.body['id']}/"
    assert Visitor(secret=again.body["client_secret"]).get(path).status == 200
    assert Visitor(secret=first.body["client_secret"]).get(path).status == 404


def test_no_secret_is_told_again_once_the_shop_has_given_the_order_to_another(sam: Visitor) -> None:
    assert sam.post(OPENING, {"reference": "A-1"}).status == 201
    Order.objects.update(customer=get_user_model().objects.create_user("mallory"))

    refused = sam.post(OPENING, {"reference": "A-1"})

    assert refused.error[:3] == (400, "invalid_request", "unknown_reference")
    assert "Idempotent-Replayed" not in refused.headers
