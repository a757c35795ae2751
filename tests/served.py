"""What stands beside a running shop: a simulator that tells it what has become of a payment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payments.simulator import SimulatorService
from payments.testing import running_simulator


@contextmanager
def simulator_beside(site: str) -> Iterator[SimulatorService]:
    """Run a simulator that delivers to the shop at an address; what takes time there takes half a second."""
    with running_simulator(webhook_url=f"{site}/payments/webhooks/simulator/", async_delay=0.5) as service:
        yield service
