"""What the commands share that look whether a payment service sends the events that its provider needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import NoReverseMatch
from django.utils.module_loading import import_string

from payments.addresses import address_of
from payments.exceptions import PaymentError
from payments.providers import get_provider
from payments.providers.base import EndpointReport


class _WithEndpoints(Protocol):
    """Be a provider that can be looked at."""

    @property
    def webhook_events(self) -> Sequence[str]: ...
    def endpoint_reports(self, *, path: str) -> Sequence[EndpointReport]: ...


class EndpointsCommand(BaseCommand):
    """Look at the addresses that a service sends its events to, change nothing, and fail where an event is missing.

    The provider's class is given as a path, since what it needs may not be installed.
    """

    service: ClassVar[str]
    provider_class: ClassVar[str]
    default_alias: ClassVar[str]

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        alias = self.default_alias
        parser.add_argument("--provider", default=alias, help=f"alias of the provider ({alias})")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is missing."""
        provider = self._provider(options["provider"])
        try:
            path = address_of("webhook", options["provider"])
        except NoReverseMatch as error:
            raise CommandError(f"{error} No event of {self.service} can arrive.") from error
        try:
            reports = provider.endpoint_reports(path=path)
        except PaymentError as error:
            raise CommandError(f"{self.service} doesn't tell: {error.code}.") from error
        except Exception as error:
            raise CommandError(f"{self.service} gave no usable answer: {type(error).__name__}.") from error
        if not reports:
            events = "\n  ".join(provider.webhook_events)
            raise CommandError(
                f"No endpoint of the account has the path {path}. Add one with these events:\n  {events}"
            )
        for report in reports:
            self._print(report)
        if not all(report.is_good for report in reports):
            raise CommandError(f"{self.service} doesn't send all that is needed.")

    def _provider(self, alias: str) -> _WithEndpoints:
        try:
            provider: Any = get_provider(alias)
        except (PaymentError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        if not self._is_of_this_service(provider):
            raise CommandError(f"The provider {alias!r} is not {self.service}.")
        return provider  # type: ignore[no-any-return] # which the class says

    def _is_of_this_service(self, provider: Any) -> bool:
        try:
            return isinstance(provider, import_string(self.provider_class))
        except ImportError:
            return False

    def _print(self, report: EndpointReport) -> None:
        self.stdout.write(f"{report.url}: {'complete' if report.is_good else 'not complete'}")
        missing = (f"missing: {name}" for name in report.missing)
        for line in (*report.problems, *missing, *report.notes):
            self.stdout.write(f"  {line}")
