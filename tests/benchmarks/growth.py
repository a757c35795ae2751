"""Measures what grows with the rows: `python -m tests.benchmarks.growth [--payments 10000 1000000]`, on PostgreSQL.

For each size a database is seeded, and every list, filter, sort, search, page and job is asked for several times; what
is printed is the quickest, and how many times as long that takes at the last size as at the first. Searches are
measured again with the indexes that docs/scaling.md has for a shop, if the server has their extension.
Django's test client asks in the same process, so each time includes Python's. Below stand the bytes of a payment with
all that belongs to it, and the indexes that nothing has used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.benchmarks import child, reports
from tests.benchmarks.databases import durability, own_database
from tests.databases import database_url

ROOT: Final = Path(__file__).resolve().parents[2]
TIMES: Final = 7

MODELS: Final = (
    "paymentcollection",
    "paymentsession",
    "payment",
    "capture",
    "refund",
    "paymentoperation",
    "paymentevent",
    "webhookevent",
    "accountholder",
)
SIZES: Final = """
SELECT (sum(pg_total_relation_size(oid)) / %s)::bigint, (sum(pg_indexes_size(oid)) / %s)::bigint
FROM pg_class WHERE relname LIKE 'payments\\_%%' AND relkind = 'r'
"""
UNUSED: Final = """
SELECT indexrelname FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
WHERE relname LIKE 'payments\\_%' AND idx_scan = 0 AND NOT indisunique ORDER BY indexrelname
"""
FILTERS: Final = {
    "payments": (
        "status=captured",
        "status=authorized",
        "status=partially_refunded",
        "provider=system",
        "currency_code=eur",
        "currency_code=kwd",
        "amount_gte=20",
        "amount_gte=1000",
        "amount_lte=1",
        "order=created_at",
        "provider=system&status=partially_refunded",
    ),
    "payment-collections": (
        "amount_gte=1000",
        "status=completed",
        "status=awaiting",
        "status=canceled",
        "order=created_at",
    ),
    "payment-sessions": ("amount_gte=1000", "status=error", "status=authorized", "provider=system"),
    "operations": ("status=attention", "kind=capture", "status=succeeded"),
    "webhook-events": ("status=failed", "status=applied"),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What is asked for, with how many statements, and in how many milliseconds at best."""

    name: str
    queries: int
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was measured at one size; a payment takes `bytes_each`, of which `indexes` are in indexes."""

    figures: list[Figure]
    bytes_each: int
    indexes: int
    unused: list[str]


def main(arguments: Sequence[str]) -> None:
    """Measure at each size, and report."""
    chosen = _arguments(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    if chosen.url:
        settings.ALLOWED_HOSTS = ["testserver"]
        child.set_up(chosen.url, prepared=False)
        sys.stdout.write(json.dumps(asdict(measure(chosen.payments[0], seeks=chosen.seeks))))
        return
    django.setup()
    found: dict[int, Measurement] = {}
    described = ""
    with database_url("postgresql") as server:
        for payments in chosen.payments:
            with own_database(server, f"growth_{payments}") as url:
                found[payments] = _measured(url, payments, seeks=chosen.seeks)
                described = durability(url)
    reports.say(f"{described}\n\n{_table(found)}\n")
    for payments, measured in found.items():
        shares = f"{measured.bytes_each:,} bytes a payment, {measured.indexes:,} of them in indexes"
        reports.say(f"{payments:,}: {shares}; unused: {', '.join(measured.unused) or 'none'}\n")
    reports.write_json(chosen.json, database=described, sizes={str(size): found[size] for size in found})


def measure(payments: int, *, seeks: bool) -> Measurement:
    """Seed this database, and measure each thing in it; with `seeks`, an index is used wherever one can be."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - models can be imported after the set-up only

    from payments.services.background.summaries import sum_ended_days  # noqa: PLC0415
    from tests.benchmarks.seed import seed  # noqa: PLC0415

    child.migrate()
    seed(connection, payments)
    sum_ended_days(limit=10_000)
    operator = Client()
    operator.force_login(User.objects.create_superuser("operator"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('enable_seqscan', %s, false)", ["off" if seeks else "on"])
        figures = [_figure(name, ask) for name, ask in _requests(operator)]
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'")
        if cursor.fetchone() == (1,):
            cursor.execute(_statements_with("gin_trgm_ops"))
            searches = [(name, ask) for name, ask in _requests(operator) if "search for" in name]
            figures += [_figure(f"{name}, indexed", ask) for name, ask in searches]
        cursor.execute(SIZES, [payments, payments])
        bytes_each, indexes = cursor.fetchone()
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(UNUSED)
        unused = [name for (name,) in cursor.fetchall()]
    return Measurement(figures=figures, bytes_each=bytes_each, indexes=indexes, unused=unused)


def _statements_with(word: str) -> str:
    """Return the SQL of docs/scaling.md that has a word."""
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if word in block)


def _requests(operator: Client) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is asked for, and what asks for it."""
    from payments.models import Payment  # noqa: PLC0415

    payment = Payment.objects.filter(status="captured").order_by("created_at")[100]
    terms = _terms()
    pages = {**_api_addresses(payment, terms), **_admin_addresses(payment, terms)}
    for name, address in pages.items():
        yield name, partial(_get, operator, address)
    yield from _jobs().items()


def _get(operator: Client, address: str) -> object:
    answer: Any = operator.get(address)
    assert answer.status_code == 200, (address, answer.status_code, answer.content[:300])
    return answer.content


def _terms() -> dict[str, str]:
    """Return what is searched for; the last customer's address is no part of another's."""
    from django.contrib.auth.models import User  # noqa: PLC0415

    address = User.objects.filter(email__endswith="customer7@shop.test").order_by("-id")[0].email
    return {
        "an order's number": "SG-7-3",
        "an e-mail address": address,
        "a piece of an e-mail address": address.partition("@")[0],
        "nothing": "nowhere-to-be-found",
    }


def _api_addresses(payment: Any, found: Mapping[str, str]) -> dict[str, str]:
    day = timezone.now() - timedelta(days=30)
    window = f"created_at_gte={day:%Y-%m-%d}&created_at_lt={day + timedelta(days=1):%Y-%m-%d}"
    terms = {**found, "an id of ours": payment.pk, "a reference": "ref-unknown"}
    return {
        **{
            f"staff {name}?{query}": f"/payments/staff/{name}/?{query}"
            for name, queries in FILTERS.items()
            for query in ("", *queries)
        },
        **{f"staff {name}, a day": f"/payments/staff/{name}/?{window}" for name in FILTERS},
        **{
            f"staff {name}, search for {what}": f"/payments/staff/{name}/?q={term}"
            for name in FILTERS
            for what, term in terms.items()
        },
        "staff payment": f"/payments/staff/payments/{payment.pk}/",
        "health": "/payments/health/",
    }


def _admin_addresses(payment: Any, found: Mapping[str, str]) -> dict[str, str]:
    from payments.models import Refund  # noqa: PLC0415

    root, terms = "/admin/payments", {**found, "an id of ours": payment.pk}
    return {
        **{f"admin {model}": f"{root}/{model}/" for model in MODELS},
        **{f"admin {model}, second page": f"{root}/{model}/?p=2" for model in MODELS},
        **{
            f"admin {model}, search for {what}": f"{root}/{model}/?q={term}"
            for model in MODELS[:3]
            for what, term in terms.items()
        },
        "admin collections, charged back": f"{root}/paymentcollection/?charged_back=yes",
        "admin collections, completed": f"{root}/paymentcollection/?status__exact=completed",
        "admin collection": f"{root}/paymentcollection/{payment.collection_id}/change/",
        "admin payment": f"{root}/payment/{payment.pk}/change/",
        "admin capture": f"{root}/capture/{payment.captures.get().pk}/change/",
        "admin refund": f"{root}/refund/{Refund.objects.order_by('id')[0].pk}/change/",
        "admin operations, declined with a code": f"{root}/paymentoperation/?error_code__exact=card_declined",
        "admin overview": f"{root}/paymentcollection/overview/",
    }


def _jobs() -> dict[str, Callable[[], object]]:
    from payments import services  # noqa: PLC0415
    from payments.services.background.jobs import prune  # noqa: PLC0415
    from payments.services.background.summaries import sum_ended_days  # noqa: PLC0415

    jobs: dict[str, Callable[[], object]] = {
        "reconcile": services.reconcile_due,
        "inbox": services.process_due_events,
        "outbox": services.publish_due,
        "expiry": services.sweep_expired,
        "charges": services.charge_due_installments,
        "summaries": lambda: sum_ended_days(limit=1),
        "prune": lambda: prune(events_older_than=timedelta(days=900)),
    }
    return {f"{name}, nothing due": job for name, job in jobs.items()}


def _figure(name: str, ask: Callable[[], object]) -> Figure:
    ask()  # whatever is read for the first time
    with CaptureQueriesContext(connection) as queries:
        ask()
    statements = len(queries)  # the next request empties the log
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return Figure(name=name, queries=statements, milliseconds=min(times) * 1000)


def _measured(url: str, payments: int, *, seeks: bool) -> Measurement:
    """Measure in a process of its own, since Django knows one database from its set-up on."""
    options = ["--url", url, "--payments", str(payments), *(["--seeks"] if seeks else [])]
    command = [sys.executable, "-m", "tests.benchmarks.growth", *options]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    read: dict[str, Any] = json.loads(done.stdout)
    return Measurement(**{**read, "figures": [Figure(**each) for each in read["figures"]]})


def _table(found: Mapping[int, Measurement]) -> str:
    heads = ["what", "statements", *(f"{size:,} ms" for size in found), "last ÷ first"]
    rows = []
    for figures in zip(*(each.figures for each in found.values()), strict=True):
        times = [figure.milliseconds for figure in figures]
        ratio = f"{times[-1] / times[0]:.2f}"
        rows.append([figures[-1].name, figures[-1].queries, *(f"{each:.1f}" for each in times), ratio])
    return reports.table(heads, rows)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--url", help="the address of the database in which this process measures")
    parser.add_argument("--seeks", action="store_true", help="have no table read whole that has an index")
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
