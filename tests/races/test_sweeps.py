"""The sweep of what has expired: it lets go of what was not paid in time, and never of what was paid meanwhile.

A sweep lists up to a hundred rows and works them off one after another, each for as long as its bank takes. Meanwhile
payers come back from their bank's page, and the shop is told of it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from payments import services
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.races.meanwhile import (
    assert_canceled,
    assert_still_held,
    meanwhile,
    pay,
    send_to_the_bank,
    the_other_is_paid,
)
from tests.races.places import Checkpoint
from tests.reliability.clocks import TestClock

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
CANCEL = OperationKind.CANCEL


@pytest.fixture
def expired(transactional_db: None, simulator: SimulatorService, clock: TestClock) -> list[PaymentSession]:
    """Return two sessions of orders of their own whose payers are at their bank, and whose time is over."""
    sessions = []
    for minutes in (20, 30):
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        session = services.create_payment_session(collection, provider_id="simulator")
        sessions.append(send_to_the_bank(simulator, session))
        expire_at(session, timezone.now() + timedelta(minutes=minutes))
    clock.advance(HOUR)
    return sessions


def expire_at(session: PaymentSession, moment: Any) -> None:
    """Let a session's time be over at a moment."""
    PaymentSession.objects.filter(pk=session.pk).update(expires_at=moment)


@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED])
def test_sweep_leaves_what_was_paid_meanwhile(
    expired: list[PaymentSession], simulator: SimulatorService, point: Checkpoint
) -> None:
    with the_other_is_paid(simulator, expired, point) as pair:
        report = services.sweep_expired()

    assert report.canceled == 1
    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
    assert not PaymentOperation.objects.open().exists()


def test_sweep_leaves_what_was_paid_between_its_claim_and_its_call(
    expired: list[PaymentSession], simulator: SimulatorService
) -> None:
    first, second = expired

    with meanwhile(lambda: pay(simulator, first), Checkpoint.CLAIMED, of=CANCEL, session=first):
        report = services.sweep_expired()

    assert report.canceled == 1
    assert_still_held(simulator, first)
    assert_canceled(simulator, second)
    assert not PaymentOperation.objects.open().exists()


def test_order_that_was_paid_during_a_sweep_stays_paid(
    expired: list[PaymentSession], simulator: SimulatorService, clock: TestClock
) -> None:
    with the_other_is_paid(simulator, expired, Checkpoint.CALLED) as pair:
        services.sweep_expired()

    clock.advance(HOUR)
    services.sweep_expired()
    services.reconcile_due()

    assert_still_held(simulator, pair.paid)
    collection = PaymentCollection.objects.get(pk=pair.paid.collection_id)
    assert (collection.status, collection.authorized_amount) == ("authorized", Decimal(100))


def test_of_eight_payers_who_come_back_during_a_sweep_nobody_has_paid_in_vain(
    transactional_db: None, simulator: SimulatorService, clock: TestClock
) -> None:
    sessions = []
    for number in range(8):
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        sessions.append(services.create_payment_session(collection, provider_id="simulator"))
        expire_at(sessions[-1], timezone.now() + timedelta(minutes=number))
    clock.advance(HOUR)
    first, *others = sessions

    def all_others_pay() -> None:
        for session in others:
            pay(simulator, session)

    with meanwhile(all_others_pay, Checkpoint.CALLED, of=CANCEL, session=first):
        services.sweep_expired()

    assert_canceled(simulator, first)
    for session in others:
        assert_still_held(simulator, session)


def test_sweep_leaves_a_session_that_was_given_more_time_meanwhile(
    expired: list[PaymentSession], simulator: SimulatorService
) -> None:
    first, second = expired
    later = timezone.now() + HOUR

    with meanwhile(lambda: expire_at(second, later), Checkpoint.CLAIMED, of=CANCEL, session=first):
        services.sweep_expired()

    assert_canceled(simulator, first)
    assert simulator.calls(operation="cancel", reference=second.pk) == []
    pay(simulator, second)
    assert_still_held(simulator, second)


def test_sweep_leaves_a_hold_that_was_prolonged_meanwhile(
    expired: list[PaymentSession], simulator: SimulatorService
) -> None:
    first, second = expired
    for minutes, session in enumerate([second, first], start=1):
        pay(simulator, session)
        over = timezone.now() - timedelta(minutes=minutes)
        Payment.objects.filter(session=session).update(expires_at=over)

    def prolong() -> None:
        Payment.objects.filter(session=second).update(expires_at=timezone.now() + HOUR)

    with meanwhile(prolong, Checkpoint.CLAIMED, of=CANCEL, session=first):
        services.sweep_expired()

    assert_canceled(simulator, first)
    assert_still_held(simulator, second)


def test_sweep_still_releases_a_hold_whose_time_is_over(
    expired: list[PaymentSession], simulator: SimulatorService
) -> None:
    for session in expired:
        pay(simulator, session)
    Payment.objects.update(expires_at=timezone.now() - HOUR)

    assert services.sweep_expired().canceled == 2

    for session in expired:
        assert_canceled(simulator, session)
