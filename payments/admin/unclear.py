"""Operations whose outcome isn't known yet, in words: on badges, in banners, and before the same is asked again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

from django.contrib.admin.utils import quote
from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.formatting import amount_text, lines, moment_text
from payments.admin.links import Links
from payments.admin.panels import Alert, Text
from payments.admin.widgets import Tone, badge
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.services.operations import is_unclear
from payments.states import EventSource, OperationKind, OperationStatus

_ATTRIBUTE: Final = "_payments_admin_unclear"
_PATHS: Final[dict[type[Model] | None, str]] = {
    PaymentCollection: "collection",
    PaymentSession: "session",
    Payment: "payment",
}

_MAY_HAVE: Final[dict[str, Promise]] = {
    OperationKind.REFUND: gettext_lazy(
        "A refund of %(amount)s by %(who)s at %(when)s is still unclear; it may have reached the customer."
    ),
    OperationKind.CAPTURE: gettext_lazy(
        "A capture of %(amount)s by %(who)s at %(when)s is still unclear; it may have taken the money."
    ),
    OperationKind.AUTHORIZE: gettext_lazy(
        "An authorization of %(amount)s by %(who)s at %(when)s is still unclear; the amount may be held."
    ),
}
_OTHERWISE: Final = gettext_lazy("%(what)s by %(who)s at %(when)s is still unclear.")
_WHAT: Final[dict[str, Promise]] = {
    OperationKind.INITIATE: gettext_lazy("Session of %(amount)s"),
    OperationKind.UPDATE: gettext_lazy("Change to %(amount)s"),
    OperationKind.AUTHORIZE: gettext_lazy("Authorization of %(amount)s"),
    OperationKind.CAPTURE: gettext_lazy("Capture of %(amount)s"),
    OperationKind.REFUND: gettext_lazy("Refund of %(amount)s"),
    OperationKind.CANCEL: gettext_lazy("Cancelation of %(amount)s"),
    OperationKind.SYNC: gettext_lazy("Report about %(amount)s"),
}

_DONE: Final[dict[str, Promise]] = {
    "payment.captured": gettext_lazy("the capture of %(amount)s has gone through"),
    "payment.refunded": gettext_lazy("the refund of %(amount)s has gone through"),
    "payment.authorized": gettext_lazy("%(amount)s is authorized"),
    "payment.released": gettext_lazy("%(amount)s that was held is released"),
    "payment.charged_back": gettext_lazy("the payer's bank took %(amount)s back"),
    "payment.reinstated": gettext_lazy("a charge-back of %(amount)s was reversed"),
    "capture.failed": gettext_lazy("the capture of %(amount)s has failed"),
    "refund.failed": gettext_lazy("the refund of %(amount)s has failed"),
    "session.failed": gettext_lazy("the authorization of %(amount)s was refused"),
    "session.canceled": gettext_lazy("the session of %(amount)s is canceled"),
    "session.updated": gettext_lazy("the session's amount is %(amount)s"),
    "session.requires_more": gettext_lazy("the session waits for the customer (3-D Secure)"),
    "fact.discrepancy": gettext_lazy("a report that differs from the books"),
}
_MADE_ELSEWHERE: Final[dict[str, Promise]] = {
    "payment.captured": gettext_lazy("a capture of %(amount)s made at the provider"),
    "payment.refunded": gettext_lazy("a refund of %(amount)s made at the provider"),
}


class _UnclearOperations:
    """The unclear operations of some rows, read for all of them when the first row asks, or `among` another row's."""

    def __init__(self, rows: Sequence[Model], among: Model | None) -> None:
        self._rows, self._among = rows, among

    @cached_property
    def by_row(self) -> defaultdict[Any, list[PaymentOperation]]:
        """The operations by the rows' keys."""
        path = _PATHS[self._rows[0]._meta.concrete_model]
        found: defaultdict[Any, list[PaymentOperation]] = defaultdict(list)
        for operation in self._read(path) if self._among is None else unclear_of(self._among):
            found[getattr(operation, f"{path}_id")].append(operation)
        return found

    def _read(self, path: str) -> Iterable[PaymentOperation]:
        lookups: dict[str, Any] = {f"{path}__in": [row.pk for row in self._rows]}
        return filter(is_unclear, open_rows().filter(**lookups))


def attach_unclear(rows: Sequence[Model], *, among: Model | None = None) -> None:
    """Have what is unclear of rows of one model read for all of them at once, if operations can be about such rows.

    If all belong to the row `among`, it isn't read once more than for that one.
    """
    operations = _UnclearOperations([row for row in rows if row._meta.concrete_model in _PATHS], among)
    for row in rows:
        row.__dict__[_ATTRIBUTE] = operations


