"""The guard of actions: one version of a row is acted upon once, however many people and clicks there are.

The version is the idempotency key of the request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from django.utils.text import format_lazy
from django.utils.translation import gettext as _

from payments.admin.actions.base import Action, Report, Values, report_error, report_success
from payments.admin.payables import collection_of
from payments.exceptions import OperationInProgressError, PaymentError
from payments.models import (
    IdempotencyRecord,
    PaymentCollection,
    PaymentOperation,
)
from payments.services.idempotency import (
    RequestIdentity,
    begin_request,
    claimed_operation,
    complete_request,
    find_request,
    reconnecting,
    release_request,
    serving_request,
)


def version_of(row: Model) -> str:
    """Return the version of a row as it was read, and of what the database has around it right now."""
    parts: list[Any] = [row._meta.label_lower, row.pk, getattr(row, "status", ""), *_amounts(row)]
    collection_id = collection_of(row)
    if collection_id is None:
        parts += [getattr(row, "updated_at", ""), getattr(row, "is_enabled", "")]
    else:
        collections = PaymentCollection.objects.filter(pk=collection_id)
        parts += collections.values_list("version", flat=True)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _amounts(row: Model) -> list[Any]:
    return [
        value.normalize()
        for field in row._meta.concrete_fields
        if field.name == "amount" or field.name.endswith("_amount")
        if (value := getattr(row, field.attname)) is not None
    ]


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


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Be where an operator acts: the pages of one model, and the request with its user."""

    model_admin: Any
    request: HttpRequest

    @property
    def username(self) -> str:
        """The operator's name."""
        return str(self.request.user.get_username())

    def reread(self, row: Any) -> Any:
        """Return a row as it is now."""
        return reconnecting(lambda: self.model_admin.get_queryset(self.request).get(pk=row.pk))

    def log(self, row: Any, action: Action[Any], report: Report) -> None:
        """Write into the admin's log who did what, and what came of it."""
        self.model_admin.log_change(
            self.request, row, str(format_lazy("{}: {}", action.heading, report.text))
        )

    def heading(self, slug: str) -> str:
        """Return what an action of these pages is called."""
        actions = self.model_admin.payment_actions
        return next((str(each.heading) for each in actions if each.slug == slug), slug)

    def turn(self, row: Any, action: Action[Any], version: str) -> Turn:
        """Return the operator's turn to act upon a version of a row; it still has to be taken."""
        return Turn(row, version, actor=self.username, action=action.slug)


def perform(desk: Desk, row: Any, action: Action[Any], values: Values, turn: Turn) -> Report:
    """Take an action and end the turn; raise PaymentError where the services refused, with nothing done."""
    version = version_of(row)
    report: Report | None = None
    try:
        with turn.acting():
            report = _run(desk, row, action, values, turn)
        desk.log(row, action, report)
        return report
    finally:
        # Where nothing has changed, such as after a refusal, the same page may be used again.
        is_used = report is not None and version_of(desk.reread(row)) != version
        turn.end(report if is_used else None, amount=values.get("amount"))


def report_holder(desk: Desk, action: Action[Any], turn: Turn, error: OperationInProgressError) -> Report:
    """Say to somebody who couldn't take a turn who has it just now, and for what."""
    holder = turn.holder()
    if holder is None:
        return Report(text=error.message, level=messages.WARNING)
    if holder == Holder(actor=desk.username, action=action.slug):
        told = _("You are doing this already. Look again in a moment what came of it.")
        return Report(text=told, level=messages.WARNING)
    told = _("%(name)s is at this just now (%(action)s), so you changed nothing. Look again in a moment.")
    parts = {"name": holder.actor, "action": desk.heading(holder.action)}
    return Report(text=told % parts, level=messages.WARNING)


def _run(desk: Desk, row: Any, action: Action[Any], values: Values, turn: Turn) -> Report:
    try:
        report = action.run(row, values, desk.request.user)
    except PaymentError as error:
        report = report_error(error)
        if report is None:
            raise
        return report
    return report or report_success(action, desk.reread(row), values, turn.operation())
