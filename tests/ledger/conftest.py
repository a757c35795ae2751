"""What the tests of the ledger share: a scripted provider, and the shop itself as one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.scripted import SCRIPTS

SCRIPTED = {"BACKEND": "tests.services.scripted.ScriptedProvider"}


@pytest.fixture(autouse=True)
def _providers(settings: Any) -> None:
    SCRIPTS.clear()
    settings.PAYMENTS = {
        "PROVIDERS": {"card": SCRIPTED, "system": {"BACKEND": "payments.providers.system.SystemProvider"}},
    }
