"""A service that all tests here share: each opens sessions of its own, and scripts faults for those alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments.simulator import SimulatorService
from payments.testing import SessionDriver, simulator_settings
from tests.providers.simulator.desk import Desk


@pytest.fixture(scope="session")
def _shared() -> Iterator[SimulatorService]:
    with SimulatorService(async_delay=None) as service:
        yield service


@pytest.fixture
def simulator(_shared: SimulatorService) -> Iterator[SimulatorService]:
    """Return the shared simulator, to which the provider `simulator` talks."""
    with simulator_settings(_shared):
        yield _shared
    _shared.clear_scenarios()


@pytest.fixture
def desk(simulator: SimulatorService) -> Desk:
    """Return what opens sessions at the simulator."""
    return Desk(service=simulator)


@pytest.fixture
def driver(desk: Desk) -> SessionDriver:
    """Return the driver of a session that isn't initiated."""
    return desk.start()
