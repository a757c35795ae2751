"""A running simulator that the shop's own settings point to, for as long as a test needs it.

It isn't a pytest plug-in, so that nothing happens unasked. A shop puts this into its `conftest.py`:

    from collections.abc import Iterator

    import pytest

    from payments.simulator import SimulatorService
    from payments.testing import running_simulator

    @pytest.fixture
    def simulator() -> Iterator[SimulatorService]:
        with running_simulator() as service:
            yield service

and then, in a test, orders misbehaviour and asks the service's own ledger what really happened:

    @pytest.mark.django_db
    def test_an_unanswered_capture_stays_reserved(simulator, payment):
        simulator.script(operation="capture", fault="timeout_after")
        with pytest.raises(OutcomeUnknownError):
            capture_payment(payment)
        assert simulator.totals(payment.session_id).captured == 10000

A test that wants webhooks delivered gives the address of its live server:

    with running_simulator(webhook_url=f"{live_server.url}/payments/webhooks/simulator/") as service:
        ...
        assert service.wait_for_webhooks()

With unittest: `self.simulator = self.enterContext(running_simulator())` in `setUp`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from payments.simulator import SimulatorService
from payments.testing.scripted import configured_provider

BACKEND: Final = "payments.providers.simulator.SimulatorProvider"


@contextmanager
def running_simulator(
    *, alias: str = "simulator", timeout: float = 10.0, **service: Any
) -> Iterator[SimulatorService]:
    """Start a simulator and have the provider `alias` talk to it inside the block.

    `timeout` is the provider's, in seconds; every other argument is one of `SimulatorService`. Nothing settles by
    itself unless `async_delay` says after how many seconds, so a test decides when: `service.settle(...)`.
    """
    with (
        SimulatorService(**{"async_delay": None, **service}) as running,
        simulator_settings(running, alias=alias, timeout=timeout),
    ):
        yield running


@contextmanager
def simulator_settings(
    service: SimulatorService, *, alias: str = "simulator", **options: Any
) -> Iterator[None]:
    """Have the provider `alias` talk to a running simulator inside the block.

    `options` are those of `SimulatorOptions` that are to differ from what the service has, such as `timeout` in
    seconds, or a wrong `api_key`.
    """
    known = {
        "base_url": service.url,
        "api_key": service.settings.api_key,
        "webhook_secrets": list(service.settings.webhook_secrets),
    }
    with configured_provider(alias, {"BACKEND": BACKEND, "OPTIONS": known | options}):
        yield
