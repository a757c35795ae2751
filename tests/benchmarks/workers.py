"""Measures how much a second worker helps: `python -m tests.benchmarks.workers [--database NAME]`.

One worker and two take turns with piles of the same size: webhook events that tell of an authorization, for the inbox,
and events that a receiver has to be told of, for the outbox. The time runs from the order to the last worker's end.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.db import connections
from django.utils import timezone

from tests.benchmarks import child, reports
from tests.benchmarks.databases import durability, own_database, own_url
from tests.databases import DATABASES, database_url

ROOT: Final = Path(__file__).resolve().parents[2]
BATCH: Final = 50


@dataclass(frozen=True, kw_only=True)
class Result:
    """The rows per second of so many workers of one job, as a median, and how that compares with one worker."""

    job: str
    workers: int
    rows_per_second: float
    over_one: float


class Worker:
    """A process that works off a pile when it is told to."""

    def __init__(self, job: str, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.workers", "--url", url, "--job", job],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def order(self) -> None:
        """Tell the worker to begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def answer(self) -> int:
        """Wait until it is done, and return how many rows it had."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "The worker has ended."
        return int(line)

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate(timeout=20)


def main(arguments: Sequence[str]) -> None:
    """Measure both jobs with one worker and with two, and report."""
    chosen = _arguments(arguments)
    if chosen.job:
        child.set_up(chosen.url, prepared=True)
        work(JOBS[chosen.job])
        return
    with database_url(chosen.database) as server:
        url = own_url(server, "workers")
        child.set_up(url, prepared=True)
        with own_database(server, "workers"):
            child.migrate()
            results = [result for job in JOBS for result in measure(job, url, chosen.rows, chosen.rounds)]
            described = durability(url)
            connections.close_all()
    reports.say(f"{described}; {chosen.rounds} rounds of {chosen.rows} rows\n\n")
    cells = [(row.job, row.workers, f"{row.rows_per_second:.0f}", f"{row.over_one:.2f}") for row in results]
    reports.say(reports.table(("job", "workers", "rows/s", "÷ one worker"), cells))
    reports.write_json(chosen.json, database=described, rows=chosen.rows, results=results)


def measure(job: str, url: str, rows: int, rounds: int) -> Iterator[Result]:
    """Have one worker and two take turns, and yield the figures of either."""
    with ExitStack() as stack:
        workers = [Worker(job, url) for _ in range(2)]
        for worker in workers:
            stack.callback(worker.end)
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for number, found in rates.items():
                JOBS[job].fill(rows)
                found.append(_rate(workers[:number], rows))
    one = statistics.median(rates[1])
    for number, found in rates.items():
        rate = statistics.median(found)
        yield Result(job=job, workers=number, rows_per_second=rate, over_one=rate / one)


def _rate(workers: Sequence[Worker], rows: int) -> float:
    """Have workers work off a pile, and return how many rows they did per second."""
    started = time.perf_counter()
    for worker in workers:
        worker.order()
    done = sum(worker.answer() for worker in workers)
    seconds = time.perf_counter() - started
    assert done == rows, f"{done} of {rows} rows were worked on"
    return rows / seconds


def work(job: Job) -> None:
    """Work off what there is, each time that an order comes, and answer how many rows it was."""
    from payments import signals  # noqa: PLC0415 - it has models, which want Django set up

    signals.collection_created.connect(_hear)
    _answer(0)
    for _order in sys.stdin:
        done = 0
        while found := job.batch():
            done += found
        _answer(done)


def _answer(rows: int) -> None:
    sys.stdout.write(f"{rows}\n")
    sys.stdout.flush()


def _hear(**_values: Any) -> None:
    """Be told of an event, and take a millisecond to write it down somewhere, as a shop does."""
    time.sleep(0.001)


def _fill_inbox(rows: int) -> None:
    from payments import services  # noqa: PLC0415
    from payments.models import PaymentProvider, WebhookEvent  # noqa: PLC0415
    from payments.providers import SessionFact  # noqa: PLC0415
    from payments.providers.facts import encode_fact  # noqa: PLC0415
    from payments.states import SessionStatus  # noqa: PLC0415

    authorized = SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(child.AMOUNT)
    )
    sessions = []
    for _ in range(rows):
        collection = services.create_payment_collection(amount=child.AMOUNT, currency_code=child.CURRENCY)
        sessions.append(services.create_payment_session(collection, provider_id="system"))
    WebhookEvent.objects.bulk_create(
        WebhookEvent(
            provider=PaymentProvider.objects.get(pk="system"),
            event_id=f"evt_{session.pk}",
            type="authorized",
            session=session,
            fact=encode_fact(authorized),
            next_attempt_at=timezone.now(),
        )
        for session in sessions
    )


def _fill_outbox(rows: int) -> None:
    from payments import services  # noqa: PLC0415
    from payments.models import PaymentEvent  # noqa: PLC0415

    made = [
        services.create_payment_collection(amount=child.AMOUNT, currency_code=child.CURRENCY)
        for _ in range(rows)
    ]
    PaymentEvent.objects.filter(collection__in=made).update(published_at=None)


def _apply() -> int:
    from payments import services  # noqa: PLC0415

    return services.process_due_events(limit=BATCH)


def _publish() -> int:
    from payments import services  # noqa: PLC0415

    return services.publish_due(limit=BATCH)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one kind: how a pile of it is made, and how a batch is done."""

    fill: Callable[[int], None]
    batch: Callable[[], int]


JOBS: Final = {"inbox": Job(fill=_fill_inbox, batch=_apply), "outbox": Job(fill=_fill_outbox, batch=_publish)}


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
