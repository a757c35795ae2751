"""Answering a request that is sent again: with what was answered the first time, or with what has become of it since.

A key stands for one principal, route and body. While the first request is under way nobody else gets in; what crashed
is taken over after a while, and goes on from the operations that it had claimed.
See https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import IdempotencyError, InputError, OperationInProgressError
from payments.models import IdempotencyRecord, PaymentOperation
from payments.services.ledger.history import (
    ServedRequest,
    collecting_claims,
    minding_access,
    note_access,
    serving,
)
from payments.services.ledger.locks import joined, reconnecting, repeated
from payments.services.ledger.operations import outcome_unknown
from payments.states import OperationStatus

__all__ = [
    "LIFETIME",
    "LOCK",
    "MAX_KEY",
    "RequestIdentity",
    "begin_request",
    "check_held",
    "check_key",
    "claimed_operation",
    "collecting_claims",
    "complete_request",
    "find_request",
    "joined",
    "minding_access",
    "note_access",
    "outcome_unknown",
    "reconnecting",
    "release_request",
    "serving_request",
]

LIFETIME: Final = timedelta(hours=72)
LOCK: Final = timedelta(minutes=2)
"""How long one request may take; longer than any provider's timeout."""

MAX_KEY: Final = 255


@dataclass(frozen=True, kw_only=True)
class RequestIdentity:
    """Who sends what to which address: the same again is the same request."""

    principal: str = field(repr=False)
    route: str
    key: str
    body: bytes = field(repr=False)

    @property
    def scope(self) -> str:
        """Principal and route, as one text of a fixed length."""
        return _digest(self.principal.encode(), self.route.encode())

    @property
    def fingerprint(self) -> str:
        """The body, as one text of a fixed length."""
        return _digest(self.body)

    @property
    def request_key(self) -> str:
        """The name under which operations remember the request."""
        return _digest(self.scope.encode(), self.key.encode())


def check_key(key: str) -> str:
    """Return a usable key; raise InputError for one that isn't 1 to 255 printable ASCII characters."""
    if 0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable():
        return key
    raise InputError(
        _("The key must be 1 to %(max)s printable ASCII characters."),
        code="invalid_idempotency_key",
        field="Idempotency-Key",
        params={"max": MAX_KEY},
    )


def begin_request(identity: RequestIdentity, *, holder: Any = None) -> IdempotencyRecord:
    """Take a request's key, and return its record: with a stored answer, that is to be given again.

    `holder` says who makes the request, for those who ask while it is under way; it is kept in place of the answer.
    Raises IdempotencyError where the key stands for another body, and OperationInProgressError while the first request
    is under way.
    """
    try:
        return repeated(lambda: _insert(identity, holder))
    except IntegrityError:
        return repeated(lambda: _take_over(identity, holder))


def find_request(identity: RequestIdentity) -> IdempotencyRecord | None:
    """Return the record of a request that was made before, without taking its key; None where there is none."""
    records = IdempotencyRecord.objects.filter(scope=identity.scope, key=identity.key)
    return records.filter(fingerprint=identity.fingerprint, expires_at__gt=timezone.now()).first()


@contextmanager
def serving_request(identity: RequestIdentity, record: IdempotencyRecord) -> Iterator[None]:
    """Have every operation that is claimed in the block remember the request, as long as the key is still its own.

    A request may wait so long that it is sent again, and the second try takes its key. Then it claims nothing more.
    """

    with serving(ServedRequest(key=identity.request_key, hold=lambda: check_held(record))):
        yield


def complete_request(record: IdempotencyRecord, *, status: int, body: Any) -> bool:
    """Store a request's answer, to be given again for 72 hours; return whether its key is still its own."""
    return bool(_held(record).update(response_status=status, response_body=body, locked_until=None))


def check_held(record: IdempotencyRecord) -> None:
    """Raise OperationInProgressError where another try of a request has taken its key; keep it until the commit."""
    if _held(record).select_for_update().first() is None:
        raise _under_way()


def release_request(record: IdempotencyRecord) -> None:
    """Let a request be made again under its key, since its answer is not one to keep."""
    _held(record).update(locked_until=None)


def claimed_operation(identity: RequestIdentity) -> PaymentOperation | None:
    """Return the operation that an earlier try of a request had claimed last, if it may have done something.

    One that certainly reached nobody is no reason not to try again.
    """
    operations = PaymentOperation.objects.filter(request_key=identity.request_key)
    return operations.exclude(status=OperationStatus.NOT_SENT).order_by("created_at", "id").last()


def _insert(identity: RequestIdentity, holder: Any) -> IdempotencyRecord:
    now = timezone.now()
    record = IdempotencyRecord(
        scope=identity.scope,
        key=identity.key,
        fingerprint=identity.fingerprint,
        response_body=holder,
        locked_until=now + LOCK,
        expires_at=now + LIFETIME,
    )
    record.save(force_insert=True)
    return record


def _take_over(identity: RequestIdentity, holder: Any) -> IdempotencyRecord:
    now = timezone.now()
    record = (
        IdempotencyRecord.objects.select_for_update().filter(scope=identity.scope, key=identity.key).first()
    )
    if record is None:  # It had expired, and another request is just taking its place.
        raise _under_way()
    if record.expires_at <= now:
        record.delete()
        return _insert(identity, holder)
    if record.fingerprint != identity.fingerprint:
        raise IdempotencyError(_("This key was used for another request."))
    if record.response_status is not None:
        return record
    is_free = record.locked_until is None or record.locked_until <= now
    # The condition on the old value decides between two on SQLite, which has no row locks.
    if not is_free or not _held(record).update(locked_until=now + LOCK, response_body=holder):
        raise _under_way()
    record.locked_until, record.response_body = now + LOCK, holder
    return record


def _held(record: IdempotencyRecord) -> QuerySet[IdempotencyRecord]:
    """Select a record as long as it is locked as it was when it was read."""
    return IdempotencyRecord.objects.filter(pk=record.pk, locked_until=record.locked_until)


def _under_way() -> OperationInProgressError:
    return OperationInProgressError(_("This request is being worked on already. Ask again in a moment."))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
