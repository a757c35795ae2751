"""An action: what it is called, who may take it, what it will do, what came of it, and that it happens once.

One version of a row is acted upon once, however many operators and clicks there are. The version that a page has shown
is the idempotency key of what it sends: the first request acts, and every later one is told what came of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from payments.admin.actions.forms import ActionForm
from payments.admin.formatting import detail_text
from payments.admin.panels import Text
from payments.admin.unclear import next_look, open_rows, what_of
from payments.exceptions import (
    DeclinedError,
    OperationInProgressError,
    OutcomeUnknownError,
    PaymentError,
    ProviderError,
)
from payments.models import IdempotencyRecord, PaymentCollection, PaymentOperation
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
from payments.states import OperationStatus

RowT = TypeVar("RowT", bound=Model)
Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of an action; `level` is one of Django's message levels."""

    text: str
    level: int = messages.SUCCESS


class Action(Generic[RowT]):
    """One thing that an operator can do to a row, through one of the services.

    `label` is on the button, `heading` on the confirmation page and `is_grave` colours both. `bulk_label` stands in the
    menu of a list; without it the action isn't offered there.
    """

    slug: ClassVar[str]
    label: ClassVar[str | Promise]
    heading: ClassVar[str | Promise]
    permission: ClassVar[str]
    is_grave: ClassVar[bool] = False
    form_class: ClassVar[type[ActionForm]] = ActionForm
    bulk_label: ClassVar[str | Promise] = ""

    def is_allowed(self, request: HttpRequest) -> bool:
        """Return whether the request's user has the action's permission."""
        user: Any = request.user
        return bool(user.has_perm(f"payments.{self.permission}"))

    def is_offered(self, row: RowT) -> bool:
        """Return whether a row looks as if the action could be taken; it costs no query."""
        return True

    def check(self, row: RowT) -> None:
        """Raise PaymentError where the action can't be taken now, before a form is filled in."""

    def initial(self, row: RowT) -> dict[str, Any]:
        """Return what the form is filled in with; raise PaymentError as `check` does."""
        return {}

    def effects(self, row: RowT, values: Values | None = None) -> Iterable[Text]:
        """Return sentences about what will happen, in money; `values` are what the form was filled in with."""
        raise NotImplementedError

    def bulk_values(self, row: RowT) -> Values:
        """Return the values with which the action is taken on many rows at once."""
        return {}

    def moving_amount(self, row: RowT, values: Values) -> Decimal | None:
        """Return how much of the row's currency will move, to be added up; None where none does."""
        amount: Decimal | None = values.get("amount")
        return amount

    def run(self, row: RowT, values: Values, actor: Any) -> Report | None:
        """Call the service and raise what it raises; return a report where only its answer has the facts for one."""
        raise NotImplementedError

    def report(self, row: RowT, values: Values) -> Report:
        """Say what happened; `row` was read again afterwards."""
        raise NotImplementedError


def report_success(
    action: Action[Any], row: Any, values: Values, operation: PaymentOperation | None
) -> Report:
    """Say what came of an action that raised nothing; `operation` is the call to a provider that it made, if any."""
    if operation is not None and operation.is_open:
        return Report(
            text=_(
                "The provider has accepted this and will tell how it ends. Until then the amount is reserved."
            ),
            level=messages.WARNING,
        )
    return action.report(row, values)


def report_error(error: PaymentError) -> Report | None:
    """Say what came of an action that raised; None where it was refused before anything was sent."""
    if isinstance(error, OutcomeUnknownError):
        return Report(text=_unknown_text(error), level=messages.WARNING)
    if isinstance(error, DeclinedError):
        message = _("The provider refused: %(message)s Nothing was changed.")
        return Report(text=message % {"message": error.message}, level=messages.ERROR)
    if isinstance(error, ProviderError):
        return Report(text=error.message, level=messages.ERROR)
    if isinstance(error, OperationInProgressError):
        return Report(text=error.message, level=messages.WARNING)
    return None


def _unknown_text(error: OutcomeUnknownError) -> str:
    """Say what may have happened and what comes next; without an operation, no money can have moved."""
    operation = None if error.operation_id is None else open_rows().filter(pk=error.operation_id).first()
    if operation is None:
        return error.message
    if operation.status == OperationStatus.ATTENTION:
        message = _(
            "%(what)s needs attention: %(detail)s Say what became of it, and don't do it again elsewhere."
        )
        detail = detail_text(operation, operation.currency_code)
        return message % {"what": what_of(operation), "detail": detail}
    message = _(
        "The provider didn't answer. %(what)s may or may not have gone through. %(next)s Don't do it again, or in the "
        "provider's dashboard."
    )
    return message % {"what": what_of(operation), "next": next_look(operation)}


def version_of(row: Any) -> str:
    """Return the version of a row as it was read: whatever changes below a collection changes the collection's."""
    parts: list[Any] = [row._meta.label_lower, row.pk, getattr(row, "status", ""), *_amounts(row)]
    collection = getattr(row, "collection", row)
    if isinstance(collection, PaymentCollection):
        parts.append(collection.version)
    else:
        parts += [getattr(row, "updated_at", ""), getattr(row, "is_enabled", "")]
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
        record = self._record
        if record is None:
            raise RuntimeError("The version isn't taken.")
        with serving_request(self._identity, record):
            report = self._run(values)
        row = self._context.reread(self._row)
        try:
            report = report or report_success(
                self._action, row, values, reconnecting(lambda: claimed_operation(self._identity, record))
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
