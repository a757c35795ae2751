"""The provider for the simulator, a payment service for development and tests that misbehaves on request.

It reaches the service over HTTP like any other, and knows nothing of its inside (`payments.simulator`).
"""

from __future__ import annotations

from payments.providers.simulator.client import SimulatorOptions
from payments.providers.simulator.provider import SimulatorProvider

__all__ = ["SimulatorOptions", "SimulatorProvider"]
