"""Workers side by side share what is due, and none of them stops while something is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from typing import Any, Final

import pytest
from celery import Celery
from django.core.management import call_command

import payments.contrib.celery  # noqa: F401 - it has the tasks
from payments import signals
from payments.exceptions import ProviderUnavailableError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.states import SessionStatus
from payments.testing import Script
from tests.background.workers import celery_shop, output_of, worker
from tests.outbox.listeners import Listener, receiving
from tests.reliability.banks import Act, Bank, open_collection
from tests.reliability.clocks import TestClock
from tests.reliability.piles import PILES, Pile, World
from tests.reliability.places import run_job
from tests.threads import aside, together

pytestmark = pytest.mark.django_db(transaction=True)

BATCH: Final = 2
"""How many rows a worker takes at a time, out of six."""

every_job = pytest.mark.parametrize("job", PILES)


@pytest.fixture
def world(transactional_db: None, bank: Bank, script: Script, clock: TestClock) -> Iterator[World]:
    """Return what work is made of."""
    with Listener() as listener:
        yield World(bank=bank, script=script, clock=clock, listener=listener)


@pytest.fixture
def shop() -> Iterator[Celery]:
    """Return the shop's Celery app, which runs tasks where they are sent."""
    with celery_shop() as app:
        yield app


def work_off(job: str) -> None:
    """Work off a job as the command does that is run by cron."""
    call_command("payments_worker", job, "--once", "--limit", str(BATCH), stdout=StringIO())


def assert_all_done_once(world: World, pile: Pile, number: int) -> None:
    """See that nothing is left, and that each row was done once."""
    assert pile.left() == 0
    done = pile.done(world)
    assert (len(done), set(done.values())) == (number, {1})


# One worker, and more than one batch


@pytest.mark.shows(
    "More is due than a batch, and a task queue starts a task for it", "The task goes on until nothing is due"
)
@every_job
def test_task_goes_on_while_something_is_due(world: World, job: str) -> None:
    pile = PILES[job]
    pile.make(world, 2 * BATCH + 1)
    assert run_job(job, BATCH) == 2 * BATCH + 1
    assert_all_done_once(world, pile, 2 * BATCH + 1)


@pytest.mark.parametrize("job", ["inbox", "outbox"])
def test_celery_task_goes_on_while_something_is_due(world: World, shop: Celery, job: str) -> None:
    pile = PILES[job]
    pile.make(world, 2 * BATCH + 1)
    shop.finalize()
    shop.tasks[f"payments.{job}"].delay(limit=BATCH)
    assert_all_done_once(world, pile, 2 * BATCH + 1)


@pytest.mark.shows(
    "A whole batch of expired sessions can't be canceled now, and more wait behind it",
    "The others are canceled in the same run, which ends; those that can't be are left for the next",
)
@pytest.mark.parametrize("run", [work_off, lambda job: run_job(job, BATCH)], ids=["command", "task"])
def test_sweep_goes_on_behind_a_batch_that_is_stuck(world: World, run: Callable[[str], object]) -> None:
    PILES["expiry"].make(world, 3 * BATCH)
    ids = list(PaymentSession.objects.order_by("created_at", "id").values_list("pk", flat=True))
    stuck = set(ids[:BATCH])
    for position, session_id in enumerate(ids):
        moment = world.clock.now() - timedelta(hours=2) + timedelta(minutes=position)
        PaymentSession.objects.filter(pk=session_id).update(expires_at=moment)

    def be_down_for_some(verb: str, request: Any, act: Act) -> Any:
        if request.session_id in stuck:
            raise ProviderUnavailableError("The bank is down.")
        return answer(verb, request, act)

    answer, world.bank.answer = world.bank.answer, be_down_for_some  # type: ignore[method-assign]
    run("expiry")
    left = PaymentSession.objects.exclude(status=SessionStatus.CANCELED).values_list("pk", flat=True)
    assert set(left) == stuck
    tried = PaymentOperation.objects.filter(kind="cancel", session__in=stuck).count()
    assert BATCH <= tried <= 2 * BATCH


# Two workers


@pytest.mark.shows(
    "A worker is in the middle of a batch when another takes one",
    "Both go on to the end: nothing is left, and nothing is done twice",
)
@every_job
def test_workers_side_by_side_leave_nothing_behind(world: World, job: str) -> None:
    pile = PILES[job]
    pile.make(world, 3 * BATCH)
    with pile.interrupt(world, lambda: aside(lambda: pile.batch(BATCH))):
        work_off(job)
    assert_all_done_once(world, pile, 3 * BATCH)


@pytest.mark.shows(
    "Two publishers look for what nobody was told of, at the same time", "Each takes other collections"
)
def test_publishers_take_different_collections(world: World) -> None:
    pile = PILES["outbox"]
    pile.make(world, 2 * BATCH)
    others: list[Any] = []
    with pile.interrupt(world, lambda: others.append(aside(lambda: pile.batch(BATCH)))):
        mine = pile.batch(BATCH)
    assert (mine, others) == (BATCH, [BATCH])
    assert_all_done_once(world, pile, 2 * BATCH)


@pytest.mark.shows(
    "Receivers have failed, and two publishers send the events again",
    "Each event is sent again, by one of them",
)
def test_publishers_leave_no_event_behind_that_has_to_be_sent_again(world: World) -> None:
    def fail(**_values: Any) -> None:
        raise ValueError

    with receiving(signals.collection_created, fail):
        collections = [open_collection() for _each in range(3 * BATCH)]
    world.listener.heard.clear()
    world.clock.advance(timedelta(minutes=2))
    outbox = PILES["outbox"]
    with outbox.interrupt(world, lambda: aside(lambda: outbox.batch(BATCH))):
        work_off("outbox")
    assert outbox.done(world) == Counter(collection.pk for collection in collections)
    assert not PaymentEvent.objects.exclude(next_attempt_at=None).exists()


@pytest.mark.database_independent
@pytest.mark.thorough
@pytest.mark.shows(
    "2,500 collections of which nobody was told, and two publisher processes side by side",
    "Both work to the end, and everything is told",
)
def test_two_processes_tell_of_everything_that_was_left_behind(world: World) -> None:
    pile = PILES["outbox"]
    pile.make(world, 2_500)
    with ExitStack() as stack:
        processes = [stack.enter_context(worker("payments_worker", "outbox", "--once")) for _each in range(2)]
        outputs = together(*[lambda process=process: output_of(process) for process in processes]).values
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert pile.left() == 0, outputs
