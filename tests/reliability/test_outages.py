"""A provider that is away for hours keeps no other provider's rows waiting, and its own rows keep their retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, get_args

import pytest
from django.utils import timezone

from payments import services
from payments.exceptions import PaymentError
from payments.models import PaymentCollection, PaymentOperation, PaymentSession, WebhookEvent
from payments.providers import RetrieveResult, SessionFact
from payments.providers.circuits import LOST, REST, UNANSWERED, Circuits
from payments.services.providers import provider_row
from payments.states import Outcome, SessionStatus, WebhookEventStatus
from payments.testing import Script, scripted_provider
from payments.testing.factories import CustomerFactory
from payments.testing.scripted import Verb
from tests.reliability.banks import open_collection
from tests.reliability.clocks import TestClock
from tests.reliability.places import run_job

pytestmark = pytest.mark.django_db(transaction=True)

AWAY: Final = "away"
THERE: Final = "there"
BATCH: Final = 4
WAITING: Final = 3 * BATCH
"""How many rows of the provider that is away are due before the others'."""


@dataclass(frozen=True, kw_only=True)
class Providers:
    """What the provider that will be away and the other one answer."""

    away: Script
    there: Script

    def begin_outage(self) -> None:
        """Have every call to one of them time out."""
        self.away.calls.clear()
        for verb in get_args(Verb):
            self.away.always(verb, TimeoutError())

    def end_outage(self) -> None:
        """Have it answer again."""
        self.away._standing.clear()
        self.away.always("retrieve", _authorized)


@pytest.fixture
def providers(transactional_db: None, clock: TestClock) -> Iterator[Providers]:
    """Return two providers, which both answer at first."""
    with scripted_provider(alias=AWAY) as away, scripted_provider(alias=THERE) as there:
        for script in (away, there):
            script.always("retrieve", _authorized)
        yield Providers(away=away, there=there)


def _authorized(request: Any) -> RetrieveResult:
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=request.amount)
    return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)


def _new_session(alias: str) -> PaymentSession:
    return services.create_payment_session(open_collection(), provider_id=alias)


def _make_hint(alias: str, script: Script) -> None:
    session = _new_session(alias)
    WebhookEvent.objects.create(
        provider=provider_row(alias), event_id=session.pk, type="changed", session=session
    )


def _make_lost(alias: str, script: Script) -> None:
    session = _new_session(alias)
    script.next("cancel", TimeoutError())
    with suppress(PaymentError):
        services.cancel_payment_session(session)
    script.always("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED))
    PaymentOperation.objects.open().filter(session=session).update(next_attempt_at=timezone.now())


def _make_expired(alias: str, script: Script) -> None:
    session = _new_session(alias)
    PaymentSession.objects.filter(pk=session.pk).update(expires_at=timezone.now())


def _make_chargeable(alias: str, script: Script) -> None:
    customer, collection = CustomerFactory.create(), open_collection()
    PaymentCollection.objects.filter(pk=collection.pk).update(customer=customer)
    collection.refresh_from_db()
    services.create_account_holder(customer, provider_id=alias)
    agreed: dict[str, Any] = {"count": 1, "interval": "month", "is_automatic": True}
    services.create_installment_plan(collection, provider_id=alias, **agreed)


def _waiting_sessions(alias: str) -> int:
    return PaymentSession.objects.unauthorized().filter(provider=alias).count()


def _waiting_events(alias: str) -> int:
    return WebhookEvent.objects.exclude(status=WebhookEventStatus.APPLIED).filter(provider=alias).count()


def _waiting_operations(alias: str) -> int:
    return PaymentOperation.objects.open().filter(provider=alias).count()


JOBS: Final[dict[str, tuple[Callable[[str, Script], None], Callable[[str], int]]]] = {
    "inbox": (_make_hint, _waiting_events),
    "reconciler": (_make_lost, _waiting_operations),
    "expiry": (_make_expired, _waiting_sessions),
    "charges": (_make_chargeable, _waiting_sessions),
}


@pytest.mark.shows(
    "A provider answers no call for hours, and many of its rows are due before those of the others",
    "After a few calls the rest of its rows wait, with all their retries; the others are done in the same run",
)
@pytest.mark.parametrize("job", JOBS)
def test_rows_of_other_providers_are_done_in_the_same_run(providers: Providers, job: str) -> None:
    make, waiting = JOBS[job]
    for alias, script, number in ((AWAY, providers.away, WAITING), (THERE, providers.there, BATCH + 1)):
        for _each in range(number):
            make(alias, script)
    providers.begin_outage()
    run_job(job, BATCH)
    assert (waiting(AWAY), waiting(THERE)) == (WAITING, 0)
    assert len(providers.away.calls) <= UNANSWERED + 1
    assert WebhookEvent.objects.filter(provider=AWAY, attempts__gt=0).count() <= UNANSWERED
    assert not PaymentOperation.objects.filter(lease_expires_at__gt=timezone.now()).exists()
    assert not WebhookEvent.objects.filter(lease_expires_at__gt=timezone.now()).exists()


@pytest.mark.shows(
    "A provider answers again after an outage", "The next run does what was left, without anybody's help"
)
@pytest.mark.parametrize("job", ["inbox", "reconciler"])
def test_what_was_left_is_done_when_the_provider_is_back(
    providers: Providers, clock: TestClock, job: str
) -> None:
    make, waiting = JOBS[job]
    for _each in range(WAITING):
        make(AWAY, providers.away)
    providers.begin_outage()
    run_job(job, BATCH)
    providers.end_outage()
    if job == "reconciler":
        providers.away.always("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED))
    run_job(job, BATCH)
    assert waiting(AWAY) <= UNANSWERED
    clock.advance(timedelta(minutes=6))
    run_job(job, BATCH)
    assert waiting(AWAY) == 0


# The circuits by themselves


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time of circuits, for the test to move, as a list of one number."""
    now = [0.0]
    monkeypatch.setattr("payments.providers.circuits.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_few_quick_failures_in_a_row_open_a_circuit_and_one_more_opens_it_again(
    passing: list[float],
) -> None:
    found = Circuits()
    for _each in range(UNANSWERED):
        assert found.open() == []
        found.note(AWAY, Outcome.NOT_SENT, 0.01)
    assert found.open() == [AWAY]
    passing[0] = LOST
    assert found.open() == []
    found.note(AWAY, Outcome.UNKNOWN, 0.01)
    assert found.open() == [AWAY]


def test_an_answer_closes_a_circuit(passing: list[float]) -> None:
    found = Circuits()
    for _each in range(10 * UNANSWERED):
        found.note(AWAY, Outcome.UNKNOWN, 0.01)
        found.note(AWAY, Outcome.DECLINED, 0.01)
    assert found.open() == []


def test_one_long_timeout_is_enough_and_a_tenth_of_the_time_is_lost_at_most(passing: list[float]) -> None:
    found = Circuits()
    found.note(AWAY, Outcome.UNKNOWN, 30.0)
    passing[0] = 30 * REST - 1.0
    assert found.open() == [AWAY]
    passing[0] += 2
    assert found.open() == []
