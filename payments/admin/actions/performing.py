"""Taking an action in one's turn, writing it into the admin's log, and saying what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.text import format_lazy
from django.utils.translation import gettext as _

from payments.admin.actions.base import Action, Report, Values, report_error, report_success
from payments.admin.actions.once import Holder, Turn
from payments.admin.actions.versions import version_of
from payments.exceptions import OperationInProgressError, PaymentError
from payments.services.idempotency import reconnecting


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
