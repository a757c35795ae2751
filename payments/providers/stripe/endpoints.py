"""Looking at the account's webhook endpoints: does Stripe send what this provider needs?"""

from __future__ import annotations

from typing import Final

from payments.providers.endpoints import EndpointReport, leads_to
from payments.providers.stripe.client import Json, StripeApi
from payments.providers.stripe.options import StripeOptions
from payments.providers.stripe.webhooks import EVENTS

ALL_EVENTS: Final = "*"

_OTHER_VERSION: Final = "its events are in {}, so they are only taken as hints to ask Stripe"


def endpoint_reports(options: StripeOptions, *, path: str) -> list[EndpointReport]:
    """Return a report of each endpoint whose address has this path.

    Raises RefusedError, ProviderUnavailableError and whatever a call to Stripe raises.
    """
    endpoints = StripeApi(options).webhook_endpoints()
    return [_report(row, options) for row in endpoints if leads_to(row["url"], path)]


def _report(endpoint: Json, options: StripeOptions) -> EndpointReport:
    enabled = endpoint["enabled_events"]
    version = endpoint["api_version"]
    notes = (
        [] if version == options.api_version else [_OTHER_VERSION.format(version or "the account's default")]
    )
    return EndpointReport(
        url=endpoint["url"],
        missing=[] if ALL_EVENTS in enabled else [name for name in EVENTS if name not in enabled],
        problems=[] if endpoint["status"] == "enabled" else ["it is disabled"],
        notes=notes,
    )
