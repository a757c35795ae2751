"""Check that Stripe sends the events that the Stripe provider needs."""

from __future__ import annotations

from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from payments.exceptions import PaymentError
from payments.providers import get_provider

try:
    from payments.providers.stripe import StripeProvider
    from payments.providers.stripe.endpoints import EndpointReport, endpoint_reports
    from payments.providers.stripe.webhooks import EVENTS
except ImportError as error:
    raise CommandError(
        "Stripe's library isn't installed: pip install 'django-payment-sessions[stripe]'"
    ) from error

DEFAULT_ALIAS: Final = "stripe"


class Command(BaseCommand):
    """Look at the account's webhook endpoints, change nothing, and fail where an event is missing."""

    help = "Check that Stripe sends the events that the Stripe provider needs."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--provider", default=DEFAULT_ALIAS, help="alias of the provider (stripe)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is missing."""
        provider = self._provider(options["provider"])
        path = reverse("payments:webhook", args=[provider.alias])
        try:
            reports = endpoint_reports(provider.options, path=path)
        except PaymentError as error:
            raise CommandError(f"Stripe doesn't tell: {error.code}.") from error
        except Exception as error:
            raise CommandError(f"Stripe gave no usable answer: {type(error).__name__}.") from error
        if not reports:
            raise CommandError(self._advice(path))
        for report in reports:
            self._print(report)
        if not all(report.is_good for report in reports):
            raise CommandError("Stripe doesn't send all that is needed.")

    def _provider(self, alias: str) -> StripeProvider:
        try:
            provider = get_provider(alias)
        except (PaymentError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        if not isinstance(provider, StripeProvider):
            raise CommandError(f"The provider {alias!r} is not Stripe.")
        return provider

    def _advice(self, path: str) -> str:
        events = "\n  ".join(EVENTS)
        return f"No endpoint of the account has the path {path}. Add one with these events:\n  {events}"

    def _print(self, report: EndpointReport) -> None:
        self.stdout.write(f"{report.url}: {'complete' if report.is_good else 'not complete'}")
        if not report.is_enabled:
            self.stdout.write("  it is disabled")
        for name in report.missing:
            self.stdout.write(f"  missing: {name}")
        if report.other_version is not None:
            self.stdout.write(
                f"  its events are in {report.other_version}, so they are only taken as hints to ask Stripe"
            )