def unclear_of(row: Model) -> list[PaymentOperation]:
    """Return the unclear operations of a row, those that need a person among them."""
    if _ATTRIBUTE not in row.__dict__:
        attach_unclear([row])
    operations: _UnclearOperations = row.__dict__[_ATTRIBUTE]
    return operations.by_row[row.pk]


def was_lost(session: PaymentSession) -> bool:
    """Return whether a session's provider may know of it, though it never said so."""
    return any(operation.kind == OperationKind.INITIATE for operation in unclear_of(session))


def unclear_badges(row: Model) -> Iterable[SafeString]:
    """Yield a badge for each operation that is unclear, and one where a person is needed."""
    operations = unclear_of(row)
    for operation in operations:
        if operation.status != OperationStatus.ATTENTION:
            yield badge(_("%(what)s unclear") % {"what": what_of(operation)}, Tone.ALERT)
    if any(operation.status == OperationStatus.ATTENTION for operation in operations):
        yield badge(_("Needs attention"), Tone.ALERT)


def unclear_alerts(row: Model, links: Links) -> Iterable[Alert]:
    """Yield for each operation of a row that is unclear what may have happened, and the way to look into it.

    What needs a person has an alert of its own.
    """
    for operation in unclear_of(row):
        if operation.status != OperationStatus.ATTENTION:
            yield unclear_alert(operation, links)


def unclear_alert(operation: PaymentOperation, links: Links, reason: Text = "") -> Alert:
    """Return what may have happened, when it is looked at next, and the way to look at once."""
    return Alert(
        text=lines(unclear_text(operation), next_look(operation), reason),
        url=check_url(operation, links),
        link=_("Check now"),
    )


def check_url(operation: PaymentOperation, links: Links) -> str | None:
    """Return the address that asks the provider at once, and leads back here; None where this user may not."""
    user: Any = links.request.user
    if links.url(PaymentOperation, operation.pk) is None or not user.has_perm("payments.sync_session"):
        return None
    name = f"{links.site.name}:payments_paymentoperation_action"
    query = urlencode({"next": links.request.path})
    return f"{reverse(name, args=[quote(operation.pk), 'check'])}?{query}"


def what_of(operation: PaymentOperation) -> str:
    """Return what was asked, and of how much."""
    return str(_WHAT[operation.kind]) % {"amount": amount_text(operation.amount, operation.currency_code)}


def unclear_text(operation: PaymentOperation) -> str:
    """Return what was asked by whom and when, and what it may have done."""
    parts = {
        "what": what_of(operation),
        "amount": amount_text(operation.amount, operation.currency_code),
        "who": operation.actor.get_username()
        if operation.actor
        else str(EventSource(operation.source).label),
        "when": moment_text(operation.created_at),
    }
    return str(_MAY_HAVE.get(operation.kind, _OTHERWISE)) % parts


def next_look(operation: PaymentOperation) -> str:
    """Return when the provider is asked next; nothing where a person has to."""
    if operation.status == OperationStatus.ATTENTION or operation.next_attempt_at is None:
        return ""
    if operation.next_attempt_at <= timezone.now():
        return _(
            "The provider is asked again as soon as the reconciler runs; the amount stays reserved until it is known."
        )
    message = _("The provider is asked again at %(when)s; the amount stays reserved until it is known.")
    return message % {"when": moment_text(operation.next_attempt_at)}


def news_text(news: Iterable[PaymentEvent]) -> str:
    """Return what asking a provider has brought to light, as a sentence; nothing where all was known."""
    message = dict.fromkeys(filter(None, (_piece_of(event) for event in news)))
    if not message:
        return ""
    return _("New: %(news)s.") % {"news": ", ".join(message)}


def _piece_of(event: PaymentEvent) -> str:
    words = _DONE.get(event.type)
    if event.operation_id is None:
        words = _MADE_ELSEWHERE.get(event.type, words)
    if words is None:
        return ""
    amount = "" if event.amount is None else amount_text(event.amount, event.collection.currency_code)
    return str(words) % {"amount": amount}


def open_rows() -> QuerySet[PaymentOperation]:
    """Return the operations that aren't over, with what is said of them."""
    rows = PaymentOperation.objects.open().select_related("collection", "actor")
    return rows.defer("input", "provider_log", "sent", "collection__metadata").order_by("created_at", "id")
