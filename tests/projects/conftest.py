"""What the tests of other projects share."""

from __future__ import annotations

import pytest

from payments.testing import Script


@pytest.fixture(autouse=True)
def _scripted(script: Script) -> None:
    """Have the provider `scripted` among the settings."""
