"""What test suites of shops and of third-party providers need: a contract, a scripted provider, a simulator, factories.

Install the extra `testing`. The factories are imported from `payments.testing.factories`, because they need Django's
apps to be loaded; everything else is here. Nothing in here may be imported by code that isn't a test.
"""

from __future__ import annotations

import pytest

# The contract's plain asserts explain themselves only if pytest rewrites them, which it does before the first import.
pytest.register_assert_rewrite("payments.testing.contract")

from payments.testing.contract import Attempt, ProviderContract, SessionDriver  # noqa: E402
from payments.testing.scripted import Script, ScriptedProvider, configured_provider, scripted_provider  # noqa: E402
from payments.testing.simulator import running_simulator, simulator_settings  # noqa: E402

__all__ = [
    "Attempt",
    "ProviderContract",
    "Script",
    "ScriptedProvider",
    "SessionDriver",
    "configured_provider",
    "running_simulator",
    "scripted_provider",
    "simulator_settings",
]
