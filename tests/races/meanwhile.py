"""What happens meanwhile: the payer pays, or somebody else acts, at an exact moment of what a test does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from django.db import connection, models, transaction

from payments import services
from payments.exceptions import PaymentError
from payments.models import PaymentOperation, PaymentSession
from payments.simulator import SimulatorService
from payments.states import OperationKind, OperationStatus, SessionStatus
from tests.races.places import Checkpoint, watching
from tests.reliability.books import our_books, their_books
from tests.threads import aside
from tests.webhooks.deliveries import bodies, deliver

Action = Callable[[], Any]


@contextmanager
def meanwhile(
    action: Action, point: Checkpoint, *, of: OperationKind, session: PaymentSession | None = None
) -> Iterator[None]:
    """Run `action` on another connection when an operation of a kind first comes to a point; it has to come there.

    `session` names the one whose operation it has to be, where there are several.
    """
    mine, came = threading.current_thread(), threading.Event()

    def look(reached: Checkpoint, operation: PaymentOperation) -> None:
        is_meant = session is None or operation.session_id == session.pk
        is_here = (reached, operation.kind, threading.current_thread()) == (point, of, mine)
        if is_meant and is_here and not came.is_set():
            came.set()
            aside(action)

    with watching(look):
        yield
    assert came.is_set(), f"no {of} came to {point}"


@contextmanager
def before_the_next_transaction(
    action: Action, *, after_writing: type[models.Model] | None = None
) -> Iterator[None]:
    """Run `action` on another connection right before this thread's next transaction begins; there has to be one.

    What the thread has read by then may be old when it takes its lock. With a model, it is the next transaction after
    the one that has written a row of it.
    """
    mine, came, enter = threading.current_thread(), threading.Event(), transaction.Atomic.__enter__
    armed = threading.Event()
    if after_writing is None:
        armed.set()

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if after_writing is not None and sql.startswith("INSERT") and after_writing._meta.db_table in sql:
            armed.set()
        return run(sql, params, many, context)

    def look(atomic: transaction.Atomic) -> None:
        is_first = armed.is_set() and not came.is_set() and threading.current_thread() is mine
        if is_first and not transaction.get_connection(atomic.using).in_atomic_block:
            came.set()
            aside(action)
        enter(atomic)

    with mock.patch.object(transaction.Atomic, "__enter__", look), connection.execute_wrapper(execute):
        yield
    assert came.is_set(), "no transaction has begun"


@dataclass(kw_only=True)
class Pair:
    """Two sessions, of which one is canceled first, and the other is paid during that."""

    canceled: PaymentSession
    paid: PaymentSession


@contextmanager
def the_other_is_paid(
    simulator: SimulatorService, sessions: Sequence[PaymentSession], point: Checkpoint
) -> Iterator[Pair]:
    """When the first cancelation of one of two sessions comes to a point, have the other's payer pay."""
    one, other = sessions
    mine, came, pair = threading.current_thread(), threading.Event(), Pair(canceled=one, paid=other)

    def look(reached: Checkpoint, operation: PaymentOperation) -> None:
        is_here = (reached, operation.kind, threading.current_thread()) == (point, OperationKind.CANCEL, mine)
        if not is_here or came.is_set() or operation.session_id not in (one.pk, other.pk):
            return
        came.set()
        if operation.session_id == other.pk:
            pair.canceled, pair.paid = other, one
        aside(lambda: pay(simulator, pair.paid))

    with watching(look):
        yield pair
    assert came.is_set(), f"no cancelation came to {point}"


def whatever_comes_of(verb: Action) -> None:
    """Run a verb that may as well refuse, since what it was asked for has become another thing meanwhile."""
    try:
        verb()
    except PaymentError:
        return


# Payers, and the bank of the simulator


def send_to_the_bank(simulator: SimulatorService, session: PaymentSession) -> PaymentSession:
    """Have a session's payer sent to the page of their bank, which wants a code of them."""
    simulator.script(operation="authorize", fault="challenge", reference=session.pk)
    services.authorize_payment_session(session)
    assert session.status == SessionStatus.REQUIRES_MORE
    return session


def pay(simulator: SimulatorService, session: PaymentSession) -> None:
    """Have the payer do at the bank what is asked of them, and the bank's event applied."""
    (intent,) = simulator.intents(reference=session.pk)
    if intent.challenge is None:
        simulator.authorize(intent.id)
    else:
        simulator.answer_challenge(intent.id)
    tell(simulator, session)


def tell(simulator: SimulatorService, session: PaymentSession) -> None:
    """Deliver the event that a session is authorized, and see that it is applied at once."""
    assert deliver(bodies(simulator, session, "intent.authorized")[-1]).status == 200
    assert PaymentSession.objects.get(pk=session.pk).status == SessionStatus.AUTHORIZED


# What is right


def assert_still_held(simulator: SimulatorService, session: PaymentSession) -> None:
    """See that the bank holds a session's amount, was never asked to let go of it, and that the books say so."""
    asked = simulator.calls(operation="cancel", reference=session.pk)
    assert asked == [], "the bank was asked to let go of what was paid"
    current = PaymentSession.objects.get(pk=session.pk)
    assert current.status == SessionStatus.AUTHORIZED, f"the session is {current.status}"
    ours, theirs = our_books(current), their_books(simulator, current)
    assert theirs.held == current.amount * 100, f"the bank holds {theirs.held}"
    assert ours == theirs, f"the books say {ours}, the bank {theirs}"
    told = set(current.events.values_list("type", flat=True))
    undone = told & {"session.canceled", "session.expired", "payment.canceled", "payment.released"}
    assert not undone, f"the history tells of {undone}"


def assert_canceled(simulator: SimulatorService, session: PaymentSession) -> None:
    """See that a session is canceled here and at the bank, which holds nothing."""
    current = PaymentSession.objects.get(pk=session.pk)
    assert current.status == SessionStatus.CANCELED, f"the session is {current.status}"
    (intent,) = simulator.intents(reference=session.pk)
    assert intent.status == "canceled", f"at the bank it is {intent.status}"
    ours, theirs = our_books(current), their_books(simulator, current)
    assert (ours, theirs.held) == (theirs, 0), f"the books say {ours}, the bank {theirs}"


def assert_shown(session: PaymentSession, reason: str) -> None:
    """See that somebody is told to look after a session, and why."""
    shown = PaymentOperation.objects.filter(session=session, status=OperationStatus.ATTENTION)
    details = list(shown.values_list("detail", flat=True))
    assert any(reason in detail for detail in details), f"nobody is told of {reason}, only of {details}"
