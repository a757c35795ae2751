"""Checking, resolving and correcting operations, and acknowledging reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from django.contrib import messages
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.actions.forms import AcknowledgeForm, ResolveForm
from payments.admin.formatting import amount_text, detail_lines, detail_text, resolution_text
from payments.admin.links import can_be_asked, provider_name, reference_html
from payments.admin.panels import Text
from payments.admin.unclear import news_text, next_look, unclear_text
from payments.models import Payment, PaymentOperation
from payments.services import Origin, correct_operation, resolve_operation
from payments.services.operations import (
    MONEY_KINDS,
    Outlook,
    check_correctable,
    check_resolvable,
    foresee,
    is_unclear,
    look_into,
    reported_of,
)
from payments.states import EventSource, OperationKind, OperationStatus, SessionStatus


class CheckOperation(Action[PaymentOperation]):
    """An inquiry, made at once, into what became of an operation."""

    slug = "check"
    label = gettext_lazy("Check now")
    heading = gettext_lazy("Find out what became of an operation")
    permission = "sync_session"

    def is_offered(self, row: PaymentOperation) -> bool:
        """Offer it while the operation is open, and where there is a way to find out."""
        is_waiting = row.is_open and row.status != OperationStatus.ATTENTION
        return is_waiting or (_waits(row) and can_be_asked(row.provider_id))

    def effects(self, row: PaymentOperation, values: Values | None = None) -> Iterable[Text]:
        """Say which provider is asked, and that nothing happens twice."""
        yield _("%(provider)s is asked how this stands, and what it reports is recorded.") % {
            "provider": provider_name(row.provider_id)
        }
        if row.status != OperationStatus.ATTENTION:
            yield _(
                "What it doesn't know of may be sent again under the same key, as it would be later anyway: it can't "
                "happen twice."
            )

    def run(self, row: PaymentOperation, values: Values, actor: Any) -> Report:
        """Ask, and say what was news, and whether it is clear now."""
        finding = look_into(row, origin=Origin.of(actor=actor, source=EventSource.ADMIN))
        news, operation = news_text(finding.news), finding.operation
        if not operation.is_open:
            status = OperationStatus(operation.status).label
            message = _("The operation is over. Status: %(status)s.") % {"status": status}
            return Report(text=" ".join(filter(None, [news, message])))
        said = [news or _("Nothing new.")]
        if operation.status == OperationStatus.ATTENTION:
            said.append(
                _("The operation needs attention: %(detail)s")
                % {"detail": detail_text(operation, operation.currency_code)}
            )
        else:
            said += [unclear_text(operation), next_look(operation)]
        return Report(text=" ".join(filter(None, said)), level=messages.WARNING)


class ResolveOperation(Action[PaymentOperation]):
    """An operator's finding about an operation."""

    slug = "resolve"
    label = gettext_lazy("Resolve…")
    heading = gettext_lazy("Resolve an operation")
    permission = "resolve_operation"
    form_class = ResolveForm
    service: ClassVar[Callable[..., PaymentOperation]] = staticmethod(resolve_operation)
    is_grave = True

    def is_offered(self, row: PaymentOperation) -> bool:
        """Offer it where something may have happened, and the provider can't say, or not soon."""
        return is_unclear(row) and row.kind != OperationKind.SYNC

    def check(self, row: PaymentOperation) -> None:
        """Refuse where it is too early to decide."""
        check_resolvable(row)

    def initial(self, row: PaymentOperation) -> dict[str, Any]:
        """Fill in what the provider has reported, or else what was asked."""
        reported = reported_of(row)
        return {"amount": reported.amount or row.amount, "provider_reference": reported.reference}

    def effects(self, row: PaymentOperation, values: Values | None = None) -> Iterable[Text]:
        """Say why a decision is needed, and what it will do to the books."""
        yield from _reason(row)
        if values is None:
            yield self._question(row)
            yield _(
                "Your answer is recorded as if the provider had given it. Nothing is sent to the provider."
            )
            return
        outlook = foresee(row, **_said(values))
        parts = {"kind": OperationKind(row.kind).label, "amount": amount_text(row.amount, row.currency_code)}
        if not values["has_happened"]:
            message = _(
                "The books will say that this has not happened: %(kind)s, %(amount)s. What it reserved is released."
            )
            yield message % parts
            return
        yield from self._bookings(row, outlook, parts)

    def run(self, row: PaymentOperation, values: Values, actor: Any) -> None:
        """Record it."""
        self.service(
            row,
            **_said(values),
            reason=values["reason"],
            evidence=values["evidence"] or "",
            actor=actor,
            source=EventSource.ADMIN,
        )

    def _question(self, row: PaymentOperation) -> Text:
        """Ask what has happened, with the way to where that can be looked up."""
        holder = row.payment or row.session
        message = str(_QUESTIONS.get(row.kind, _OTHER_QUESTION)) % {
            "kind": OperationKind(row.kind).label,
            "amount": amount_text(row.amount, row.currency_code),
            "provider": provider_name(row.provider_id),
        }
        return format_html("{} {}", message, reference_html(row.provider_id, holder.provider_reference))

    def _bookings(self, row: PaymentOperation, outlook: Outlook, parts: dict[str, Any]) -> Iterable[Text]:
        """Say what is booked, and what that makes of the sum."""
        currency = row.currency_code
        if outlook.twin is not None:
            yield _(
                "%(amount)s is in the books already, as %(id)s: it is the same money, and isn't booked again."
            ) % {"amount": amount_text(outlook.twin.amount, currency), "id": outlook.twin.pk}
        elif outlook.amount is None or outlook.amount == row.amount:
            yield (
                _("The books will say that this has happened as it was asked for: %(kind)s, %(amount)s.")
                % parts
            )
        else:
            message = _("The books will say that %(moved)s has moved: %(kind)s. %(amount)s was asked for.")
            yield message % {**parts, "moved": amount_text(outlook.amount, currency)}
        yield from _totals(row, outlook)

    def report(self, row: PaymentOperation, values: Values) -> Report:
        """Say how it stands now."""
        status = OperationStatus(row.status).label
        if row.status == OperationStatus.ATTENTION:
            message = _("Your answer is recorded, but the operation still needs attention: %(detail)s")
            detail = detail_text(row, row.currency_code)
            return Report(text=message % {"detail": detail}, level=messages.WARNING)
        return Report(text=_("The operation is resolved. Status: %(status)s.") % {"status": status})


