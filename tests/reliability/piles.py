"""Work that is due for each background job, as many rows of it as a test wants, and what one sees of each row's end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from payments import models, services, signals
from payments.exceptions import PaymentError
from payments.providers import encode_fact
from payments.services.ledger.history import Origin, event_of
from payments.states import SessionStatus, WebhookEventStatus
from payments.testing import Script
from payments.testing.factories import CustomerFactory
from tests.outbox.listeners import Listener, receiving
from tests.reliability.banks import Bank, after, lost, open_collection, open_session
from tests.reliability.clocks import TestClock

Action = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class World:
    """Hold what the work of all jobs is made of."""

    bank: Bank
    script: Script
    clock: TestClock
    listener: Listener


@dataclass(frozen=True, kw_only=True)
class Pile:
    """Say how a job's work is made, and looked at.

    `make` makes so many rows, all due, and `batch` works off up to so many of them; `interrupt` has something happen
    once while the first is worked on. `left` counts what isn't done yet, `done` how often each row was done.
    """

    make: Callable[[World, int], None]
    batch: Callable[[int], object]
    interrupt: Callable[[World, Action], Any]
    left: Callable[[], int]
    done: Callable[[World], Counter[str]]


def _once(action: Action) -> Callable[..., None]:
    waiting = iter([action])

    def act(**_values: Any) -> None:
        for each in waiting:
            each()

    return act


@contextmanager
def _when_told(signal: Any, action: Action) -> Iterator[None]:
    with receiving(signal, _once(action)):
        yield


@contextmanager
def _when_asked(world: World, verb: str, action: Action) -> Iterator[None]:
    world.bank.next(verb, after(action))
    yield


def _events(event_type: str) -> Counter[str]:
    rows = models.PaymentEvent.objects.filter(type=event_type)
    return Counter(rows.values_list("session_id", flat=True))


# The inbox: reports that sessions are authorized.


def _make_reports(world: World, number: int) -> None:
    for position in range(number):
        session = open_session(open_collection())
        world.bank.pay(session)
        event = models.WebhookEvent(
            provider=models.PaymentProvider.objects.get(pk="bank"),
            event_id=f"evt_{position}",
            type="authorized",
            session=session,
            fact=encode_fact(world.bank.fact(session)),
            next_attempt_at=timezone.now(),
        )
        event.save(force_insert=True)


# The reconciler: cancelations that got lost.


def _lose_cancelations(world: World, number: int) -> None:
    for _each in range(number):
        session = open_session(open_collection())
        world.bank.next("cancel", lost)
        with suppress(PaymentError):
            services.cancel_payment_session(session)
    world.clock.advance(timedelta(minutes=2))


def _sent_again(world: World) -> Counter[str]:
    sent = Counter(request.session_id for request in world.bank.requests("cancel"))
    return sent - Counter(dict.fromkeys(sent, 1))


# The outbox: collections of which nobody was told.


def leave_behind(world: World, number: int) -> None:
    """Make collections of whose creation nobody was told."""
    collections = [
        models.PaymentCollection(amount=Decimal(100), currency_code="eur") for _each in range(number)
    ]
    models.PaymentCollection.objects.bulk_create(collections)
    models.PaymentEvent.objects.bulk_create(
        event_of(collection, "collection.created", collection, Origin()) for collection in collections
    )


# The expiry sweeper: sessions whose time is over.


def _let_expire(world: World, number: int) -> None:
    for _each in range(number):
        session = open_session(open_collection())
        models.PaymentSession.objects.filter(pk=session.pk).update(expires_at=session.created_at)


# Installments that are due, to be told of or to be charged.


def _have_due(world: World, number: int) -> None:
    first = timezone.now() - timedelta(days=number)
    services.create_installment_plan(
        open_collection(), provider_id="bank", count=number, interval="day", first_due_at=first
    )


def _have_chargeable(world: World, number: int) -> None:
    collection, customer = open_collection(), CustomerFactory.create()
    models.PaymentCollection.objects.filter(pk=collection.pk).update(customer=customer)
    services.create_account_holder(customer, provider_id="scripted")
    first = timezone.now() - timedelta(days=number)
    services.create_installment_plan(
        collection,
        provider_id="scripted",
        count=number,
        interval="day",
        first_due_at=first,
        is_automatic=True,
    )


def _charged(world: World) -> Counter[str]:
    return Counter(request.session_id for request in world.script.requests("authorize"))


PILES: Final = {
    "inbox": Pile(
        make=_make_reports,
        batch=lambda limit: services.process_due_events(limit=limit),
        interrupt=lambda world, action: _when_told(signals.session_authorized, action),
        left=lambda: models.WebhookEvent.objects.exclude(status=WebhookEventStatus.APPLIED).count(),
        done=lambda world: _events("session.authorized"),
    ),
    "reconciler": Pile(
        make=_lose_cancelations,
        batch=lambda limit: services.reconcile_due(limit=limit),
        interrupt=lambda world, action: _when_asked(world, "retrieve", action),
        left=lambda: models.PaymentOperation.objects.open().count(),
        done=_sent_again,
    ),
    "outbox": Pile(
        make=leave_behind,
        batch=lambda limit: services.publish_due(limit=limit),
        interrupt=lambda world, action: _when_told(signals.collection_created, action),
        left=lambda: models.PaymentEvent.objects.unpublished().count(),
        done=lambda world: Counter(event.collection_id for event in world.listener.heard),
    ),
    "expiry": Pile(
        make=_let_expire,
        batch=lambda limit: services.sweep_expired(limit=limit),
        interrupt=lambda world, action: _when_asked(world, "cancel", action),
        left=lambda: models.PaymentSession.objects.unauthorized().count(),
        done=lambda world: Counter(request.session_id for request in world.bank.requests("cancel")),
    ),
    "installments": Pile(
        make=_have_due,
        batch=lambda limit: services.notify_due_installments(limit=limit),
        interrupt=lambda world, action: _when_told(signals.session_due, action),
        left=lambda: models.PaymentSession.objects.exclude(events__type="session.due").count(),
        done=lambda world: _events("session.due"),
    ),
    "charges": Pile(
        make=_have_chargeable,
        batch=lambda limit: services.charge_due_installments(limit=limit),
        interrupt=lambda world, action: _when_told(signals.session_authorized, action),
        left=lambda: models.PaymentSession.objects.filter(status=SessionStatus.PENDING).count(),
        done=_charged,
    ),
}
