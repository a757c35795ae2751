"""Telling what is certain from what isn't: the difference between 200 and 202."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from payments.exceptions import OutcomeUnknownError
from payments.models import PaymentOperation
from payments.services.idempotency import collecting_claims, reconnecting
from payments.services.operations import raise_for_outcome
from payments.states import OperationKind


def run_verb(verb: Callable[[], object]) -> str | None:
    """Run a verb, which may claim many operations; return the id of one that it left open, if it did.

    An operation is left open where the provider's answer is unknown, and where it said that it will answer later.
    What other requests left open on the same row doesn't count.
    """
    with collecting_claims() as claims:
        try:
            verb()
        except OutcomeUnknownError as error:
            return operation_of(error)
    return open_operation(pk__in=claims)


def open_operation(**conditions: Any) -> str | None:
    """Return the id of the newest open operation that meets the conditions, or None; for after a verb."""
    rows = PaymentOperation.objects.open().filter(**conditions).order_by("-created_at", "-id")
    newest = reconnecting(rows.first)
    return None if newest is None else str(newest.pk)


def outcome_of(operation: PaymentOperation) -> str | None:
    """Return what `run_verb` would have returned for an operation that an earlier try of the request had claimed.

    Raises DeclinedError as the verb would have; a declined authorization is no error.
    """
    if operation.is_open:
        return str(operation.pk)
    if operation.kind != OperationKind.AUTHORIZE:
        raise_for_outcome(operation)
    return None


def operation_of(error: OutcomeUnknownError) -> str:
    """Return the operation whose outcome is unknown; raise the error again where none was left open."""
    if error.operation_id is None:
        raise error
    return error.operation_id
