"""A session's `in_progress`: what is under way on it; until that is null, the session isn't final."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from payments.api.serializers import DescribedField, Description
from payments.api.views import VerbResult
from payments.models import PaymentOperation, PaymentSession
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.services.idempotency import reconnecting
from payments.states import OperationKind, SessionStatus

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
