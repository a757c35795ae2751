"""What the tests of the ledger share: a scripted provider, and the shop itself as one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.results import scripted_providers


@pytest.fixture(autouse=True)
def _providers(settings: Any) -> None:
    settings.PAYMENTS = scripted_providers("card")