class CorrectOperation(ResolveOperation):
    """An operator's finding that replaces an earlier, mistaken one."""

    slug = "correct"
    label = gettext_lazy("Correct…")
    heading = gettext_lazy("Correct what was said of an operation")
    service = staticmethod(correct_operation)

    def is_offered(self, row: PaymentOperation) -> bool:
        """Offer it where a person has decided, or has told of money from outside of any provider."""
        return not row.is_open and row.kind in MONEY_KINDS and row.was_decided

    def check(self, row: PaymentOperation) -> None:
        """Refuse where the provider has reported on it."""
        check_correctable(row)

    def initial(self, row: PaymentOperation) -> dict[str, Any]:
        """Fill in what is in the books."""
        booked = row.capture or row.refund or row.session.payment
        return {"amount": row.amount if booked is None else booked.amount}

    def effects(self, row: PaymentOperation, values: Values | None = None) -> Iterable[Text]:
        """Say what was said, and what the books will hold instead."""
        told = _("So far: %(status)s. %(reason)s") % {
            "status": OperationStatus(row.status).label,
            "reason": resolution_text(row.resolution_reason, row.resolution_evidence),
        }
        yield told.strip()
        if values is None:
            yield _("What was booked by mistake stays in the history, and nothing of it in the sums.")
            return
        parts = {
            "kind": OperationKind(row.kind).label,
            "amount": amount_text(values.get("amount") or row.amount, row.currency_code),
        }
        if values["has_happened"]:
            message = _("The books will say that this has happened: %(kind)s, %(amount)s.")
        else:
            message = _("The books will say that this has not happened: %(kind)s.")
        yield message % parts
        yield _("No money moves.")

    def report(self, row: PaymentOperation, values: Values) -> Report:
        """Say how it stands now."""
        status = OperationStatus(row.status).label
        return Report(text=_("The operation is corrected. Status: %(status)s.") % {"status": status})


