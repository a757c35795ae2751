"""Check that Stripe sends the events that the Stripe provider needs."""

from __future__ import annotations

from payments.management.endpoints import EndpointsCommand


class Command(EndpointsCommand):
    """The command that looks at the account's webhook endpoints."""

    help = "Check that Stripe sends the events that the Stripe provider needs."
    service = "Stripe"
    provider_class = "payments.providers.stripe.StripeProvider"
    default_alias = "stripe"
