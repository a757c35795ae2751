"""How we learn of what happened at the bank, and how one sees what became of an operation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pytest

from payments.exceptions import PaymentError
from payments.models import PaymentOperation, PaymentSession
from payments.services import sync_payment_session
from payments.states import OperationKind, OperationStatus
from tests.reliability.banks import Bank

Learn = Callable[[Bank, PaymentSession], None]


def by_an_event(bank: Bank, session: PaymentSession) -> None:
    """Have the bank tell us by itself."""
    bank.tell(session)


def by_asking(bank: Bank, session: PaymentSession) -> None:
    """Ask the bank, as a clerk does."""
    sync_payment_session(session)


def by_the_reconciler_itself(bank: Bank, session: PaymentSession) -> None:
    """Leave it to the reconciler, which asks the bank before it sends anything again."""


NEWS: Final = (by_an_event, by_asking, by_the_reconciler_itself)


def thoroughly(*values: object) -> Any:
    """Return parameters that are only tried in a thorough run."""
    return pytest.param(*values, marks=pytest.mark.thorough)


def named(value: object) -> str:
    """Return the name of a function, or of whatever else is a test's parameter, for the test's id."""
    return str(getattr(value, "__name__", value)).strip("_")


def try_to(act: Callable[[], object]) -> None:
    """Do something of which the caller isn't told how it ends."""
    with suppress(PaymentError):
        act()


def only(session: PaymentSession, kind: OperationKind) -> PaymentOperation:
    """Return the only operation of a kind that a session has."""
    return session.operations.get(kind=kind)


def assert_left_to_a_person(operation: PaymentOperation) -> None:
    """See that an operation waits for a person, and for nobody else."""
    operation.refresh_from_db()
    assert operation.status == OperationStatus.ATTENTION
