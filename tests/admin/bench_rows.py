"""Rows for `tests.admin.bench`: a year of business.

Each collection has an order, a session, a payment, a capture, two operations, a webhook event and six events; every
tenth a refund; a customer has four. `BASE` of them are made by Django, and the database copies them until there are
enough. What is rare, such as an operation that needs attention, is there `RARE` times, however many rows there are,
and lies below all the others, where it is hardest to find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.utils import timezone

from payments import ids
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentProvider,
    PaymentSession,
    Refund,
    WebhookEvent,
)
from tests.admin import bench_copies
from tests.shop.models import Order

BASE: Final = 2_000
RARE: Final = 60
RARE_KINDS: Final = 5
COLLECTIONS_PER_CUSTOMER: Final = 4
ORDER: Final = (
    Order,
    PaymentCollection,
    PaymentSession,
    Payment,
    Capture,
    Refund,
    PaymentOperation,
    WebhookEvent,
    PaymentEvent,
)
EVENTS: Final = (
    "collection.created",
    "session.created",
    "session.authorized",
    "payment.authorized",
    "payment.captured",
    "collection.completed",
)
Rows = defaultdict[type[models.Model], list[Any]]


def fill(size: int) -> dict[str, str]:
    """Insert so many collections, and the rare ones, and return what a search can ask for."""
    customers = _invite(size // COLLECTIONS_PER_CUSTOMER)
    PaymentProvider.objects.bulk_create(PaymentProvider(pk=alias) for alias in ("system", "simulator"))
    now, rare = timezone.now(), RARE * RARE_KINDS
    _insert(range(rare), rare, now, customers, is_rare=True)
    first = ids.new_ulid()
    base = min(size, BASE)
    _insert(range(rare, rare + base), base, now, customers)
    if size > base:
        bench_copies.copy_rows(ORDER, copies=size // base - 1, first_ulid=first, first_number=rare, base=base)
    _analyze()
    return _keys(now)


def _insert(
    numbers: range, count: int, now: datetime, customers: Sequence[int], *, is_rare: bool = False
) -> None:
    rows: Rows = defaultdict(list)
    for index, number in enumerate(numbers):
        moment = now - timedelta(days=365) * (1 - index / count)
        customer = customers[index % (BASE // COLLECTIONS_PER_CUSTOMER) % len(customers)]
        _add(rows, number, moment, customer, rarity=1 + number % RARE_KINDS if is_rare else 0)
    for model in ORDER:
        models.QuerySet(model).bulk_create(rows[model])


def _invite(count: int) -> Sequence[int]:
    users = get_user_model()
    users.objects.create_superuser("olivia", password="password")
    shoppers = (users(username=f"shopper{n}", email=f"shopper{n}@shop.example") for n in range(count))
    users.objects.bulk_create(shoppers, batch_size=BASE)
    return list(users.objects.filter(is_staff=False).order_by("pk").values_list("pk", flat=True))


def _analyze() -> None:
    """Have PostgreSQL look at what it holds, as a server does by itself from time to time."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _keys(now: datetime) -> dict[str, str]:
    collection = PaymentCollection.objects.filter(payments__refunds__isnull=False).latest("id")
    payment = collection.payments.get()
    operation = collection.operations.latest("id")
    return {
        "collection": collection.pk,
        "session": str(payment.session_id),
        "payment": payment.pk,
        "capture": payment.captures.get().pk,
        "refund": payment.refunds.get().pk,
        "operation": operation.pk,
        "webhook": str(WebhookEvent.objects.get(session=payment.session_id).pk),
        "reference": str(payment.provider_reference),
        "key": operation.idempotency_key,
        "payable": str(collection.payable_id),
        "customer": str(collection.customer_id),
        "e-mail address": str(collection.customer.email if collection.customer else ""),
        "piece of e-mail address": "hopper123@sho",
        "nothing": "nobody-has-this",
        "month": quote((now - timedelta(days=30)).isoformat()),
    }


