"""Answering a repeated request: with the stored first answer, or with the present state of the operation it claimed.

A key stands for one principal, route and body. See
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
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
    Claims,
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
    "Claims",
    "RequestIdentity",
    "begin_request",
    "check_held",
    "check_key",
    "claimed_operation",
    "claimed_operations",
    "collecting_claims",
    "complete_request",
    "find_request",
    "joined",
    "minding_access",
    "note_access",
    "outcome_unknown",
    "reconnecting",
    "recorded",
    "release_request",
    "serving_request",
]

LIFETIME: Final = timedelta(hours=72)
LOCK: Final = timedelta(minutes=2)
"""How long one request may take; longer than any provider's timeout."""

MAX_KEY: Final = 255


@dataclass(frozen=True, kw_only=True)
class RequestIdentity:
    """What identifies a request: its principal, route, key and body."""

    principal: str = field(repr=False)
    route: str
    key: str
    body: bytes = field(repr=False)

    @property
    def scope(self) -> str:
        """A digest of principal and route."""
        return _digest(self.principal.encode(), self.route.encode())

    @property
    def fingerprint(self) -> str:
        """A digest of the body."""
        return _digest(self.body)

    @property
    def request_key(self) -> str:
        """A digest of scope and key, stored with each operation that the request claims."""
        return _digest(self.scope.encode(), self.key.encode())


def check_key(key: str) -> str:
    """Return the key; raise InputError unless it is 1 to 255 printable ASCII characters."""
    if 0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable():
        return key
    raise InputError(
        _("The key must be 1 to %(max)s printable ASCII characters."),
        code="invalid_idempotency_key",
        field="Idempotency-Key",
        params={"max": MAX_KEY},
    )


def begin_request(identity: RequestIdentity, *, holder: Any = None) -> IdempotencyRecord:
    """Lock a request's key and return its record; if the record has a stored answer, give that answer again.

    `holder` describes the requester to others who ask while the request is under way; it is stored in place of the
    answer. The lock of a request that crashed is taken over after two minutes.
    Raises IdempotencyError if the key was used with another body, and OperationInProgressError while the first request
    is under way.
    """
    try:
        return repeated(lambda: _insert(identity, holder))
    except IntegrityError:
        return repeated(lambda: _take_over(identity, holder))


def find_request(identity: RequestIdentity) -> IdempotencyRecord | None:
    """Return the record of an earlier try of a request, or None, without locking its key."""
    records = IdempotencyRecord.objects.filter(scope=identity.scope, key=identity.key)
    return records.filter(fingerprint=identity.fingerprint, expires_at__gt=timezone.now()).first()


@contextmanager
def serving_request(identity: RequestIdentity, record: IdempotencyRecord) -> Iterator[None]:
    """Store the request's key with every operation that is claimed in the block.

    A request may wait so long that the client sends it again and the second try takes the key over. From then on the
    first try claims nothing more.
    """

    with serving(ServedRequest(key=identity.request_key, hold=lambda: check_held(record))):
        yield


def complete_request(record: IdempotencyRecord, *, status: int, body: Any) -> bool:
    """Store a request's answer, to be given again for 72 hours; return whether the request still held its key."""
    return bool(_held(record).update(response_status=status, response_body=body, locked_until=None))


def check_held(record: IdempotencyRecord) -> None:
    """Keep a request's key locked until the commit; raise OperationInProgressError if another try has taken it."""
    if _held(record).select_for_update().first() is None:
        raise _under_way()


def release_request(record: IdempotencyRecord) -> None:
    """Unlock a request's key without storing an answer, so that the request can be made again."""
    _held(record).update(locked_until=None)


def claimed_operation(identity: RequestIdentity, record: IdempotencyRecord) -> PaymentOperation | None:
    """Return the last operation that tries of a request claimed since its record was made, or None.

    An operation that certainly wasn't sent is left out: it doesn't prevent another try.
    """
    operations = claimed_operations(identity, record).exclude(status=OperationStatus.NOT_SENT)
    return operations.order_by("created_at", "id").last()


def claimed_operations(identity: RequestIdentity, record: IdempotencyRecord) -> QuerySet[PaymentOperation]:
    """Return the operations that tries of a request have claimed since its record was made.

    What another request claimed under the same key, before that had expired, is none of this request's.
    """
    since = record.created_at - LOCK  # The clocks of the machines that serve two tries may differ.
    return PaymentOperation.objects.filter(request_key=identity.request_key, created_at__gt=since)


def recorded(claims: Claims) -> Collection[PaymentOperation]:
    """Return operations that were claimed; they are read only if one of them wasn't recorded by this request."""
    known = [operation for operation in claims.values() if operation is not None]
    if len(known) == len(claims):
        return known
    return reconnecting(lambda: list(PaymentOperation.objects.filter(pk__in=claims)))


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
    if record is None:  # It had expired, and another request is replacing it right now.
        raise _under_way()
    if record.expires_at <= now:
        record.delete()
        return _insert(identity, holder)
    if record.fingerprint != identity.fingerprint:
        raise IdempotencyError(_("This key was used for another request."))
    if record.response_status is not None:
        return record
    is_free = record.locked_until is None or record.locked_until <= now
    # SQLite has no row locks: the condition on the old value decides which of two requests gets the key.
    if not is_free or not _held(record).update(locked_until=now + LOCK, response_body=holder):
        raise _under_way()
    record.locked_until, record.response_body = now + LOCK, holder
    return record


def _held(record: IdempotencyRecord) -> QuerySet[IdempotencyRecord]:
    """Select a record only while its lock is the one that was read."""
    return IdempotencyRecord.objects.filter(pk=record.pk, locked_until=record.locked_until)


def _under_way() -> OperationInProgressError:
    return OperationInProgressError(_("This request is being worked on already. Ask again in a moment."))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
