"""Runs a shop for a while: `python -m tests.benchmarks.soak [--minutes 30] [--share 0.7] [--json PATH]`.

PostgreSQL, PgBouncer in transaction mode, web hosts, workers and a simulator are processes of their own. First, clients
that wait for their answers find the peak. Then visits begin at a part of that rate, whether or not earlier ones have
ended: most are purchases, from the collection to the refund, the others are operators who look at lists. One in so many
calls to the provider fails, and it delivers each of its events twice. In the end the workers have time to find out what
is unknown, and the books are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import psycopg

from payments.simulator import Totals
from tests.benchmarks import child, reports
from tests.embedded_postgresql import EmbeddedPostgreSQL, children_of
from tests.machines.hosts import ROOT, Shop, database, free_port, paid_by
from tests.machines.pooler import Pooler, find_pgbouncer
from tests.machines.shoppers import Answer, Shopper, WrongError

API_KEY: Final = "sk_sim_of_the_soak"
SECRET: Final = "whsec_of_the_soak"
DURABLE: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "max_connections": "100",
}
CALLING: Final = frozenset({"session", "authorize", "capture", "refund"})
FAULTS: Final = (
    "error_500_before",
    "error_500_after",
    "drop_before",
    "drop_after",
    "timeout_after",
    "garbage",
    "rate_limited",
    "decline",
)
LISTS: Final = (
    "staff/payments/?status=captured",
    "staff/payment-collections/?limit=20",
    "staff/payment-sessions/?provider=simulator",
    "staff/operations/?status=unknown",
    "staff/webhook-events/?limit=20",
)
PURCHASES: Final = 0.8
REFUNDS: Final = 0.5
SAMPLE: Final = 500


class Provider:
    """The control of a simulator in another process."""

    def __init__(self, address: str) -> None:
        self._address = address

    def fail(self, fault: str) -> None:
        """Have the next call fail; what can be declined is an authorization."""
        self._ask("scenarios", {"operation": "authorize" if fault == "decline" else "*", "fault": fault})

    def deliver_twice(self) -> None:
        """Have it tell everything twice."""
        self._ask("webhooks", {"duplicate": 2})

    def behave(self) -> None:
        """Have no more calls fail."""
        self._ask("scenarios", method="DELETE")

    def totals(self, reference: str) -> Totals:
        """Return what it holds for a session."""
        return Totals(**self._ask(f"totals?reference={reference}"))

    def _ask(self, path: str, body: Mapping[str, object] | None = None, method: str | None = None) -> Any:
        request = Request(  # noqa: S310 - the simulator's own address
            f"{self._address}/_control/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
            method=method,
        )
        with urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
            text = answer.read()
        return json.loads(text) if text else None


class Visitor(Shopper):
    """A shopper some of whose calls fail, and an operator who looks at lists."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__(port=traffic.port, operator=traffic.operator, told=traffic.hear)
        self._traffic = traffic

    def visit(self) -> None:
        """Buy something, or look at a list."""
        if random.random() < PURCHASES:  # noqa: S311 - no secret
            reference = str(next(self._traffic.orders))
            left = self.buy(reference, refunds=random.random() < REFUNDS).left  # noqa: S311 - no secret
            self._traffic.ends[left.partition(":")[0] if left else "all done"] += 1
        else:
            self.ask("staff list", "GET", random.choice(LISTS))  # noqa: S311 - no secret

    def ask(self, route: str, method: str, address: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Send a request; have its call to the provider fail once in a while."""
        if route in CALLING and random.random() < self._traffic.faults:  # noqa: S311 - no secret
            self._traffic.provider.fail(random.choice(FAULTS))  # noqa: S311 - no secret
        return super().ask(route, method, address, *arguments, **options)


@dataclass(kw_only=True)
class Traffic:
    """All visits of a run, and what came of them."""

    port: int
    operator: str
    provider: Provider
    faults: float
    orders: Iterator[int] = field(default_factory=count)
    answers: list[Answer] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def hear(self, answer: Answer) -> None:
        """Keep an answer."""
        self.answers.append(answer)

    def peak(self, clients: int, seconds: float) -> float:
        """Have so many clients make one visit after the other, and return how many that is per second."""
        deadline = time.monotonic() + seconds
        done = count()

        def visit_on() -> None:
            visitor = Visitor(self)
            while time.monotonic() < deadline:
                self._visit(visitor)
                next(done)

        started = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            for _ in range(clients):
                pool.submit(visit_on)
        return next(done) / (time.monotonic() - started)

    def flow(self, rate: float, clients: int, seconds: float) -> None:
        """Begin so many visits per second, however long each of them takes."""
        local = threading.local()

        def enter() -> None:
            local.visitor = Visitor(self)

        def visit_at(moment: float) -> None:
            self.delays.append(time.monotonic() - moment)
            self._visit(local.visitor)

        started = time.monotonic()
        with ThreadPoolExecutor(clients, initializer=enter) as pool:
            for number in range(int(rate * seconds)):
                moment = started + number / rate
                time.sleep(max(0.0, moment - time.monotonic()))
                pool.submit(visit_at, moment)

    def forget(self) -> None:
        """Begin to count anew."""
        for each in (self.answers, self.delays, self.ends, self.wrong):
            each.clear()

    def _visit(self, visitor: Visitor) -> None:
        try:
            visitor.visit()
        except WrongError as error:
            self.wrong[re.sub(r"[a-z_]+_[0-9A-Z]{26}", "…", str(error))[:200]] += 1
        except Exception as error:  # noqa: BLE001 - it is counted, and the next visit is made
            self.wrong[f"the client: {error!r}"[:200]] += 1


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Memory in MiB, open files and seconds of a processor by process, and the connections to the database."""

    minute: float
    visits: int
    processor: Mapping[str, float]
    memory: Mapping[str, float]
    files: Mapping[str, float]
    connections: Mapping[str, int]


def take_sample(pids: Mapping[str, int], url: str, *, minute: float, visits: int) -> Sample:
    """Look at all processes and at the database, after so many visits."""
    families = {name: [pid, *children_of(pid)] for name, pid in pids.items()}
    query = "SELECT coalesce(state, '-'), count(*) FROM pg_stat_activity WHERE datname = 'shop' GROUP BY 1"
    with psycopg.connect(url, autocommit=True) as connection:
        states: list[Any] = connection.execute(query).fetchall()

    def total(read: Callable[[Path], float]) -> dict[str, float]:
        return {name: sum(_read(pid, read) for pid in family) for name, family in families.items()}

    return Sample(
        minute=minute,
        visits=visits,
        processor=total(_processor),
        memory=total(_memory),
        files=total(lambda process: len(list((process / "fd").iterdir()))),
        connections={"all": sum(number for _state, number in states) - 1, **dict(states)},
    )


def _read(pid: int, read: Callable[[Path], float]) -> float:
    """Return what is read of a process, or nothing if it has just ended."""
    try:
        return read(Path(f"/proc/{pid}"))
    except OSError:
        return 0.0


def _processor(process: Path) -> float:
    """Return for how many seconds a process, and its children that have ended, have used a processor."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _memory(process: Path) -> float:
    """Return the memory that a process has for itself, in MiB."""
    text = (process / "smaps_rollup").read_text()
    return sum(int(found) for found in re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE)) / 1024


def open_rows() -> dict[str, int]:
    """Count what isn't done yet, by kind."""
    from payments.models import IdempotencyRecord, PaymentEvent, PaymentOperation, WebhookEvent  # noqa: PLC0415
    from payments.states import WebhookEventStatus  # noqa: PLC0415

    statuses = PaymentOperation.objects.open().values_list("status", flat=True)
    done = (WebhookEventStatus.APPLIED, WebhookEventStatus.IGNORED)
    events = WebhookEvent.objects.exclude(status__in=done).values_list("status", flat=True)
    locked = IdempotencyRecord.objects.filter(locked_until__isnull=False, response_status=None)
    return {
        **Counter(f"operations, {status}" for status in statuses),
        **Counter(f"webhook events, {status}" for status in events),
        **Counter({"events not sent": PaymentEvent.objects.unpublished().count()}),
        **Counter({"keys under way": locked.count()}),
    }


def drained(minutes: float) -> tuple[dict[str, int], float]:
    """Wait until nothing is open; return what is nevertheless, and how many minutes it took."""
    from payments.models import WebhookEvent  # noqa: PLC0415

    started, events = time.monotonic(), -1
    while True:
        before, events = events, WebhookEvent.objects.count()
        found = {kind: number for kind, number in open_rows().items() if number}
        if events > before:
            found["webhook events that came in the last seconds"] = events - before
        waited = (time.monotonic() - started) / 60
        if not found or waited > minutes:
            return found, waited
        time.sleep(3)


def wrong_books(provider: Provider) -> list[str]:
    """Hold collections against the simulator's ledger, and say which are wrong."""
    from payments.models import PaymentCollection  # noqa: PLC0415
    from tests.reliability.books import assert_books_agree, assert_invariants  # noqa: PLC0415

    wrong = []
    for collection in PaymentCollection.objects.order_by("?")[:SAMPLE]:
        try:
            assert_invariants(collection)
            assert_books_agree(provider, collection)
        except AssertionError as error:
            wrong.append(f"{collection.pk}: {error}")
    return wrong


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run has found; times in milliseconds."""

    peak: float
    rate: float
    minutes: float
    routes: Mapping[str, Sequence[float]]
    delay_p99: float
    ends: Mapping[str, int]
    answers: Mapping[str, int]
    errors: Mapping[str, int]
    samples: Sequence[Sample]
    left_open: Mapping[str, int]
    drained_after: float
    wrong_books: Sequence[str]
    logged: Mapping[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether there is no error but the provider's, and nothing left open or wrong."""
        return not (self.errors or self.left_open or self.wrong_books)

    def text(self) -> str:
        """Return all of it as tables."""
        rows = [
            (route, round(figures[0]), *(f"{each:.0f}" for each in figures[1:]))
            for route, figures in self.routes.items()
        ]
        first, last = self.samples[0], self.samples[-1]
        shown = [first, self.samples[len(self.samples) // 2 - 1], self.samples[-2], last]
        cells = [
            [name, *(f"{each.memory[name]:.0f} MiB, {each.files[name]:.0f} files" for each in shown)]
            for name in first.memory
        ]
        visits = shown[2].visits - first.visits
        for row, name in zip(cells, first.memory, strict=True):
            row.append(f"{1000 * (shown[2].processor[name] - first.processor[name]) / visits:.1f} ms")
        cells.append(["connections to the database", *(str(each.connections["all"]) for each in shown), ""])
        heads = (
            "process",
            *(f"minute {each.minute:.0f}" for each in shown[:-1]),
            "drained",
            "processor per visit",
        )
        parts = (
            f"peak {self.peak:.1f} visits/s; {self.rate:.1f} visits/s for {self.minutes:g} minutes",
            reports.table(("route", "answers", "p50 ms", "p95 ms", "p99 ms", "longest"), rows),
            f"p99 of the delay of a visit's beginning: {self.delay_p99:.0f} ms",
            f"purchases by what they ended with: {dict(self.ends)}",
            f"answers by the provider's fault: {dict(self.answers)}",
            f"errors: {dict(self.errors) or 'none'}",
            reports.table(heads, cells),
            f"left open {self.drained_after:.1f} minutes later: {dict(self.left_open) or 'nothing'}",
            f"books compared: {SAMPLE}; wrong: {list(self.wrong_books) or 'none'}",
            "logged:\n" + "".join(f"{number:6} × {line}\n" for line, number in self.logged.items()),
        )
        return "\n\n".join(part.strip() for part in parts) + "\n"


@contextmanager
def running_shop(
    hosts: int, workers: int, orders: int
) -> Iterator[tuple[Traffic, Mapping[str, int], str, Shop]]:
    """Start everything, and yield the traffic, the ids of the processes, and the database's address."""
    with ExitStack() as stack:
        server = EmbeddedPostgreSQL(settings=DURABLE)
        stack.callback(server.stop)
        server.start()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        url = f"{server.url}shop"
        child.set_up(url, prepared=False)
        from tests.benchmarks.server import fill  # noqa: PLC0415 - Django is set up only now

        operator = fill(orders)
        program = find_pgbouncer()
        assert program is not None, "PgBouncer isn't installed (apt-get install pgbouncer)."
        pooler = Pooler(program, server)
        stack.callback(pooler.stop)
        port = free_port()
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="payments-soak-")))
        shop = Shop(
            settings={
                "DATABASES": {"default": database(f"{pooler.url}shop")},
                "PAYMENTS": paid_by(f"http://127.0.0.1:{port}", API_KEY, [SECRET]),
            },
            logs=logs,
        )
        told = ["--api-key", API_KEY, "--webhook-secret", SECRET, "--webhook-url", shop.webhook_url]
        told += ["--webhook-senders", "4"]
        simulator = subprocess.Popen(
            [sys.executable, "-m", "payments.simulator", "--port", str(port), "--ledger", ":memory:", *told],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        stack.callback(simulator.wait)
        stack.callback(simulator.terminate)
        pids = stack.enter_context(shop.running(hosts=hosts, workers=workers))
        others = {
            "simulator, with its ledger": simulator.pid,
            "PgBouncer": pooler.pid,
            "PostgreSQL": server.pid,
        }
        traffic = Traffic(
            port=shop.port, operator=operator, provider=Provider(f"http://127.0.0.1:{port}"), faults=0.0
        )
        yield traffic, {**pids, **others}, url, shop


def main(arguments: Sequence[str]) -> None:
    """Find the peak, run the shop, and report."""
    chosen = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends
    with running_shop(chosen.hosts, chosen.workers, chosen.orders) as (traffic, pids, url, shop):
        traffic.faults = chosen.faults
        traffic.provider.deliver_twice()
        traffic.peak(chosen.clients, chosen.peak_seconds / 3)
        peak = traffic.peak(chosen.clients, chosen.peak_seconds)
        traffic.forget()
        rate = chosen.rate or chosen.share * peak
        samples = _sampled(traffic, rate, chosen, pids, url)
        traffic.provider.behave()
        left_open, drained_after = drained(chosen.drain)
        report = Report(
            peak=peak,
            rate=rate,
            minutes=chosen.minutes,
            routes=_by_route(traffic.answers),
            delay_p99=1000 * reports.quantile(traffic.delays, 0.99),
            ends=dict(traffic.ends),
            answers=_by_the_provider(traffic.answers),
            errors=dict(traffic.wrong),
            samples=[
                *samples,
                take_sample(pids, url, minute=chosen.minutes + drained_after, visits=len(traffic.delays)),
            ],
            left_open=left_open,
            drained_after=drained_after,
            wrong_books=wrong_books(traffic.provider),
            logged=_kinds_of_lines(shop.errors()),
        )
    reports.say(report.text())
    reports.write_json(chosen.json, report=report)
    if not report.is_clean:
        raise SystemExit(1)


def _sampled(
    traffic: Traffic, rate: float, chosen: argparse.Namespace, pids: Mapping[str, int], url: str
) -> list[Sample]:
    """Have visits begin for as long as it was chosen, and take a sample every minute."""
    samples: list[Sample] = []
    ended = threading.Event()
    started = time.monotonic()

    def watch() -> None:
        while not ended.wait(60 if samples else 20):
            minute = (time.monotonic() - started) / 60
            samples.append(take_sample(pids, url, minute=minute, visits=len(traffic.delays)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    traffic.flow(rate, 4 * chosen.clients, 60 * chosen.minutes)
    ended.set()
    watcher.join()
    return samples


def _by_route(answers: Sequence[Answer]) -> dict[str, list[float]]:
    """Return for each route how many answers there were, and p50, p95, p99 and the longest time in milliseconds."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        seconds[answer.route].append(answer.seconds)
    return {
        route: [len(each), *(1000 * reports.quantile(each, share) for share in (0.5, 0.95, 0.99, 1.0))]
        for route, each in seconds.items()
    }


def _by_the_provider(answers: Sequence[Answer]) -> dict[str, int]:
    """Count the answers by which a provider's fault was told; any other error ends a visit, and is counted there."""
    told = (f"{each.status} {each.code}".strip() for each in answers if each.status not in (200, 201))
    return dict(Counter(told))


def _kinds_of_lines(text: str) -> dict[str, int]:
    """Return the lines of the logs that occur most, without ids and numbers."""
    lines = (re.sub(r"[a-z_]+_[0-9A-Z]{26}|\d+", "…", line.strip())[:160] for line in text.splitlines())
    return dict(Counter(filter(None, lines)).most_common(20))


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--share", type=float, default=0.7, help="the part of the peak at which the shop runs"
    )
    parser.add_argument("--rate", type=float, help="visits per second, instead of --share")
    parser.add_argument(
        "--faults", type=float, default=0.05, help="the part of the provider's calls that fail"
    )
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16, help="how many find the peak")
    parser.add_argument("--peak-seconds", type=float, default=30)
    parser.add_argument("--drain", type=float, default=20, help="for how many minutes the workers have time")
    parser.add_argument("--orders", type=int, default=60_000)
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    main(sys.argv[1:])
