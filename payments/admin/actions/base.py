"""The base of an action: what it is called, who may take it, what it will do, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar

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
from payments.models import PaymentOperation
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
