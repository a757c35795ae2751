"""Resolving an operation that needs a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.actions.forms import ResolveForm
from payments.admin.panels import Text
from payments.admin.plugins import provider_name
from payments.admin.words import amount_text
from payments.models import PaymentOperation
from payments.services import resolve_operation
from payments.states import EventSource, OperationKind, OperationStatus


class ResolveOperation(Action[PaymentOperation]):
    """Record what a person found out."""

    slug = "resolve"
    label = gettext_lazy("Resolve…")
    heading = gettext_lazy("Resolve an operation")
    permission = "resolve_operation"
    form_class = ResolveForm
    is_grave = True

    def is_offered(self, row: PaymentOperation) -> bool:
        """Offer it in `attention` only."""
        return bool(row.status == OperationStatus.ATTENTION)

    def effects(self, row: PaymentOperation, values: Values | None = None) -> Iterable[Text]:
        """Say what the books will hold."""
        parts = {
            "kind": OperationKind(row.kind).label,
            "amount": amount_text(row.amount, row.currency_code),
            "provider": provider_name(row.provider_id),
        }
        if values is None:
            yield _("Look into %(provider)s's dashboard: has this happened? %(kind)s, %(amount)s.") % parts
            yield _(
                "Your answer is recorded as if the provider had given it. Nothing is sent to the provider."
            )
        elif values["has_happened"]:
            yield _("The books will say that this has happened: %(kind)s, %(amount)s.") % parts
        else:
            told = _(
                "The books will say that this has not happened: %(kind)s, %(amount)s. What it reserved goes free."
            )
            yield told % parts

    def run(self, row: PaymentOperation, values: Values, actor: Any) -> None:
        """Record it."""
        resolve_operation(
            row,
            has_happened=values["has_happened"],
            reason=values["reason"],
            evidence=values["evidence"] or "",
            provider_reference=values["provider_reference"] or None,
            actor=actor,
            source=EventSource.ADMIN,
        )

    def report(self, row: PaymentOperation, values: Values) -> Report:
        """Say how it stands now."""
        status = OperationStatus(row.status).label
        if row.status == OperationStatus.ATTENTION:
            told = _("Your answer is recorded, but the operation still needs attention: %(detail)s")
            return Report(text=told % {"detail": row.detail}, level=messages.WARNING)
        return Report(text=_("The operation is resolved. Status: %(status)s.") % {"status": status})


OPERATION_ACTIONS: Final = (ResolveOperation(),)
