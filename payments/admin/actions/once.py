"""Letting one version of a row be acted upon once, however many people and clicks there are.

The version is the key of an idempotency record: whoever inserts it first acts, and everybody else is told what came of
it. What was refused gives the version back, for nothing was done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Model

from payments.admin.actions.base import Report
from payments.models import IdempotencyRecord, PaymentOperation
from payments.services.idempotency import (
    RequestIdentity,
    begin_request,
    claimed_operation,
    complete_request,
    find_request,
    release_request,
    serving_request,
)


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """Tell who has acted upon a version already, with which amount, if with one, and what came of it."""

    actor: str
    action: str
    report: Report
    amount: str = ""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Tell who acts upon a version just now, by which action's slug."""

    actor: str
    action: str


class Turn:
    """Be somebody's turn to act upon one version of a row."""

    def __init__(self, row: Model, version: str, *, actor: str, action: str) -> None:
        self._identity = RequestIdentity(
            principal="admin", route=f"{row._meta.label_lower}:{row.pk}", key=version, body=b""
        )
        self._holder = Holder(actor=actor, action=action)
        self._record: IdempotencyRecord | None = None

    def take(self) -> Earlier | None:
        """Take the turn, or return what came of somebody else's; raise OperationInProgressError during theirs."""
        record = begin_request(self._identity, holder=asdict(self._holder))
        if record.response_status is not None:
            return _earlier(record.response_body)
        self._record = record
        return None

    def earlier(self) -> Earlier | None:
        """Return what came of a turn that is over, without taking one; None where nobody has acted."""
        record = find_request(self._identity)
        is_over = record is not None and record.response_status is not None
        return _earlier(record.response_body) if record is not None and is_over else None

    def holder(self) -> Holder | None:
        """Return who has the turn just now, as far as that is known."""
        record = find_request(self._identity)
        if record is None or record.response_status is not None or not record.response_body:
            return None
        return Holder(**record.response_body)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Have the operations that are claimed in the block remember the turn."""
        if self._record is None:
            raise RuntimeError("The turn isn't taken.")
        with serving_request(self._identity, self._record):
            yield

    def operation(self) -> PaymentOperation | None:
        """Return the call to a provider that was made in this turn last, if one was."""
        return claimed_operation(self._identity)

    def end(self, report: Report | None, *, amount: Decimal | None = None) -> None:
        """End the turn: with what came of it, or with nothing, so that the version may be acted upon after all."""
        if self._record is None:
            return
        if report is None:
            release_request(self._record)
        else:
            asked = "" if amount is None else f"{amount.normalize():f}"
            body = {**asdict(self._holder), "text": report.text, "level": report.level, "amount": asked}
            complete_request(self._record, status=200, body=body)
        self._record = None


def _earlier(body: Any) -> Earlier:
    return Earlier(
        actor=str(body["actor"]),
        action=str(body["action"]),
        report=Report(text=str(body["text"]), level=int(body["level"])),
        amount=str(body.get("amount", "")),
    )
