"""Opening sessions at the simulator through its provider, up to the point at which a test begins."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from payments.providers import ProviderResult
from payments.providers.simulator import SimulatorOptions, SimulatorProvider
from payments.simulator import SimulatorService
from payments.states import Outcome
from payments.testing import Attempt, SessionDriver

IMPATIENCE = 0.3
"""How long a test waits for an answer that never comes, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Open sessions at one service."""

    service: SimulatorService

    def provider(self, **options: Any) -> SimulatorProvider:
        """Return a provider that talks to the service; `options` replace its own."""
        known = {
            "base_url": self.service.url,
            "api_key": self.service.settings.api_key,
            "webhook_secrets": list(self.service.settings.webhook_secrets),
        }
        return SimulatorProvider(alias="simulator", options=SimulatorOptions(**known | options))

    def start(self, amount: str = "100.00", currency_code: str = "eur", **sent: Any) -> SessionDriver:
        """Return the driver of a session that isn't initiated; `sent` is what the payer sends to authorize."""
        attempt = Attempt(amount=Decimal(amount), currency_code=currency_code, input=sent)
        return SessionDriver(provider=self.provider(), attempt=attempt)

    def initiated(self, amount: str = "100.00", currency_code: str = "eur", **sent: Any) -> SessionDriver:
        """Return the driver of an initiated session."""
        return _done(driver := self.start(amount, currency_code, **sent), driver.initiate())

    def authorized(self, amount: str = "100.00", currency_code: str = "eur") -> SessionDriver:
        """Return the driver of an authorized session."""
        return _done(driver := self.initiated(amount, currency_code), driver.authorize())

    def captured(self, amount: str = "100.00", currency_code: str = "eur") -> SessionDriver:
        """Return the driver of a wholly captured session."""
        return _done(driver := self.authorized(amount, currency_code), driver.capture())


def _done(driver: SessionDriver, result: ProviderResult) -> SessionDriver:
    assert result.outcome == Outcome.SUCCEEDED, result
    return driver


def post_form(url: str, **fields: str) -> tuple[int, str | None]:
    """Post a form as a browser does, and return the status and where it leads."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(
            "POST", target, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}
        )
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["Location"]
    finally:
        connection.close()
