"""Measures flows over HTTP: `python -m tests.benchmarks.http [--beside NAME=PATH] [--runner asgi]`, on PostgreSQL.

The sides are this checkout (`ours`), bare views of Django REST framework (`bare`) that make as many requests, rows and
commits, and other checkouts of the project. Each has a database, and a gunicorn of two processes; a Python program asks
all of them, over kept connections. A payer opens the collection of an order, reads it, creates a session and authorizes
it with the collection's secret; an operator with a session captures and refunds. The sides take turns in short slices.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server
from typing import Any, Final

import django
import psycopg

from tests.benchmarks import reports, server
from tests.benchmarks.child import Answer, carry_out
from tests.benchmarks.databases import analyze, durability, own_database
from tests.benchmarks.flow import ROOT, Side
from tests.databases import database_url

VERBS: Final = ("collection", "read", "session", "authorize", "capture", "refund")
WARM_UP_FLOWS: Final = 10
CSRF_TOKEN: Final = "b" * 32
PATIENCE: Final = 60.0


class RefusedError(Exception):
    """An answer that a flow can't go on with."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A side's process, its database, and the session of its operator."""

    process: subprocess.Popen[str]
    port: int
    url: str
    session: str
    orders: Iterator[int] = field(default_factory=itertools.count)


class Client:
    """A payer and an operator, on one connection to a side's server."""

    def __init__(self, side: Server) -> None:
        self._side = side
        self._connection = HTTPConnection("127.0.0.1", side.port, timeout=PATIENCE)
        self._database = psycopg.connect(side.url, autocommit=True, prepare_threshold=0)
        self._staff = {
            "Cookie": f"sessionid={side.session}; csrftoken={CSRF_TOKEN}",
            "X-CSRFToken": CSRF_TOKEN,
        }

    def flow(self) -> Iterator[str]:
        """Pay an order of 100.00 euros, take and give them back, yielding each verb's name once it is done."""
        reference = str(next(self._side.orders))
        opened = self._ask("POST", "storefront/payment-collections/", {"reference": reference})
        payer = {"Payment-Client-Secret": opened.get("client_secret", "")}
        yield "collection"
        address = f"storefront/payment-collections/{opened['id']}/"
        self._ask("GET", address, None, payer)
        yield "read"
        session = self._ask("POST", f"{address}payment-sessions/", {"provider_id": "system"}, payer)["id"]
        yield "session"
        self._ask("POST", f"storefront/payment-sessions/{session}/authorize/", {}, payer)
        yield "authorize"
        query = "SELECT id FROM payments_payment WHERE session_id = %s"
        ((payment,),) = self._database.execute(query, [session]).fetchall()
        self._ask("POST", f"staff/payments/{payment}/capture/", {"amount": "100.00"}, self._staff)
        yield "capture"
        self._ask("POST", f"staff/payments/{payment}/refund/", {"amount": "100.00"}, self._staff)
        yield "refund"

    def _ask(
        self, method: str, address: str, body: dict[str, str] | None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        sent = None if body is None else json.dumps(body)
        whole = {"Content-Type": "application/json"} | (headers or {})
        self._connection.request(method, f"/payments/{address}", sent, whole)
        response = self._connection.getresponse()
        text = response.read()
        if response.status not in (200, 201):
            raise RefusedError(f"{method} /{address.rsplit('/', 2)[-2]}/: {response.status}")
        answer: dict[str, Any] = json.loads(text)
        return answer


@contextmanager
def serving(side: Side, url: str, session: str, runner: str) -> Iterator[Server]:
    """Start a side's server, and end it."""
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = _start(side, url, "serve", "--port", str(port), "--runner", runner)
    try:
        _read(process)
        yield Server(process=process, port=port, url=url, session=session)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)


def main(arguments: Sequence[str]) -> None:
    """Measure all sides at every concurrency, and report."""
    chosen = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that databases are dropped
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    sides = [Side(name="ours", checkout=ROOT), Side(name="bare", checkout=ROOT, kind="bare"), *chosen.beside]
    with ExitStack() as stack:
        postgresql = stack.enter_context(database_url("postgresql"))
        servers = {}
        for side in sides:
            url = stack.enter_context(own_database(postgresql, side.name))
            filling = _start(side, url, "fill")
            session = _read(filling)["session"]
            filling.wait(PATIENCE)
            servers[side.name] = stack.enter_context(serving(side, url, session, chosen.runner))
        described = durability(servers["ours"].url)
        reports.say(f"{described}; gunicorn, {server.WORKERS} processes, {server.RUNNERS[chosen.runner]}\n\n")
        results = [result for threads in chosen.concurrency for result in _measure(servers, threads, chosen)]
    reports.say(reports.results_table(results, floor="bare") + reports.errors_text(results))
    reports.write_json(
        chosen.json, database=described, runner=chosen.runner, rounds=chosen.rounds, results=results
    )


def _measure(servers: dict[str, Server], threads: int, chosen: argparse.Namespace) -> list[reports.Result]:
    """Have the sides take turns, once around in each round."""
    with ExitStack() as stack:
        turns = {name: stack.enter_context(_turns(each, threads)) for name, each in servers.items()}
        for name, each in servers.items():
            analyze(each.url)
            turns[name](WARM_UP_FLOWS * threads, 0)
        rounds: dict[str, list[list[Answer]]] = {name: [] for name in servers}
        for _ in range(chosen.rounds):
            for name, turn in turns.items():
                rounds[name].append([turn(chosen.flows and -(-chosen.flows // chosen.rounds), chosen.slice)])
    return [
        reports.Result.of(name, str(threads), rounds[name], rounds["bare"], verbs=VERBS) for name in rounds
    ]


@contextmanager
def _turns(each: Server, threads: int) -> Iterator[Any]:
    """Yield what has so many clients make flows of a side: so many, or for so many seconds."""
    local = threading.local()

    def enter() -> None:
        local.client = Client(each)

    def turn(flows: int | None, seconds: float) -> Answer:
        before = _cpu_seconds(each.process.pid)
        order = {"seconds": seconds} if flows is None else {"flows": flows}
        answer = carry_out(order, pool, threads, lambda: local.client.flow)
        return Answer(cpu_seconds=_cpu_seconds(each.process.pid) - before, lanes=answer.lanes)

    with ThreadPoolExecutor(threads, initializer=enter) as pool:
        yield turn


def _cpu_seconds(parent: int) -> float:
    """Return how long the children of a process have used a processor, where the system tells it."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == parent:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _start(side: Side, url: str, order: str, *options: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(side.checkout), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", server.__file__, order, side.kind, url, *options],
        cwd=side.checkout,
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _read(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait(PATIENCE)
        raise RuntimeError(f"A server has ended with {process.returncode}.")
    found: dict[str, Any] = json.loads(line)
    return found


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--beside", type=Side.parse, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--runner", choices=server.RUNNERS, default="wsgi")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=20, help="how often each side has its turn")
    parser.add_argument("--slice", type=float, default=0.5, help="how many seconds a turn takes")
    parser.add_argument("--flows", type=int, help="how many flows each side makes in all, instead of --slice")
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
