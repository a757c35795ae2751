"""What the tests of the services share: two scripted providers, and rows in the states that tests start from."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from payments import services
from payments.models import PaymentCollection, PaymentProvider, PaymentSession
from payments.testing import Script
from tests.services.results import SCRIPTS, scripted_providers


@pytest.fixture(autouse=True)
def _providers(settings: Any) -> None:
    settings.PAYMENTS = scripted_providers("card", "wallet")


@pytest.fixture
def card() -> Script:
    """What the provider `card` answers and was asked."""
    return SCRIPTS["card"]


@pytest.fixture
def wallet() -> Script:
    """What the provider `wallet` answers and was asked."""
    return SCRIPTS["wallet"]


@pytest.fixture
def rows(db: None) -> None:
    """Have a row for every configured provider."""
    PaymentProvider.objects.bulk_create(PaymentProvider(pk=alias) for alias in ("card", "wallet", "system"))


@pytest.fixture
def collection(rows: None) -> PaymentCollection:
    """Return a collection of 100.00 euros."""
    return services.create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, not authorized yet."""
    return services.create_payment_session(collection, provider_id="card")


@pytest.fixture
def staff(db: None) -> Any:
    """Return a user who works at the shop."""
    return get_user_model().objects.create_user("alice", email="alice@shop.example", is_staff=True)


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker of tests that need a database with row locks."""
    config.addinivalue_line("markers", "row_locks: needs row locks, so it doesn't run on SQLite.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what SQLite, which locks the whole file, can't show."""
    if config.getoption("database") != "sqlite":
        return
    left_out = [item for item in items if item.get_closest_marker("row_locks")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
