"""What the background commands share: a loop that works off what is due, waits, and stops when it is told to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from payments.services.jobs import JOBS, Job


class LoopCommand(BaseCommand):
    """Run jobs again and again, or once; SIGTERM and Ctrl-C let the batch in hand finish."""

    job_names: Sequence[str] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="work off what is due now, then end")
        parser.add_argument("--limit", type=int, default=100, help="rows of a batch (100)")
        parser.add_argument("--interval", type=float, default=5.0, help="seconds between two looks (5)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until told to stop."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_args: stop.set())
        jobs = [JOBS[name] for name in self.chosen(options)]
        while not stop.is_set():
            worked = sum(self._work_off(job, options, stop) for job in jobs)
            if options["once"]:
                break
            if not worked:
                stop.wait(options["interval"])
        self.stdout.write("Stopped." if stop.is_set() else "Done.")

    def chosen(self, options: dict[str, Any]) -> Sequence[str]:
        """Return the names of the jobs to run."""
        return self.job_names

    def _work_off(self, job: Job, options: dict[str, Any], stop: threading.Event) -> int:
        """Run batches of one job until a batch isn't full, or it is time to stop."""
        total = 0
        while not stop.is_set():
            count = job.run(options["limit"], lambda line: self._tell(options, line))
            total += count
            if count < options["limit"]:
                break
        if total or options["once"]:
            self.stdout.write(f"{job.name}: {total}")
        return total

    def _tell(self, options: dict[str, Any], line: str) -> None:
        if options["verbosity"] > 1:
            self.stdout.write(f"  {line.strip()}")
