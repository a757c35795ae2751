"""Refund reasons: made, changed, and gone, unless a refund was made for them."""

from __future__ import annotations

from typing import Any

import pytest

from payments import services
from payments.models import Payment, RefundReason
from tests.api.client import Visitor

pytestmark = pytest.mark.django_db

PATH = "staff/refund-reasons/"


@pytest.fixture
def reason(db: None) -> RefundReason:
    return RefundReason.objects.create(label="Damaged", description="In transit", metadata={"code": 7})


def test_a_reason_is_created_and_shown(boss: Visitor) -> None:
    created = boss.post(PATH, {"label": "Damaged", "description": "In transit", "metadata": {"code": 7}})

    assert created.status == 201
    assert set(created.body) == {"id", "label", "description", "metadata", "created_at", "updated_at"}
    assert boss.get(f"{PATH}{created.body['id']}/").body == created.body
    assert boss.get(PATH).body["results"] == [created.body]


def test_a_reason_is_changed_in_part_or_as_a_whole(boss: Visitor, reason: RefundReason) -> None:
    patched = boss.patch(f"{PATH}{reason.pk}/", {"description": "By us"}).body
    put = boss.send("PUT", f"{PATH}{reason.pk}/", {"label": "Broken"}).body

    assert (patched["label"], patched["description"], patched["metadata"]) == (
        "Damaged",
        "By us",
        {"code": 7},
    )
    assert (put["label"], put["description"], put["metadata"]) == ("Broken", "", {})


@pytest.mark.database_independent
def test_a_change_of_nothing_is_refused(boss: Visitor, reason: RefundReason) -> None:
    refused = boss.patch(f"{PATH}{reason.pk}/", {})

    assert refused.error == (400, "invalid_request", "nothing_to_change", [])


def test_a_reason_that_nobody_used_is_deleted(boss: Visitor, reason: RefundReason) -> None:
    deleted = boss.send("DELETE", f"{PATH}{reason.pk}/")

    assert (deleted.status, deleted.raw) == (204, b"")
    assert not RefundReason.objects.exists()


def test_a_reason_that_a_refund_was_made_for_stays(
    boss: Visitor, captured: Payment, reason: RefundReason
) -> None:
    services.refund_payment(captured, reason=reason)

    refused = boss.send("DELETE", f"{PATH}{reason.pk}/")

    assert refused.error == (409, "conflict", "refund_reason_in_use", [])
    assert RefundReason.objects.exists()


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "label", "required"),
        ({"label": ""}, "label", "blank"),
        ({"label": "x" * 256}, "label", "max_length"),
        ({"label": "Damaged"}, "label", "not_unique"),
        ({"label": "a\u0000"}, "label", "null_characters_not_allowed"),
        ({"label": "New", "id": "refr_1"}, "id", "unknown_field"),
        ({"label": "New", "metadata": "text"}, "metadata", "not_an_object"),
    ],
)
def test_a_reason_that_can_not_be_is_refused(
    boss: Visitor, reason: RefundReason, body: dict[str, Any], field: str, code: str
) -> None:
    refused = boss.post(PATH, body)

    assert refused.error == (400, "invalid_request", code, [(field, code)])
    assert RefundReason.objects.count() == 1


def test_a_label_is_not_changed_into_one_that_is_taken(boss: Visitor, reason: RefundReason) -> None:
    other = RefundReason.objects.create(label="Late")

    refused = boss.patch(f"{PATH}{other.pk}/", {"label": "Damaged"})

    assert refused.error[:3] == (400, "invalid_request", "not_unique")
