"""The provider for Stripe: PaymentIntents, refunds and webhooks, through Stripe's own library.

Install the extra `stripe`: nothing imports this room unless a provider with its backend is configured.
"""

from __future__ import annotations

from payments.providers.stripe.options import StripeOptions
from payments.providers.stripe.provider import StripeProvider

__all__ = ["StripeOptions", "StripeProvider"]