def _add(rows: Rows, number: int, moment: datetime, customer: int, *, rarity: int) -> None:
    """Add a collection and everything that belongs to it; a `rarity` from 1 to 5 makes it one of the rare kinds."""
    amount = Decimal(10 + number % 90)
    is_waiting = rarity == 1
    is_refunded = number % 10 == 0 and not is_waiting
    common: dict[str, Any] = {"created_at": moment, "amount": amount}
    order = Order(pk=number + 1, number=f"O-{number}", total=amount, currency_code="eur")
    collection = PaymentCollection(
        **common,
        currency_code="kwd" if rarity == 2 else "eur" if number % 10 else "jpy",
        status="awaiting" if is_waiting else "completed",
        authorized_amount=0 if is_waiting else amount,
        captured_amount=0 if is_waiting else amount,
        refunded_amount=5 if is_refunded else 0,
        customer_id=customer,
        payable_type=ContentType.objects.get_for_model(Order),
        payable_id=str(order.pk),
        completed_at=None if is_waiting else moment,
    )
    session = PaymentSession(
        **common,
        collection=collection,
        provider_id="simulator" if number % 3 else "system",
        status="error" if is_waiting else "authorized",
        provider_reference=f"ref-{number}",
        initiated_at=moment,
        authorized_at=None if is_waiting else moment,
        error_code="card_declined" if is_waiting else "",
    )
    rows[Order].append(order)
    rows[PaymentCollection].append(collection)
    rows[PaymentSession].append(session)
    if is_waiting:
        rows[PaymentOperation].append(_operation("authorize", "declined", number, session))
    else:
        _add_money(rows, number, session, is_refunded=is_refunded, is_unclear=rarity == 3)
    rows[WebhookEvent].append(_webhook(number, session, "failed" if rarity == 4 else "applied"))
    rows[PaymentEvent] += [_event(kind, session) for kind in EVENTS[: 2 if is_waiting else None]]
    if rarity == 5:
        rows[PaymentEvent].append(_event("fact.discrepancy", session))


def _add_money(
    rows: Rows, number: int, session: PaymentSession, *, is_refunded: bool, is_unclear: bool
) -> None:
    moment = session.created_at
    common: dict[str, Any] = {"created_at": moment, "amount": session.amount}
    payment = Payment(
        **common,
        collection=session.collection,
        session=session,
        provider_id=session.provider_id,
        status="partially_refunded" if is_refunded else "captured",
        captured_amount=session.amount,
        refunded_amount=5 if is_refunded else 0,
        provider_reference=f"ref-{number}",
        captured_at=moment,
    )
    succeeded: dict[str, Any] = {"payment": payment, "status": "succeeded", "succeeded_at": moment}
    rows[Payment].append(payment)
    rows[Capture].append(Capture(**common, **succeeded))
    if is_refunded:
        rows[Refund].append(Refund(created_at=moment, amount=5, **succeeded))
    rows[PaymentOperation] += [
        _operation("authorize", "succeeded", number, session),
        _operation("capture", "attention" if is_unclear else "succeeded", number, session, payment=payment),
    ]


def _operation(
    kind: str, status: str, number: int, session: PaymentSession, *, payment: Payment | None = None
) -> PaymentOperation:
    operation = PaymentOperation(
        created_at=session.created_at,
        amount=session.amount,
        kind=kind,
        status=status,
        collection=session.collection,
        session=session,
        payment=payment,
        provider_id=session.provider_id,
        target_id=session.pk,
        idempotency_key=f"{kind}-{number}",
        error_code="card_declined" if status == "declined" else "",
        finished_at=None if status == "attention" else session.created_at,
        detail="unresolved" if status == "attention" else "",
    )
    if status == "attention":
        operation.in_flight_key = PaymentOperation.key_in_flight(target_id=session.pk, kind=kind)
    return operation


def _webhook(number: int, session: PaymentSession, status: str) -> WebhookEvent:
    return WebhookEvent(
        created_at=session.created_at,
        provider_id=session.provider_id,
        event_id=f"evt-{number}",
        type="payment.captured",
        provider_reference=session.provider_reference,
        session=session,
        status=status,
        next_attempt_at=None,
        applied_at=session.created_at if status == "applied" else None,
    )


def _event(kind: str, session: PaymentSession) -> PaymentEvent:
    return PaymentEvent(
        type=kind,
        collection=session.collection,
        session=session,
        source="shop",
        created_at=session.created_at,
        published_at=session.created_at,
        amount=session.amount,
    )
