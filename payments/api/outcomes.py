"""`Idempotency-Key` on every POST: the same request again gets the same answer, and does nothing again.

first time                       the answer; 2xx and 402 are stored
again, same body                 the stored answer, with `Idempotent-Replayed: true`; the view leaves out of it
                                 what its asker may not see any more, and adds what isn't stored
again, another body              422 idempotency_mismatch
again, while it is under way     409 operation_in_progress, with Retry-After
again, after 202, 5xx or a crash what has become of the operation that the first try claimed; a new try if none

What isn't certain yet is 202 and not 200, and a session with `in_progress` isn't final.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from rest_framework.request import Request
from rest_framework.response import Response

from payments.api.serializers import DescribedField, Description
from payments.exceptions import OutcomeUnknownError
from payments.models import IdempotencyRecord, PaymentOperation, PaymentSession
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.services.idempotency import (
    RequestIdentity,
    begin_request,
    check_held,
    check_key,
    claimed_operation,
    collecting_claims,
    complete_request,
    joined,
    reconnecting,
    release_request,
    serving_request,
)
from payments.services.operations import raise_for_outcome
from payments.states import OperationKind, SessionStatus

if TYPE_CHECKING:
    from payments.api.views import PaymentsView

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"

DECLINED: Final = 402

_KEPT: Final = frozenset({200, 201, DECLINED})

Post = Callable[..., Response]


class IdempotentPost:
    """A view's `post`, which answers a repeated request without running it again.

    A key stands for one principal (a user, or a client secret that opens what the address names) and one address. A
    guest without a secret can only open a collection, of which there is one for each thing to be paid: that key isn't
    kept. Refusals aren't stored: nothing was done, so asking again may well succeed.
    """

    def __init__(self, view: PaymentsView, post: Post) -> None:
        self._view = view
        self._post = post

    def __call__(self, request: Request, **kwargs: str) -> Response:
        """Answer the request, for the first time or again."""
        key = request.headers.get(HEADER)
        if key is None:
            return self._post(request, **kwargs)
        self._view.check_access(**kwargs)  # Strangers are turned away before anything is noted.
        key, principal = check_key(key), self._view.principal()
        if principal is None:
            return self._post(request, **kwargs)
        identity = RequestIdentity(
            principal=principal,
            route=request.get_full_path(),
            key=key,
            body=json.dumps(request.data, sort_keys=True).encode(),
        )
        record = begin_request(identity)
        if record.response_status is not None:
            return self._replay(record)
        return self._answer(request, identity, record, **kwargs)

    def _answer(
        self, request: Request, identity: RequestIdentity, record: IdempotencyRecord, **kwargs: str
    ) -> Response:
        self._view.earlier = claimed_operation(identity)
        is_kept = False
        try:
            with serving_request(identity, record):
                answer, is_kept = self._run(request, record, **kwargs)
        finally:
            if not is_kept:
                reconnecting(lambda: release_request(record))
        if self._view.earlier is not None:
            answer[REPLAYED] = "true"
        return answer

    def _run(self, request: Request, record: IdempotencyRecord, **kwargs: str) -> tuple[Response, bool]:
        if "POST" not in self._view.calling_methods:
            # The answer is stored together with what was done, so that a crash can't part them.
            with joined():
                answer = self._post(request, **kwargs)
                check_held(record)
                return self._store(answer, record)
        try:
            answer = self._post(request, **kwargs)
        except Exception as error:  # noqa: BLE001 - the view's own handler raises what it doesn't know
            answer = self._view.handle_exception(error)
        return self._store(answer, record)

    def _store(self, answer: Response, record: IdempotencyRecord) -> tuple[Response, bool]:
        is_kept = answer.status_code in _KEPT
        if is_kept:
            unstored = self._view.unstored
            body = {name: value for name, value in answer.data.items() if name not in unstored}
            reconnecting(lambda: complete_request(record, status=answer.status_code, body=body))
        return answer, is_kept

    def _replay(self, record: IdempotencyRecord) -> Response:
        body: Any = record.response_body
        if record.response_status != DECLINED:
            body = self._view.recall(body)
        answer = Response(body, status=record.response_status)
        answer[REPLAYED] = "true"
        return answer


_KINDS: Final = (
    OperationKind.INITIATE,
    OperationKind.UPDATE,
    OperationKind.AUTHORIZE,
    OperationKind.CANCEL,
    OperationKind.SYNC,
)


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
    return row if row is not None and "in_progress" in vars(row) else session_rows().get(pk=session_id)
