"""`Idempotency-Key` on every POST: the same request again gets the same answer, and does nothing again.

first time                       the answer; 2xx and 402 are stored
again, same body                 the stored answer, with `Idempotent-Replayed: true`; the view leaves out of it
                                 what its asker may not see any more, and adds what isn't stored
again, another body              422 idempotency_mismatch
again, while it is under way     409 operation_in_progress, with Retry-After
again, after 202, 5xx or a crash what has become of the operation that the first try claimed; a new try if none
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rest_framework.request import Request
from rest_framework.response import Response

from payments.models import IdempotencyRecord
from payments.services.idempotency import (
    RequestIdentity,
    begin_request,
    check_held,
    check_key,
    claimed_operation,
    claimed_operations,
    complete_request,
    joined,
    reconnecting,
    release_request,
    serving_request,
)

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
        self._view.earlier = claimed_operation(identity, record)
        self._view.of_all_tries = claimed_operations(identity, record)
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
