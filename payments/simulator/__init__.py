"""A small payment service of its own, for development and tests: real HTTP, its own ledger, misbehaving on request.

It shares no code with the rest of `payments` and may not import any of it, so that it can be its oracle.
"""

from __future__ import annotations

from payments.simulator.engine import Totals
from payments.simulator.service import SimulatorService
from payments.simulator.webhooks import sign

__all__ = ["SimulatorService", "Totals", "sign"]
