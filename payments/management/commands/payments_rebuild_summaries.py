"""Add up all days anew, for the admin's overview."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payments.services.background.summaries import forget_all, sum_ended_days


class Command(BaseCommand):
    """The command that forgets what was kept of past days, and adds them up again."""

    help = "Add up all past days anew, for the admin's overview; needed only after rows were changed by hand."

    def handle(self, *args: Any, **options: Any) -> None:
        """Add up, and print how many days are done."""
        forget_all()
        total = 0
        while count := sum_ended_days(limit=100):
            total += count
            self.stdout.write(f"{total} days added up")
            self.stdout.flush()
        self.stdout.write(f"Done: {total} days.")
