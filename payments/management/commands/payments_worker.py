"""Run all background work of payments in one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from payments.management.loops import LoopCommand
from payments.services.background.jobs import JOBS


class Command(LoopCommand):
    """The command of all jobs, or of those that are named."""

    help = "Run all background work of payments in one process; several may run side by side."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        super().add_arguments(parser)
        parser.add_argument("jobs", nargs="*", metavar="job", help=f"of {', '.join(JOBS)} (all)")

    def chosen(self, options: dict[str, Any]) -> Sequence[str]:
        """Return the named jobs, or all."""
        unknown = sorted(set(options["jobs"]) - set(JOBS))
        if unknown:
            self.stderr.write(f"There is no job {', '.join(unknown)}; there are {', '.join(JOBS)}.")
            raise SystemExit(2)
        return options["jobs"] or list(JOBS)
