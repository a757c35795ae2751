"""Measures the admin at 2,000 and 200,000 collections: `python -m tests.admin.bench [ROWS ...]`, run by hand.

Each size gets an SQLite file of its own, filled in bulk: a collection, session, payment, capture, two operations and
six events each, spread over a year. What is reported is the median of several requests, and of the queries the number.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings

SIZES: Final = (2_000, 200_000)
ROUNDS: Final = 7
BATCH: Final = 2_000


def main(sizes: tuple[int, ...]) -> None:
    """Measure every size in a process of its own, since a process has one database."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            _child(size, Path(folder) / "bench.sqlite3")


def _child(size: int, path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        _measure(size, path)
        os._exit(0)
    os.waitpid(pid, 0)


def _measure(size: int, path: Path) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.DATABASES["default"]["NAME"] = path
    settings.ALLOWED_HOSTS = ["testserver"]
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - only a set-up Django can be imported from

    call_command("migrate", verbosity=0)
    started = time.perf_counter()
    key = _fill(size)
    sys.stdout.write(f"{size} collections, filled in {time.perf_counter() - started:.0f} s\n")
    for name, url in _urls(key):
        milliseconds, queries = _time(url)
        sys.stdout.write(f"  {name:<34} {milliseconds:7.1f} ms  {queries} queries\n")
        sys.stdout.flush()
    sys.stdout.flush()


def _urls(key: str) -> Iterator[tuple[str, str]]:
    base = "/admin/payments/"
    yield "collections", f"{base}paymentcollection/"
    yield "collections, by status", f"{base}paymentcollection/?status__exact=completed"
    yield "collections, needing attention", f"{base}paymentcollection/?operations=attention"
    yield "collections, by e-mail address", f"{base}paymentcollection/?q=shopper7@"
    yield "collections, by id", f"{base}paymentcollection/?q={key}"
    yield "a collection", f"{base}paymentcollection/{key.replace('_', '_5F')}/change/"
    yield "payments", f"{base}payment/"
    yield "operations, needing attention", f"{base}paymentoperation/?status__exact=attention"
    yield "events", f"{base}paymentevent/"
    yield "overview, 30 days", f"{base}paymentcollection/overview/"


def _time(url: str) -> tuple[float, int]:
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    client = Client()
    client.force_login(get_user_model().objects.get(username="olivia"))
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    times = []
    for _round in range(ROUNDS):
        started = time.perf_counter()
        client.get(url)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times), len(queries)


def _fill(size: int) -> str:
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from payments.models import PaymentProvider  # noqa: PLC0415

    users = get_user_model()
    users.objects.create_superuser("olivia", password="password")
    users.objects.bulk_create(
        users(username=f"shopper{number}", email=f"shopper{number}@shop.example") for number in range(500)
    )
    customers = list(users.objects.filter(is_staff=False).values_list("pk", flat=True))
    PaymentProvider.objects.bulk_create(PaymentProvider(pk=alias) for alias in ("system", "simulator"))
    now, last = timezone.now(), ""
    for first in range(0, size, BATCH):
        numbers = range(first, min(first + BATCH, size))
        moments = [now - timedelta(days=365) * (1 - number / size) for number in numbers]
        last = _insert(numbers, moments, customers)
    return last


def _insert(numbers: range, moments: list[datetime], customers: list[int]) -> str:
    from payments import models  # noqa: PLC0415

    rows: dict[str, list[Any]] = {
        name: [] for name in ("collection", "session", "payment", "capture", "operation", "event")
    }
    for number, moment in zip(numbers, moments, strict=True):
        _one(rows, number, moment, customers[number % len(customers)])
    models.PaymentCollection.objects.bulk_create(rows["collection"])
    models.PaymentSession.objects.bulk_create(rows["session"])
    models.Payment.objects.bulk_create(rows["payment"])
    models.Capture.objects.bulk_create(rows["capture"])
    models.PaymentOperation.objects.bulk_create(rows["operation"])
    models.PaymentEvent.objects.bulk_create(rows["event"])
    return str(rows["collection"][-1].pk)


def _one(rows: dict[str, list[Any]], number: int, moment: datetime, customer: int) -> None:
    from payments import models  # noqa: PLC0415

    amount = Decimal(10 + number % 90)
    common: dict[str, Any] = {"created_at": moment, "amount": amount}
    provider = "simulator" if number % 3 else "system"
    collection = models.PaymentCollection(
        **common,
        currency_code="eur" if number % 10 else "jpy",
        status="completed",
        authorized_amount=amount,
        captured_amount=amount,
        customer_id=customer,
        completed_at=moment,
    )
    session = models.PaymentSession(
        **common,
        collection=collection,
        provider_id=provider,
        status="authorized",
        provider_reference=f"ref-{number}",
        initiated_at=moment,
        authorized_at=moment,
    )
    payment = models.Payment(
        **common,
        collection=collection,
        session=session,
        provider_id=provider,
        status="captured",
        captured_amount=amount,
        provider_reference=f"ref-{number}",
        captured_at=moment,
    )
    capture = models.Capture(**common, payment=payment, status="succeeded", succeeded_at=moment)
    rows["collection"].append(collection)
    rows["session"].append(session)
    rows["payment"].append(payment)
    rows["capture"].append(capture)
    for kind in ("authorize", "capture"):
        rows["operation"].append(_operation(kind, number, collection, session, common))
    rows["event"] += [
        models.PaymentEvent(
            type=event_type,
            collection=collection,
            session=session,
            source="api",
            created_at=moment,
            amount=amount,
        )
        for event_type in (
            "collection.created",
            "session.created",
            "session.authorized",
            "payment.authorized",
            "payment.captured",
            "collection.completed",
        )
    ]


def _operation(kind: str, number: int, collection: Any, session: Any, common: dict[str, Any]) -> Any:
    from payments import models  # noqa: PLC0415

    status = "attention" if number % 5_000 == 0 and kind == "capture" else "succeeded"
    operation = models.PaymentOperation(
        **common,
        kind=kind,
        status=status,
        collection=collection,
        session=session,
        provider_id=session.provider_id,
        target_id=session.pk,
        idempotency_key=f"{kind}-{number}",
    )
    if status == "attention":
        operation.in_flight_key = models.PaymentOperation.key_in_flight(target_id=session.pk, kind=kind)
    return operation


if __name__ == "__main__":
    main(tuple(int(each) for each in sys.argv[1:]) or SIZES)
