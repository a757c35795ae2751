"""Check that PayPal sends the events that the PayPal provider needs, under an id that is in its options."""

from __future__ import annotations

from payments.management.endpoints import EndpointsCommand


class Command(EndpointsCommand):
    """The command that looks at the app's webhooks."""

    help = "Check that PayPal sends the events that the PayPal provider needs."
    service = "PayPal"
    provider_class = "payments.providers.paypal.PayPalProvider"
    default_alias = "paypal"
