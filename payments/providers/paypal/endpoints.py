"""Looking at the app's webhooks: does PayPal send what this provider needs, and under an id that is known?"""

from __future__ import annotations

from typing import Final

from payments.providers.endpoints import EndpointReport, leads_to
from payments.providers.paypal.client import PayPalApi
from payments.providers.paypal.errors import Json
from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.webhooks import EVENTS

ALL_EVENTS: Final = "*"


def endpoint_reports(options: PayPalOptions, *, path: str) -> list[EndpointReport]:
    """Return a report of each webhook whose address has this path.

    Raises RefusedError, ProviderUnavailableError and whatever a call to PayPal raises.
    """
    webhooks = PayPalApi(options).webhooks()
    return [_report(row, options) for row in webhooks if leads_to(row["url"], path)]


def _report(webhook: Json, options: PayPalOptions) -> EndpointReport:
    sent = {row["name"] for row in webhook["event_types"]}
    is_known = webhook["id"] in options.webhook_ids
    return EndpointReport(
        url=webhook["url"],
        missing=[] if ALL_EVENTS in sent else [name for name in EVENTS if name not in sent],
        problems=[] if is_known else [f'its id is not in the options: "webhook_ids": ["{webhook["id"]}"]'],
    )
