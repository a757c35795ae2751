"""One version of a row is acted upon once, however many operators and clicks there are.

The version that a page has shown is the idempotency key of what it sends: the first request acts, and every later one
is told what came of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _

from payments.admin.actions.base import Action, Report, Values, report_error, report_success
from payments.admin.payables import collection_of
from payments.exceptions import OperationInProgressError, PaymentError
from payments.models import IdempotencyRecord
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


def version_of(row: Any) -> str:
    """Return the version of a row as it was read: whatever changes below a collection changes the collection's."""
    parts: list[Any] = [row._meta.label_lower, row.pk, getattr(row, "status", ""), *_amounts(row)]
    if collection_of(row) is None:
        parts += [getattr(row, "updated_at", ""), getattr(row, "is_enabled", "")]
    else:
        parts.append(getattr(row, "collection", row).version)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _amounts(row: Model) -> list[Any]:
    return [
        value.normalize()
        for field in row._meta.concrete_fields
        if field.name == "amount" or field.name.endswith("_amount")
        if (value := getattr(row, field.attname)) is not None
    ]


@dataclass(frozen=True, kw_only=True)
class PreviousResult:
    """What came of a version that was acted upon already, by whom, by which action and with which amount, if any."""

    actor: str
    action: str
    report: Report
    amount: str


@dataclass(frozen=True, kw_only=True)
class ActionContext:
    """Where an operator acts: the pages of one model, and the request with its user."""

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
        self.model_admin.log_change(self.request, row, f"{action.heading}: {report.text}")

    def heading(self, slug: str) -> str:
        """Return what an action of these pages is called."""
        actions = self.model_admin.payment_actions
        return next((str(each.heading) for each in actions if each.slug == slug), slug)

    def guard(self, row: Any, action: Action[Any], version: str) -> ActionGuard:
        """Return the guard of a version of a row."""
        return ActionGuard(self, row, action, version)


class ActionGuard:
    """The right to act upon one version of a row, which ends with the block that it is entered for."""

    def __init__(self, context: ActionContext, row: Any, action: Action[Any], version: str) -> None:
        self._context, self._row, self._action, self._version = context, row, action, version
        self._identity = RequestIdentity(
            principal="admin", route=f"{row._meta.label_lower}:{row.pk}", key=version, body=b""
        )
        self._holder = {"actor": context.username, "action": action.slug}
        self._record: IdempotencyRecord | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        record, self._record = self._record, None
        if record is not None:  # Nothing was done, so the version may be acted upon after all.
            reconnecting(lambda: release_request(record))

    def begin(self) -> PreviousResult | None:
        """Take the version, or return what came of it before; raise OperationInProgressError while it is taken."""
        record = begin_request(self._identity, holder=self._holder)
        if record.response_status is None:
            self._record = record
            return None
        body: Any = record.response_body
        return PreviousResult(
            actor=body["actor"],
            action=body["action"],
            report=Report(text=body["text"], level=body["level"]),
            amount=body["amount"],
        )

    @property
    def is_current(self) -> bool:
        """Whether the row is still as the page has shown it."""
        return self._version == version_of(self._row)

    def perform(self, values: Values) -> Report:
        """Take the action on the version that was begun; raise PaymentError where it was refused, with nothing done."""
        if self._record is None:
            raise RuntimeError("The version isn't taken.")
        with serving_request(self._identity, self._record):
            report = self._run(values)
        row = self._context.reread(self._row)
        try:
            report = report or report_success(
                self._action, row, values, reconnecting(lambda: claimed_operation(self._identity))
            )
            self._context.log(self._row, self._action, report)
        finally:
            # Where nothing has changed, such as after a refusal, the same page may be used again.
            if report is not None and version_of(row) != self._version:
                self._keep(report, values.get("amount"))
        return report

    def report_running(self, error: OperationInProgressError) -> Report:
        """Say which operator is acting upon the version just now, and how."""
        record = find_request(self._identity)
        running: Any = None if record is None or record.response_status is not None else record.response_body
        if not running:
            message = error.message
        elif running == self._holder:
            message = _("You are already doing this. Reload in a moment to see what came of it.")
        else:
            message = _(
                "%(name)s is already doing this (%(action)s). Nothing was changed; reload in a moment."
            )
            message %= {"name": running["actor"], "action": self._context.heading(running["action"])}
        return Report(text=message, level=messages.WARNING)

    def _run(self, values: Values) -> Report | None:
        try:
            return self._action.run(self._row, values, self._context.request.user)
        except PaymentError as error:
            report = report_error(error)
            if report is None:
                raise
            return report

    def _keep(self, report: Report, amount: Decimal | None) -> None:
        record, self._record = self._record, None
        asked = "" if amount is None else plain(amount)
        body = {**self._holder, "text": report.text, "level": report.level, "amount": asked}
        if record is not None:
            reconnecting(lambda: complete_request(record, status=200, body=body))


def plain(amount: Decimal) -> str:
    """Return an amount as it is stored with a result, without trailing zeros."""
    return f"{amount.normalize():f}"
