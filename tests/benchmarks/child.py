"""One side of a run, in a process of its own: it makes flows when it is told to, and answers how long each took.

It is started by its path, with the checkout that it measures first in PYTHONPATH. That checkout may be older than
these benchmarks, so nothing of `tests.benchmarks` is imported here but the floor, which is always our own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

import django
from django.conf import settings
from django.core.management import call_command

from example_project.databases import parse_database_url
from tests.threads import PATIENCE

VERBS: Final = ("collection", "session", "authorize", "capture", "refund")
AMOUNT: Final = "100.00"
CURRENCY: Final = "eur"
PREPARED: Final = {"server_side_binding": True, "prepare_threshold": 2}
"""The options with which Django lets psycopg prepare statements."""

Flow = Callable[[], Iterator[str]]
"""Does one verb after the other, and yields each one's name when it is done."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What one thread did in one slice: the seconds of each flow's verbs, and what the other flows failed with."""

    seconds: float
    flows: list[list[float]]
    errors: list[str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one process did in one slice."""

    cpu_seconds: float
    lanes: list[Lane]


def main() -> None:
    """Set up, say which package is measured, and carry out orders until there are no more."""
    arguments = _arguments()
    answers, sys.stdout = sys.stdout, sys.stderr  # what others print is no answer
    set_up(arguments.url, prepared=not arguments.plain)
    import payments  # noqa: PLC0415 - it has models, which want Django set up

    if arguments.side == "migrate":
        migrate()
    answers.write(json.dumps({"package": payments.__file__}) + "\n")
    answers.flush()
    local = threading.local()

    def enter() -> None:
        local.flow = own_flow if arguments.side == "ours" else _floor(arguments.url)

    with ThreadPoolExecutor(arguments.threads, initializer=enter) as pool:
        for line in sys.stdin:
            answer = carry_out(json.loads(line), pool, arguments.threads, lambda: local.flow)
            answers.write(json.dumps(asdict(answer)) + "\n")
            answers.flush()


def set_up(url: str, *, prepared: bool, keeps: bool = True) -> None:
    """Set Django up with the tests' project on this database; a thread keeps its connection, unless told otherwise."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    database = parse_database_url(url)
    if prepared and database["ENGINE"].endswith("postgresql"):
        database["OPTIONS"] |= PREPARED
    settings.DATABASES["default"] = database | {"CONN_MAX_AGE": None if keeps else 0}
    settings.PAYMENTS["PROVIDERS"]["card"] = {"BACKEND": "tests.benchmarks.providers.CardProvider"}
    django.setup()


def migrate() -> None:
    """Create the tables."""
    call_command("migrate", verbosity=0)


def own_flow() -> Iterator[str]:
    """Pay 100.00 euros, take and give them back by the services, yielding each verb's name once it is done."""
    from payments import services  # noqa: PLC0415 - models can be imported after the set-up only

    collection = services.create_payment_collection(amount=AMOUNT, currency_code=CURRENCY)
    yield "collection"
    session = services.create_payment_session(collection, provider_id="system", amount=AMOUNT)
    yield "session"
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    yield "authorize"
    payment = services.capture_payment(payment, amount=AMOUNT)
    yield "capture"
    services.refund_payment(payment, amount=AMOUNT)
    yield "refund"


def _floor(url: str) -> Flow:
    from tests.benchmarks.floor import Floor  # noqa: PLC0415 - other checkouts have none

    return Floor(url).flow


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["ours", "floor", "migrate"])
    parser.add_argument("url")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    return parser.parse_args()


def carry_out(
    order: dict[str, Any], pool: ThreadPoolExecutor, threads: int, flow: Callable[[], Flow]
) -> Answer:
    """Have every thread make flows until the order is fulfilled."""
    start = threading.Barrier(threads)
    has_more = _counted(order["flows"]) if "flows" in order else _timed(order["seconds"])
    started = time.process_time()
    work = [pool.submit(lambda: _lane(flow(), has_more, start)) for _ in range(threads)]
    lanes = [each.result() for each in work]
    return Answer(cpu_seconds=time.process_time() - started, lanes=lanes)


def _counted(flows: int) -> Callable[[], bool]:
    tickets = itertools.count()
    return lambda: next(tickets) < flows


def _timed(seconds: float) -> Callable[[], bool]:
    deadline = time.perf_counter() + seconds
    return lambda: time.perf_counter() < deadline


def _lane(flow: Flow, has_more: Callable[[], bool], start: threading.Barrier) -> Lane:
    start.wait(PATIENCE)  # so that no thread takes the work of another
    flows, errors = [], []
    started = time.perf_counter()
    while has_more():
        try:
            flows.append(_durations(flow))
        except Exception as error:  # noqa: BLE001 - it is counted, and the next flow is made
            errors.append(_cause(error))
    return Lane(seconds=time.perf_counter() - started, flows=flows, errors=errors)


def _durations(flow: Flow) -> list[float]:
    """Make one flow, and return the seconds that each verb took."""
    times = [time.perf_counter()]
    for _verb in flow():
        times.append(time.perf_counter())
    return [round(after - before, 6) for before, after in itertools.pairwise(times)]


def _cause(error: BaseException) -> str:
    """Return what was wrong at the bottom of an error, such as a locked database."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


if __name__ == "__main__":
    main()
