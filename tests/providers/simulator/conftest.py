"""A service that all tests here share: each opens sessions of its own, and scripts faults for those alone."""

from __future__ import annotations

import pytest

from payments.simulator import SimulatorService
from payments.testing import SessionDriver
from tests.providers.simulator.desk import Desk


@pytest.fixture
def desk(simulator: SimulatorService) -> Desk:
    """Return what opens sessions at the simulator."""
    return Desk(service=simulator)


@pytest.fixture
def driver(desk: Desk) -> SessionDriver:
    """Return the driver of a session that isn't initiated."""
    return desk.start()
