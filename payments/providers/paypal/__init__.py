"""The provider for PayPal: orders, authorizations, captures, refunds and webhooks, over PayPal's REST API.

Install the extra `paypal`: nothing imports this room unless a provider with its backend is configured.
"""

from __future__ import annotations

from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.provider import PayPalProvider

__all__ = ["PayPalOptions", "PayPalProvider"]
