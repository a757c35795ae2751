"""Check that Stripe sends the events that the Stripe provider needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, runtime_checkable

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from payments.exceptions import PaymentError
from payments.providers import get_provider

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
        path = reverse("payments:webhook", args=[options["provider"]])
        try:
            reports = provider.endpoint_reports(path=path)
        except PaymentError as error:
            raise CommandError(f"Stripe doesn't tell: {error.code}.") from error
        except Exception as error:
            raise CommandError(f"Stripe gave no usable answer: {type(error).__name__}.") from error
        if not reports:
            events = "\n  ".join(provider.webhook_events)
            raise CommandError(
                f"No endpoint of the account has the path {path}. Add one with these events:\n  {events}"
            )
        for report in reports:
            self._print(report)
        if not all(report.is_good for report in reports):
            raise CommandError("Stripe doesn't send all that is needed.")

    def _provider(self, alias: str) -> _WithEndpoints:
        try:
            provider = get_provider(alias)
        except (PaymentError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        if not isinstance(provider, _WithEndpoints):
            raise CommandError(f"The provider {alias!r} is not Stripe.")
        return provider

    def _print(self, report: _Report) -> None:
        self.stdout.write(f"{report.url}: {'complete' if report.is_good else 'not complete'}")
        if not report.is_enabled:
            self.stdout.write("  it is disabled")
        for name in report.missing:
            self.stdout.write(f"  missing: {name}")
        if report.other_version is not None:
            self.stdout.write(
                f"  its events are in {report.other_version}, so they are only taken as hints to ask Stripe"
            )


class _Report(Protocol):
    """Be what is printed; the class itself isn't imported, since Stripe's library may not be installed."""

    @property
    def url(self) -> str: ...
    @property
    def is_enabled(self) -> bool: ...
    @property
    def is_good(self) -> bool: ...
    @property
    def missing(self) -> Sequence[str]: ...
    @property
    def other_version(self) -> str | None: ...


@runtime_checkable
class _WithEndpoints(Protocol):
    """Be the provider that can be looked at."""

    @property
    def webhook_events(self) -> Sequence[str]: ...
    def endpoint_reports(self, *, path: str) -> Sequence[_Report]: ...
