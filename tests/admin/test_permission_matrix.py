"""Rows within a row are seen by whoever may view rows of their kind, in the admin as in the staff API."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from django.db import models
from django.test import Client

from payments.models import Capture, Payment, PaymentCollection, PaymentOperation, PaymentSession, Refund
from tests.admin.conftest import Viewer
from tests.admin.pages import html, page, text
from tests.api.pairs import daily

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

KINDS: tuple[type[models.Model], ...] = (PaymentSession, Payment, Capture, Refund, PaymentOperation)
WITHIN: dict[type[models.Model], type[models.Model]] = {Capture: Payment, Refund: Payment}
"""Which rows are shown within which others."""

SUBSETS: tuple[tuple[type[models.Model], ...], ...] = (
    *(subset for size in (0, 1, len(KINDS) - 1, len(KINDS)) for subset in combinations(KINDS, size)),
    (Payment, Capture),
    (Payment, Refund),
)


def mark(kind: type[models.Model]) -> str:
    return f"mark-of-a-{kind._meta.model_name}-row"


@pytest.fixture(autouse=True)
def _both_faces(configured: None, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.urls"


@pytest.fixture
def collection(lasting: PaymentCollection, db: None) -> PaymentCollection:
    for kind in KINDS:
        column = "detail" if kind is PaymentOperation else "provider_reference"
        row = kind._default_manager.order_by("pk").last()
        assert row is not None
        kind._default_manager.filter(pk=row.pk).update(**{column: mark(kind)})
    return PaymentCollection.objects.get(pk=lasting.pk)


def seen_in_the_admin(client: Client, row: models.Model) -> str:
    return text(html(client, page(row)))


def seen_in_the_api(client: Client, row: models.Model) -> str:
    kind = "payment-collections" if isinstance(row, PaymentCollection) else "payments"
    answer = client.get(f"/payments/staff/{kind}/{row.pk}/")
    assert answer.status_code == 200
    return json.dumps(answer.json())


FACES = {"admin": seen_in_the_admin, "api": seen_in_the_api}


def codename(kind: type[models.Model]) -> str:
    return f"view_{kind._meta.model_name}"


@pytest.mark.shows(
    "Staff who may view a collection, but not the rows within it", "those rows are in neither face"
)
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "allowed",
    daily(((each,) for each in SUBSETS), step=3),
    ids=lambda kinds: "+".join(kind.__name__ for kind in kinds),
)
def test_a_collection_shows_the_rows_within_it_by_their_own_permission(
    collection: PaymentCollection, viewer: Viewer, face: str, allowed: tuple[type[models.Model], ...]
) -> None:
    client = viewer("view_paymentcollection", *map(codename, allowed))
    seen = FACES[face](client, collection)
    for kind in KINDS:
        is_shown = kind is not PaymentOperation or face == "admin"
        expected = is_shown and kind in allowed and WITHIN.get(kind, kind) in allowed
        assert (mark(kind) in seen) == expected, kind


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("allowed", [(), (Capture,), (Refund,), (Capture, Refund)])
def test_a_payment_shows_its_movements_by_their_own_permission(
    collection: PaymentCollection, viewer: Viewer, face: str, allowed: tuple[type[models.Model], ...]
) -> None:
    client = viewer("view_payment", *map(codename, allowed))
    for kind in (Capture, Refund):
        movement = kind._default_manager.get(provider_reference=mark(kind))
        seen = FACES[face](client, movement.payment)
        assert (mark(kind) in seen) == (kind in allowed)
