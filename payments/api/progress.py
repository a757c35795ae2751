"""What is under way on a session: what tells an answer that is still open from one that is final.

A status can't: a session whose creation isn't known yet is `pending`, as one is that waits for its payer.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from payments.api.fields import DescribedField, Description
from payments.models import PaymentOperation, PaymentSession
from payments.models.sessions import UNAUTHORIZED_STATUSES
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
    """Return sessions with `in_progress`: the kind of an open operation that keeps them from being final, or None.

    An unauthorized session waits for anything that was asked about it, a person's decision included: nobody can go on
    before. Once an amount is held, the only question left is whether it is being released. What else is open then,
    such as a chargeback that an operator has to look at, isn't the session's.
    """
    waits: Any = Q(session__status__in=UNAUTHORIZED_STATUSES, target_id=F("session_id"))
    is_being_released = Q(session__status=SessionStatus.AUTHORIZED, kind=OperationKind.CANCEL)
    rows = PaymentOperation.objects.open().filter(waits | is_being_released, session=OuterRef("pk"))
    return sessions.annotate(in_progress=Subquery(rows.order_by("-created_at", "-id").values("kind")[:1]))
