"""Measures a burst of webhooks: `python -m tests.benchmarks.burst [--events 100000]`, on PostgreSQL.

Signed events about unpaid sessions arrive at gunicorn, from so many clients at once, while a worker applies them. Every
other one says what is authorized, and is applied by the view; the rest are hints, about which the worker asks the
provider. Before that the same clients send a few events while no worker runs: the view's idle value. The command ends
when all events are applied.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from django.db import connection, connections

from tests.benchmarks import child, reports, server
from tests.benchmarks.databases import durability, own_database, own_url
from tests.benchmarks.flow import ROOT, Side
from tests.benchmarks.http import PATIENCE, Server, serving
from tests.benchmarks.providers import signature_of
from tests.benchmarks.workers import BATCH, Worker
from tests.databases import database_url

IDLE: Final = 2_000
"""How many events the idle value is from."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What the view did with so many events; its times are in milliseconds."""

    name: str
    events: int
    per_second: float
    p50: float
    p95: float
    refused: int


def main(arguments: Sequence[str]) -> None:
    """Measure, and report."""
    chosen = _arguments(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    with database_url("postgresql") as postgresql:
        url = own_url(postgresql, "burst")
        child.set_up(url, prepared=True)
        with own_database(postgresql, "burst"):
            idle = min(IDLE, chosen.events)
            bodies = _seed(chosen.payments, idle + chosen.events)
            side = Side(name="ours", checkout=ROOT)
            with serving(side, url, "", "wsgi") as ours:
                _send(
                    "warm-up", ours, bodies[: idle // 20], 1
                )  # so that all is loaded, and statements are prepared
                phases = [_send("idle", ours, bodies[idle // 20 : idle], chosen.concurrency)]
                started = time.perf_counter()
                with _working(url) as peaks:
                    phases.append(_send("burst", ours, bodies[idle:], chosen.concurrency))
                    left = _waiting()
                    while _waiting():
                        time.sleep(0.2)
                seconds = time.perf_counter() - started
            described = durability(url)
            connections.close_all()
    ratio, mib = phases[1].p95 / phases[0].p95, max(peaks)
    reports.say(f"{described}; gunicorn, {server.WORKERS} processes, {server.THREADS} threads each\n\n")
    heads = ("phase", "events", "events/s", "p50 ms", "p95 ms", "refused")
    reports.say(reports.table(heads, map(_row, phases)))
    reports.say(
        f"\np95 in the burst is {ratio:.2f} times the idle value. {left:,} events were left to the worker\n"
    )
    reports.say(
        f"at its end; {seconds:.0f} s after its beginning all were applied. The worker took {mib:.0f} MiB.\n"
    )
    reports.write_json(
        chosen.json, database=described, phases=phases, ratio=ratio, left=left, seconds=seconds, mib=mib
    )


def _seed(payments: int, events: int) -> list[bytes]:
    """Fill the database, and return the bodies of events about unpaid sessions."""
    from payments.models import PaymentSession  # noqa: PLC0415 - models can be imported after the set-up only
    from payments.services.providers import provider_row  # noqa: PLC0415
    from tests.benchmarks.seed import seed  # noqa: PLC0415

    child.migrate()
    seed(connection, payments, unpaid=events)
    unpaid = PaymentSession.objects.filter(status="pending")
    unpaid.update(provider=provider_row("card"))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    rows = unpaid.order_by("id").values_list("pk", "amount")[:events]
    return [_body(session, str(amount), number) for number, (session, amount) in enumerate(rows)]


def _body(session: str, amount: str, number: int) -> bytes:
    told = {} if number % 2 else {"amount": amount}
    return json.dumps({"id": f"evt_{number}", "session": session, **told}).encode()


def _waiting() -> int:
    from payments.models import WebhookEvent  # noqa: PLC0415

    return WebhookEvent.objects.filter(status__in=["received", "deferred"]).count()


def _send(name: str, ours: Server, bodies: Sequence[bytes], clients: int) -> Phase:
    """Have so many clients send events, one after the other, and return the figures."""
    local = threading.local()

    def enter() -> None:
        local.connection = HTTPConnection("127.0.0.1", ours.port, timeout=PATIENCE)

    def deliver(body: bytes) -> tuple[float, bool]:
        started = time.perf_counter()
        headers = {"Content-Type": "application/json", "Signature": signature_of(body)}
        local.connection.request("POST", "/payments/webhooks/card/", body, headers)
        answer = local.connection.getresponse()
        answer.read()
        return 1000 * (time.perf_counter() - started), answer.status == 200

    started = time.perf_counter()
    with ThreadPoolExecutor(clients, initializer=enter) as pool:
        answers = list(pool.map(deliver, bodies))
    times = [milliseconds for milliseconds, _is_taken in answers]
    return Phase(
        name=name,
        events=len(bodies),
        per_second=len(bodies) / (time.perf_counter() - started),
        p50=reports.quantile(times, 0.5),
        p95=reports.quantile(times, 0.95),
        refused=sum(not is_taken for _milliseconds, is_taken in answers),
    )


@contextmanager
def _working(url: str) -> Iterator[list[float]]:
    """Have a worker of the inbox work inside the block, and give the most memory that it had, once it is over."""
    worker, over, peaks = Worker("inbox", url), threading.Event(), [0.0]

    def work() -> None:
        while not over.is_set():
            worker.order(BATCH)
            if not worker.answer():
                over.wait(0.1)
        peaks.append(worker.peak_mib)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join(PATIENCE)
        worker.end()


def _row(phase: Phase) -> tuple[object, ...]:
    return (
        phase.name,
        f"{phase.events:,}",
        f"{phase.per_second:.0f}",
        f"{phase.p50:.1f}",
        f"{phase.p95:.1f}",
        phase.refused,
    )


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--payments", type=int, default=10_000, help="how many payments are there besides")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
