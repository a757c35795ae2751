"""Clear the contents of old webhook events, and delete expired idempotency records."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from payments.management.loops import positive_int
from payments.services.background.jobs import prune


class Command(BaseCommand):
    """The command that clears what has been stored long enough."""

    help = "Clear the contents of old webhook events, and delete expired idempotency records."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--days", type=positive_int, default=90, help="age of events to clear, in days (90)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune and print how much."""
        report = prune(events_older_than=timedelta(days=options["days"]))
        self.stdout.write(
            f"{report.cleared_events} events cleared, {report.deleted_records} idempotency records deleted."
        )
