"""Providers: listed, switched off and on."""

from __future__ import annotations

import pytest

from payments.models import PaymentProvider
from tests.api.client import Visitor

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

PATH = "staff/payment-providers/"


def test_configured_providers_come_first_and_those_that_are_gone_last(boss: Visitor) -> None:
    PaymentProvider.objects.create(pk="adyen")

    rows = boss.get(PATH).body["results"]

    assert set(rows[0]) == {"id", "name", "is_enabled", "is_configured", "created_at", "updated_at"}
    assert [(row["id"], row["is_configured"]) for row in rows] == [
        ("system", True),
        ("simulator", True),
        ("scripted", True),
        ("adyen", False),
    ]


def test_a_provider_is_disabled_and_enabled(boss: Visitor) -> None:
    disabled = boss.post(f"{PATH}system/disable/")
    listed_without = Visitor().get("storefront/payment-providers/").body["results"]
    enabled = boss.post(f"{PATH}system/enable/")
    listed_with = Visitor().get("storefront/payment-providers/").body["results"]

    assert (disabled.body["is_enabled"], enabled.body["is_enabled"]) == (False, True)
    assert "system" not in {row["id"] for row in listed_without}
    assert "system" in {row["id"] for row in listed_with}
