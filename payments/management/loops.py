"""What the background commands share: a loop that works off what is due, waits, and stops on a signal."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, router

from payments.models import PaymentCollection
from payments.providers.circuits import circuits
from payments.services.background.jobs import JOBS, Job

logger = logging.getLogger("payments.worker")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

TURN: Final = 60.0
"""For how many seconds a job works before it is the next one's turn."""


def positive_int(text: str) -> int:
    """Parse an option that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


class LoopCommand(BaseCommand):
    """A command that runs jobs again and again, or once; SIGTERM and Ctrl-C let the batch in hand finish.

    If a job fails, because the database is away for a moment, say, the other jobs and the next round run anyway. With
    `--once` the command then fails at the end.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="work off what is due now, then end")
        parser.add_argument("--limit", type=positive_int, default=100, help="rows of a batch (100)")
        parser.add_argument("--interval", type=_seconds, default=5.0, help="seconds between two looks (5)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until a signal comes, or once."""
        jobs = [JOBS[name] for name in self.chosen(options)]
        if not options["once"]:
            self._introduce(jobs, options["interval"])
        with _stop_on_signal() as stop, circuits():
            while not stop.is_set():
                counts = [self._work_off(job, options, stop) for job in jobs]
                if options["once"]:
                    self._fail_for(jobs, counts)
                    break
                if not any(counts):
                    stop.wait(options["interval"])
        self._say("Stopped." if stop.is_set() else "Done.")

    def chosen(self, options: dict[str, Any]) -> Sequence[str]:
        """Return the names of the jobs to run."""
        raise NotImplementedError

    def _introduce(self, jobs: Sequence[Job], interval: float) -> None:
        """Say what runs, how often and on which database, so that the log of an idle worker isn't empty."""
        database = connections[router.db_for_write(PaymentCollection)].settings_dict["NAME"]
        names = ", ".join(job.name for job in jobs)
        self._say(
            f"Running {names} on the database {database}, every {interval:g} s. Ctrl-C or SIGTERM stops it."
        )

    def _work_off(self, job: Job, options: dict[str, Any], stop: threading.Event) -> int | None:
        """Run batches of one job until one isn't full or a signal comes; return how many rows, None if it failed.

        After a while it is the next job's turn, unless each runs once.
        """
        total, ends = 0, math.inf if options["once"] else time.monotonic() + TURN
        _close_old_connections()
        try:
            while not stop.is_set() and time.monotonic() < ends:
                count = job.run(options["limit"], lambda line: self._tell(options, line))
                total += count
                if count < options["limit"]:
                    break
        except Exception:
            logger.exception("The job %s failed; the next round tries again.", job.name)
            self.stderr.write(f"{job.name}: failed")
            return None
        if total or options["once"]:
            self._say(f"{job.name}: {total}")
        return total

    def _fail_for(self, jobs: Sequence[Job], counts: Sequence[int | None]) -> None:
        failed = [job.name for job, count in zip(jobs, counts, strict=True) if count is None]
        if failed:
            raise CommandError(f"Failed: {', '.join(failed)}. The log says why.")

    def _tell(self, options: dict[str, Any], line: str) -> None:
        if options["verbosity"] > 1:
            self._say(f"  {line.strip()}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # a log that is a pipe would otherwise get it much later


class OlderName(LoopCommand):
    """A command that had one job to itself: it works off what is due, and says which command does so now."""

    job_name: str

    @property
    def help(self) -> str:  # type: ignore[override]  # Django's is a plain attribute
        """What the command does, and what to type instead."""
        return f"An older name of `payments_worker {self.job_name} --once`."

    def chosen(self, options: dict[str, Any]) -> Sequence[str]:
        """Return the one job, which runs once."""
        options["once"] = True
        self.stderr.write(f"{self.help} Use that instead.")
        return [self.job_name]


def _close_old_connections() -> None:
    """Close connections that are broken or too old, as Django does only for requests.

    A connection with an open transaction is left alone: it belongs to a test that runs the command inside of its own.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and Ctrl-C set inside the block; only the main thread receives signals."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_args: stop.set()) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
