"""Looking at the account's webhook endpoints: does Stripe send what this provider needs?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from payments.providers.stripe.client import Json, StripeApi
from payments.providers.stripe.options import StripeOptions
from payments.providers.stripe.webhooks import EVENTS

ALL_EVENTS: Final = "*"


@dataclass(frozen=True, kw_only=True)
class EndpointReport:
    """Say what of an endpoint isn't as it should be; `other_version` is one whose events are only taken as hints."""

    url: str
    is_enabled: bool
    missing: Sequence[str]
    other_version: str | None

    @property
    def is_good(self) -> bool:
        """Whether everything that is needed arrives."""
        return self.is_enabled and not self.missing


def endpoint_reports(options: StripeOptions, *, path: str) -> list[EndpointReport]:
    """Return a report of each endpoint whose address has this path.

    Raises RefusedError, ProviderUnavailableError and whatever a call to Stripe raises.
    """
    endpoints = StripeApi(options).webhook_endpoints()
    return [_report(row, options) for row in endpoints if urlsplit(row["url"]).path == path]


def _report(endpoint: Json, options: StripeOptions) -> EndpointReport:
    enabled = endpoint["enabled_events"]
    missing = [] if ALL_EVENTS in enabled else [name for name in EVENTS if name not in enabled]
    version = endpoint["api_version"]
    return EndpointReport(
        url=endpoint["url"],
        is_enabled=endpoint["status"] == "enabled",
        missing=missing,
        other_version=None if version == options.api_version else version or "the account's default",
    )
