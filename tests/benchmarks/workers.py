"""Measures the background jobs: `python -m tests.benchmarks.workers [--payments 1000000] [--due 1000 100000]`.

In a PostgreSQL database with so many payments, and with so many rows due, one worker and two take turns with some of
these rows; then as many more fall due. The time runs from the order to the last worker's end. The memory is the most
that a worker had, whatever it did before: all rounds of a job are done by the same processes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db import connection, connections

from tests.benchmarks import child, reports
from tests.benchmarks.databases import durability, own_database, own_url
from tests.databases import database_url

ROOT: Final = Path(__file__).resolve().parents[2]
BATCH: Final = 100
JOBS: Final = ("inbox", "reconciler", "outbox", "expiry", "charges")
WORKERS: Final = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The rows per second of so many workers of one job, as a median, and the most memory of one worker so far."""

    job: str
    due: int
    workers: int
    rows_per_second: float
    over_one: float
    peak_mib: float


class Worker:
    """A process that works off so many rows when it is told to."""

    def __init__(self, job: str, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.workers", "--url", url, "--job", job],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.peak_mib = 0.0
        self.answer()

    def order(self, rows: int) -> None:
        """Tell the worker to begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{rows}\n")
        self._process.stdin.flush()

    def answer(self) -> int:
        """Wait until it is done, and return how many rows it had."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "The worker has ended."
        rows, kib = map(int, line.split())
        self.peak_mib = kib / 1024
        return rows

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate(timeout=20)


def main(arguments: Sequence[str]) -> None:
    """Measure the jobs with one worker and with two, and report."""
    chosen = _arguments(arguments)
    if chosen.job:
        child.set_up(chosen.url, prepared=True)
        work(chosen.job)
        return
    with database_url("postgresql") as server:
        url = own_url(server, "workers")
        child.set_up(url, prepared=True)
        with own_database(server, "workers"):
            results = list(measure(url, chosen))
            described = durability(url)
            connections.close_all()
    reports.say(
        f"{described}; {chosen.payments:,} payments; {chosen.rounds} rounds of {chosen.rows:,} rows\n\n"
    )
    heads = ("job", "due", "workers", "rows/s", "÷ one worker", "MiB")
    reports.say(reports.table(heads, map(_row, results)))
    reports.write_json(
        chosen.json, database=described, payments=chosen.payments, rows=chosen.rows, results=results
    )


def measure(url: str, chosen: argparse.Namespace) -> Iterator[Result]:
    """Seed the database, and yield the figures of each job, with ever more rows due."""
    from tests.benchmarks.piles import Piles  # noqa: PLC0415 - models can be imported after the set-up only
    from tests.benchmarks.seed import seed  # noqa: PLC0415

    child.migrate()
    # Each turn but the last one is followed by another, for which as many rows fall due.
    each = max(chosen.due) + (len(chosen.due) * chosen.rounds * len(chosen.workers) - 1) * chosen.rows
    seed(connection, chosen.payments, unpaid=each * len({*chosen.jobs} - {"outbox"} or {"outbox"}))
    piles = Piles()
    for job in chosen.jobs:
        with ExitStack() as stack:
            workers = [Worker(job, url) for _ in range(max(chosen.workers))]
            for worker in workers:
                stack.callback(worker.end)
            left = 0
            for due in chosen.due:
                piles.add(job, due - left)
                with connection.cursor() as cursor:
                    cursor.execute("VACUUM ANALYZE")
                yield from _turns(job, due, workers, piles, chosen)
                left = due - chosen.rows


def _turns(
    job: str, due: int, workers: Sequence[Worker], piles: Any, chosen: argparse.Namespace
) -> Iterator[Result]:
    """Have one worker and two take turns, and yield the figures of either."""
    rates: dict[int, list[float]] = {number: [] for number in chosen.workers}
    for turn, number in enumerate(chosen.workers * chosen.rounds):
        piles.add(job, chosen.rows if turn else 0)
        rates[number].append(_rate(workers[:number], chosen.rows))
    medians = {number: statistics.median(found) for number, found in rates.items()}
    for number, rate in medians.items():
        yield Result(
            job=job,
            due=due,
            workers=number,
            rows_per_second=rate,
            over_one=rate / medians[chosen.workers[0]],
            peak_mib=max(worker.peak_mib for worker in workers[:number]),
        )


def _rate(workers: Sequence[Worker], rows: int) -> float:
    """Have workers share so many rows, and return how many they did per second."""
    started = time.perf_counter()
    for worker in workers:
        worker.order(rows // len(workers))
    done = sum(worker.answer() for worker in workers)
    seconds = time.perf_counter() - started
    assert done == rows, f"{done} of {rows} rows were worked on"
    return rows / seconds


def work(job: str) -> None:
    """Work off as many rows as each order says, and answer how many it was, and the most memory so far in KiB."""
    from payments import signals  # noqa: PLC0415 - it has models, which want Django set up
    from payments.services.background import jobs  # noqa: PLC0415

    signals.collection_created.connect(_hear)
    _answer(0)
    for order in sys.stdin:
        rows, done = int(order), 0
        while done < rows and (found := jobs.JOBS[job].run(min(BATCH, rows - done), lambda line: None)):
            done += found
        _answer(done)


def _answer(rows: int) -> None:
    # Not `getrusage`, whose figure is the parent's at first.
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{rows} {kib}\n")
    sys.stdout.flush()


def _hear(**_values: Any) -> None:
    """Be told of an event, and take a millisecond to write it down somewhere, as a shop does."""
    time.sleep(0.001)


def _row(row: Result) -> tuple[object, ...]:
    return (
        row.job,
        f"{row.due:,}",
        row.workers,
        f"{row.rows_per_second:.0f}",
        f"{row.over_one:.2f}",
        f"{row.peak_mib:.0f}",
    )


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, default=10_000, help="how many payments are there besides")
    parser.add_argument("--due", type=int, nargs="+", default=[1_000, 10_000], help="how many rows are due")
    parser.add_argument("--rows", type=int, default=600, help="how many of them are worked off in a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, choices=WORKERS, nargs="+", default=list(WORKERS))
    parser.add_argument("--jobs", choices=JOBS, nargs="+", default=JOBS)
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
