"""Measures the admin with 2,000 and with 200,000 collections: `python -m tests.admin.bench [--database NAME]`.

Run by hand. Each size gets a database of its own, which `tests.admin.bench_rows` fills. What is reported is the
quickest of several requests after the first, since others may be using the machine, how many queries one makes, and
how the last size compares with the first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, setup_databases, teardown_databases

from tests.databases import DATABASES, database_url, settings_for_tests

SIZES: Final = (2_000, 200_000)
ROUNDS: Final = 7


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Hold how long a page takes, in milliseconds, and how many queries it makes."""

    page: str
    milliseconds: float
    queries: int


def main(arguments: Sequence[str]) -> None:
    """Measure every size in a process of its own, since a process has one database."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument("--only", default="", help="a piece of the names of the pages to measure")
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES), metavar="SIZE")
    chosen = parser.parse_args(arguments)
    results = []
    for size in chosen.sizes:
        with (
            database_url(chosen.database) as url,
            multiprocessing.get_context("spawn").Pool(1) as pool,
        ):
            results.append(pool.apply(measure, (url, size, chosen.only)))
    _report(chosen.sizes, results)


def measure(url: str, size: int, only: str) -> list[Measurement]:
    """Fill a new database and measure the pages whose name contains `only`."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.DATABASES["default"] = settings_for_tests(url)
    settings.ALLOWED_HOSTS = ["testserver"]
    django.setup()
    from tests.admin import bench_rows  # noqa: PLC0415 - models can be imported after the set-up only

    databases = setup_databases(verbosity=0, interactive=False)
    try:
        started = time.perf_counter()
        keys = bench_rows.fill(size)
        _say(f"{size:,} collections, filled in {time.perf_counter() - started:.0f} s\n")
        return list(_measure(page for page in _pages(keys) if only in page[0]))
    finally:
        teardown_databases(databases, verbosity=0)


def _measure(pages: Iterable[tuple[str, str]]) -> Iterator[Measurement]:
    client = Client()
    client.force_login(get_user_model().objects.get(username="olivia"))
    for name, url in pages:
        with CaptureQueriesContext(connection) as queries:
            _get(client, url)
        count = len(queries)  # the next request empties the log
        times = [_milliseconds(client, url) for _round in range(ROUNDS)]
        found = Measurement(page=name, milliseconds=min(times), queries=count)
        _say(f"  {name:<48} {found.milliseconds:8.1f} ms  {found.queries} queries\n")
        yield found


def _milliseconds(client: Client, url: str) -> float:
    started = time.perf_counter()
    _get(client, url)
    return (time.perf_counter() - started) * 1000


def _get(client: Client, url: str) -> None:
    response: Any = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    if response.streaming:
        for _chunk in response.streaming_content:
            pass


def _pages(keys: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of every page that is measured."""
    base = "/admin/payments"
    collections = f"{base}/paymentcollection"
    yield "collections", f"{collections}/"
    yield "collections, second page", f"{collections}/?p=2"
    yield "collections, oldest first", f"{collections}/?o=1"
    for name, query in (
        ("completed", "status__exact=completed"),
        ("awaiting", "status__exact=awaiting"),
        ("of this month", f"created_at__gte={keys['month']}"),
        ("in a rare currency", "currency=kwd"),
        ("of a provider", "provider=system"),
        ("that need attention", "operations=attention"),
        ("with open operations", "operations=open"),
        ("of a customer", f"customer__id__exact={keys['customer']}"),
    ):
        yield f"collections {name}", f"{collections}/?{query}"
    for name in ("collection", "session", "payment", "capture", "refund", "operation"):
        yield f"collections, found by id of {name}", f"{collections}/?q={keys[name]}"
    for name in ("reference", "key", "payable", "e-mail address", "piece of e-mail address", "nothing"):
        yield f"collections, found by {name}", f"{collections}/?q={keys[name]}"
    for model, name in (
        ("paymentcollection", "collection"),
        ("paymentsession", "session"),
        ("payment", "payment"),
        ("capture", "capture"),
        ("refund", "refund"),
        ("paymentoperation", "operation"),
        ("webhookevent", "webhook"),
    ):
        yield f"{model}, one", f"{base}/{model}/{keys[name].replace('_', '_5F')}/change/"
    for model in ("paymentsession", "payment", "capture", "refund", "paymentoperation", "webhookevent"):
        yield f"{model}, list", f"{base}/{model}/"
        yield f"{model}, found by reference", f"{base}/{model}/?q={keys['reference']}"
        yield f"{model}, found by id", f"{base}/{model}/?q={keys['collection']}"
    yield "paymentsession, refused", f"{base}/paymentsession/?status__exact=error"
    yield "payment, in a rare currency", f"{base}/payment/?currency=kwd"
    yield "capture, in a rare currency", f"{base}/capture/?currency=kwd"
    yield "paymentoperation, attention", f"{base}/paymentoperation/?status__exact=attention"
    yield "paymentoperation, refused with a code", f"{base}/paymentoperation/?error_code__exact=card_declined"
    yield "webhookevent, failed", f"{base}/webhookevent/?status__exact=failed"
    yield "paymentevent, list", f"{base}/paymentevent/"
    yield "paymentevent, of a rare kind", f"{base}/paymentevent/?type=fact.discrepancy"
    yield "paymentevent, found by id", f"{base}/paymentevent/?q={keys['collection']}"
    for days in (7, 30, 90):
        yield f"overview, {days} days", f"{collections}/overview/?days={days}"


def _report(sizes: Sequence[int], results: Sequence[list[Measurement]]) -> None:
    """Print a table in Markdown."""
    heads = "".join(f" {size:,} |" for size in sizes)
    _say(f"\n| page |{heads} ratio | queries |\n|---|{'--:|' * (len(sizes) + 2)}\n")
    for row in zip(*results, strict=True):
        cells = "".join(f" {each.milliseconds:.0f} ms |" for each in row)
        ratio = row[-1].milliseconds / row[0].milliseconds
        _say(f"| {row[0].page} |{cells} {ratio:.1f} | {row[-1].queries} |\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
