"""What is certain and what isn't: the difference between 200 and 202, and between a final session and one under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from payments.api.fields import DescribedField, Description
from payments.exceptions import OutcomeUnknownError
from payments.models import PaymentOperation, PaymentSession
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.services.idempotency import collecting_claims, reconnecting
from payments.services.operations import raise_for_outcome
from payments.states import OperationKind, SessionStatus

_KINDS: Final = (
    OperationKind.INITIATE,
    OperationKind.UPDATE,
    OperationKind.AUTHORIZE,
    OperationKind.CANCEL,
    OperationKind.SYNC,
)


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


class ProgressField(DescribedField):
    """What is under way on the session, or null.

    Until it is null, the status isn't the last word, and whatever would change the session is 409
    `operation_in_progress`.
    """

    component = "SessionProgress"

    def __init__(self) -> None:
        super().__init__(read_only=True, allow_null=True)

    def describe(self, *, is_input: bool) -> Description:
        """Return the list of what may be under way."""
        return {
            "type": "string",
            "enum": [str(kind) for kind in _KINDS],
            "description": "What is under way on the session. Until it is null, the status isn't the last word, and "
            "whatever would change the session is 409 `operation_in_progress`.",
        }

    def to_representation(self, value: str) -> str:
        """Write the word."""
        return str(value)


def with_progress(sessions: QuerySet[PaymentSession]) -> QuerySet[PaymentSession]:
    """Return sessions with `in_progress`: the kind of an open operation that keeps them from being final, or None.

    An unauthorized session waits for anything that was asked about it, a person's decision included: nobody can go on
    before. Once an amount is held, the only question left is whether it is being released. What else is open then,
    such as a chargeback that an operator has to look at, isn't the session's.
    """
    waits: Any = Q(session__status__in=UNAUTHORIZED_STATUSES, target_id=F("session_id"))
    is_being_released = Q(session__status=SessionStatus.AUTHORIZED, kind=OperationKind.CANCEL)
    rows = PaymentOperation.objects.open().filter(waits | is_being_released, session=OuterRef("pk"))
    return sessions.annotate(in_progress=Subquery(rows.order_by("-created_at", "-id").values("kind")[:1]))
