"""What a verb has left behind, for the answer to its request: what isn't certain yet is 202 and not 200.

A session with `in_progress` isn't final.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from payments.api.serializers import DescribedField, Description
from payments.exceptions import OutcomeUnknownError
from payments.models import PaymentOperation, PaymentSession
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.services.idempotency import collecting_claims, reconnecting
from payments.services.operations import raise_for_outcome
from payments.states import OperationKind, SessionStatus

RowT = TypeVar("RowT")


@dataclass(frozen=True, kw_only=True)
class VerbResult(Generic[RowT]):
    """The row that a verb has returned, or None where it must be read, and the id of an operation left open."""

    row: RowT | None = None
    open_operation: str | None = None


def run_verb(verb: Callable[[], RowT]) -> VerbResult[RowT]:
    """Run a verb, which may claim many operations, and look which of them it left open.

    An operation is left open where the provider's answer is unknown, and where it said that it will answer later.
    What other requests left open on the same row doesn't count.
    """
    with collecting_claims() as claims:
        try:
            row = verb()
        except OutcomeUnknownError as error:
            return VerbResult(open_operation=operation_of(error))
    return VerbResult(row=row, open_operation=left_open(claims))


def left_open(claims: Mapping[str, PaymentOperation | None], *kinds: OperationKind) -> str | None:
    """Return the id of the newest of these operations (default: of any kind) that is still open, or None.

    They are read only if one of them wasn't recorded by this request.
    """
    known = [operation for operation in claims.values() if operation is not None]
    if len(known) < len(claims):
        known = reconnecting(lambda: list(PaymentOperation.objects.open().filter(pk__in=claims)))
    rows = [row for row in known if row.is_open and (not kinds or row.kind in kinds)]
    return max(rows, key=lambda row: (row.created_at, row.pk)).pk if rows else None


def outcome_of(operation: PaymentOperation) -> str | None:
    """Return the operation that an earlier try of the request had claimed, if it is still open.

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


_KINDS: Final = (
    OperationKind.INITIATE,
    OperationKind.UPDATE,
    OperationKind.AUTHORIZE,
    OperationKind.CANCEL,
    OperationKind.SYNC,
)


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
    """Return sessions with `in_progress`, by the rule that the ledger's books have for the rows in memory."""
    waits: Any = Q(session__status__in=UNAUTHORIZED_STATUSES, target_id=F("session_id"))
    is_being_released = Q(session__status=SessionStatus.AUTHORIZED, kind=OperationKind.CANCEL)
    rows = PaymentOperation.objects.open().filter(waits | is_being_released, session=OuterRef("pk"))
    return sessions.annotate(in_progress=Subquery(rows.order_by("-created_at", "-id").values("kind")[:1]))


def session_rows() -> QuerySet[PaymentSession]:
    """Return sessions with what their output needs."""
    return with_progress(PaymentSession.objects.select_related("collection", "authorized_payment"))


def session_after(result: VerbResult[PaymentSession], session_id: str) -> PaymentSession:
    """Return a session as a verb has left it; it is read only where the verb's row doesn't say what is in progress."""
    row = result.row
    if row is not None and "in_progress" in vars(row):
        return row
    return reconnecting(lambda: session_rows().get(pk=session_id))