class AcknowledgeReport(Action[PaymentOperation]):
    """A record that an operator knows of a report that a provider made unasked."""

    slug = "acknowledge"
    label = gettext_lazy("Acknowledge…")
    heading = gettext_lazy("Acknowledge a provider's report")
    permission = "resolve_operation"
    form_class = AcknowledgeForm

    def is_offered(self, row: PaymentOperation) -> bool:
        """Offer it in `attention` only, for a mere report: nothing was asked that could have happened or not."""
        return _waits(row) and row.kind == OperationKind.SYNC

    def effects(self, row: PaymentOperation, values: Values | None = None) -> Iterable[Text]:
        """Say what was reported, and that the books stay as they are."""
        yield from _reason(row)
        yield _("%(provider)s has reported this; it wasn't asked to do anything.") % {
            "provider": provider_name(row.provider_id)
        }
        yield _("Nothing changes in the books: %(figures)s.") % {"figures": _figures(row)}
        yield _(
            "Acknowledge once the report has been dealt with. No money moves, and nothing is sent to the provider."
        )

    def run(self, row: PaymentOperation, values: Values, actor: Any) -> None:
        """Record it."""
        resolve_operation(
            row,
            has_happened=True,
            reason=values["reason"],
            evidence=values["evidence"] or "",
            actor=actor,
            source=EventSource.ADMIN,
        )

    def report(self, row: PaymentOperation, values: Values) -> Report:
        """Say that it is over."""
        return Report(text=_("The report is acknowledged. Nobody has to look at it any more."))


OPERATION_ACTIONS: Final = (CheckOperation(), ResolveOperation(), CorrectOperation(), AcknowledgeReport())


_QUESTIONS: Final[dict[str, Promise]] = {
    OperationKind.CAPTURE: gettext_lazy("Was %(amount)s captured? Check the dashboard of %(provider)s."),
    OperationKind.REFUND: gettext_lazy("Was %(amount)s refunded? Check the dashboard of %(provider)s."),
    OperationKind.AUTHORIZE: gettext_lazy("Was %(amount)s authorized? Check the dashboard of %(provider)s."),
}
_OTHER_QUESTION: Final = gettext_lazy(
    "Has this happened: %(kind)s, %(amount)s? Check the dashboard of %(provider)s."
)
_TOTALS: Final[dict[str, tuple[Promise, Promise]]] = {
    OperationKind.CAPTURE: (
        gettext_lazy("Captured so far %(before)s; with this %(after)s."),
        gettext_lazy(
            "Captured so far %(before)s; with this %(after)s, which is %(excess)s more than was authorized."
        ),
    ),
    OperationKind.REFUND: (
        gettext_lazy("Refunded so far %(before)s; with this %(after)s."),
        gettext_lazy(
            "Refunded so far: %(before)s. With this: %(after)s, which is %(excess)s more than what is left "
            "after chargebacks."
        ),
    ),
    OperationKind.AUTHORIZE: (
        gettext_lazy("%(after)s will be held."),
        gettext_lazy("%(after)s will be held, which is %(excess)s more than was asked, or is left to pay."),
    ),
}


def _totals(row: PaymentOperation, outlook: Outlook) -> Iterable[str]:
    """Yield the sum that an answer is about, as it is and as it will be."""
    words = _TOTALS.get(row.kind)
    if words is not None:
        sums = {"before": outlook.before, "after": outlook.after, "excess": outlook.excess}
        message = words[1] if outlook.excess else words[0]
        yield str(message) % {name: amount_text(value, row.currency_code) for name, value in sums.items()}


def _said(values: Values) -> dict[str, Any]:
    """Return what was said of an operation, as the services take it: of what hasn't happened, nothing more."""
    if not values["has_happened"]:
        return {"has_happened": False}
    return {
        "has_happened": True,
        "amount": values.get("amount"),
        "provider_reference": values["provider_reference"] or None,
        "accept_excess": bool(values["accept_excess"]),
    }


def _waits(row: PaymentOperation) -> bool:
    return bool(row.status == OperationStatus.ATTENTION)


def _reason(row: PaymentOperation) -> Iterable[str]:
    return detail_lines(row, row.currency_code)


def _figures(row: PaymentOperation) -> str:
    """Return what the books hold of what a report is about."""
    session, currency = row.session, row.currency_code
    if session.payment is None:
        parts = {
            "amount": amount_text(session.amount, currency),
            "status": SessionStatus(session.status).label,
        }
        return _("a session of %(amount)s, %(status)s") % parts
    return _payment_figures(session.payment, currency)


def _payment_figures(payment: Payment, currency: str) -> str:
    parts = {
        "authorized": amount_text(payment.amount, currency),
        "captured": amount_text(payment.captured_amount, currency),
        "refunded": amount_text(payment.refunded_amount, currency),
        "withdrawn": amount_text(payment.net_charged_back_amount, currency),
    }
    if payment.net_charged_back_amount:
        return (
            _(
                "authorized %(authorized)s, captured %(captured)s, refunded %(refunded)s, "
                "taken back by the payer's bank %(withdrawn)s"
            )
            % parts
        )
    return _("authorized %(authorized)s, captured %(captured)s, refunded %(refunded)s") % parts
