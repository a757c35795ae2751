"""Paying by installments: one collection, divided over time into sessions that fall due."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import InputError, TransitionError
from payments.models import PaymentCollection, PaymentSession
from payments.money import split_amount
from payments.providers import BaseProvider, PaymentContext
from payments.services.ledger.books import Books, Scope, open_books
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import check_snapshot, joined
from payments.services.ledger.totals import check_excess, promise_of, refresh_totals, remaining_amount
from payments.services.payables import payment_context
from payments.services.providers import usable_provider
from payments.states import EventSource, SessionStatus
from payments.stored import stored_moment

Interval = timedelta | Literal["day", "week", "month", "year"]

MAX_COUNT: Final = 360

_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}


def create_installment_plan(
    collection: PaymentCollection,
    *,
    provider_id: str,
    count: int,
    interval: Interval,
    first_due_at: datetime | None = None,
    is_automatic: bool = False,
    context: PaymentContext | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> list[PaymentSession]:
    """Divide what is left to pay exactly into `count` sessions.

    Each part is an amount that the provider takes; the first includes the remainder. The parts fall due `interval`
    apart, starting at `first_due_at` (an aware datetime, naive if `USE_TZ` is off; None means now), at the same time of
    day in the current time zone. A month after January 31 is the last day of February. A provider first hears of a part
    when it is authorized, so this function joins the caller's transaction.

    `is_automatic` means that the customer has agreed to automatic charges: on each due date the job `charges` charges
    the payment method that they have saved by then. `context` is passed to the provider, as for
    `create_payment_session`; a bank sends a customer who has to confirm back to its `return_url`. After a wholly
    canceled plan, the numbers of the parts continue.

    Raises InputError, also for a payer (`not_for_payers`); AmountError if a part would be zero or the provider can't
    take the amount in such parts; DeclinedError if the provider doesn't take the currency; TransitionError for a
    canceled collection, if parts of an earlier plan aren't canceled, or if a payer has begun to pay (`session_open`).
    """
    _check(count, interval, first_due_at)
    provider = usable_provider(provider_id)
    check_snapshot()
    due_dates = _due_dates(first_due_at or timezone.now(), interval, count)
    origin = Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    with joined():
        books = open_books(collection.pk, origin=origin, scope=Scope())
        locked = books.collection
        first_number = _next_number(books)
        amounts = _amounts(books, provider, count)
        common = {
            "collection": locked,
            "provider_id": provider_id,
            "is_split": True,
            "is_automatic": is_automatic,
            "context": dict(vars(context or payment_context(locked))),
        }
        parts = enumerate(zip(amounts, due_dates, strict=True), start=first_number)
        sessions = [
            _insert(books, installment=number, amount=amount, due_at=due_at, **common)
            for number, (amount, due_at) in parts
        ]
        refresh_totals(books)
        books.close()
    return sessions


def _amounts(books: Books, provider: BaseProvider[Any], count: int) -> tuple[Decimal, ...]:
    """Return what is left to pay, divided into parts that the provider can take."""
    currency_code, left = books.collection.currency_code, remaining_amount(books)
    check_excess(left, left, currency_code)
    return split_amount(left, currency_code, count, step=provider.amount_step(currency_code))


def _check(count: int, interval: Interval, first_due_at: datetime | None) -> None:
    if not _is_count(count):
        raise InputError(
            _("The number of installments must be between 1 and %(max)s."),
            code="invalid_count",
            field="count",
            params={"max": MAX_COUNT},
        )
    if not _is_known(interval):
        raise InputError(
            _("The interval must be a positive timedelta, or one of day, week, month and year."),
            code="invalid_interval",
            field="interval",
        )
    if first_due_at is not None and settings.USE_TZ and timezone.is_naive(first_due_at):
        raise InputError(
            _("The first due date needs a time zone."), code="naive_datetime", field="first_due_at"
        )


def _is_count(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= MAX_COUNT


def _is_known(interval: Interval) -> bool:
    if isinstance(interval, timedelta):
        return interval > timedelta(0)
    return interval in {*_DAYS, *_MONTHS}


def _next_number(books: Books) -> int:
    """Return the number of a new plan's first part; raise TransitionError if the collection can't have a plan now."""
    if books.collection.is_canceled:
        raise TransitionError(_("The collection is canceled."), code="collection_canceled")
    parts = [row for row in books.sessions if row.installment is not None]
    if any(row.status != SessionStatus.CANCELED for row in parts):
        raise TransitionError(_("The collection has an installment plan already."), code="plan_exists")
    if any(not row.is_split for row in books.unauthorized_sessions()):
        raise TransitionError(
            _("A session covers what is left; cancel it before making a plan."), code="session_open"
        )
    if any(row.is_by_payer and promise_of(books, row) for row in books.unauthorized_sessions()):
        raise TransitionError(
            _("A payer has begun to pay a part; cancel that session before making a plan."),
            code="session_open",
        )
    return max((row.installment or 0 for row in parts), default=0) + 1


def _insert(books: Books, **values: Any) -> PaymentSession:
    session = PaymentSession(**values)
    books.add(session)
    books.note("session.created", session, to_status=str(session.status), amount=session.amount)
    return session


def _due_dates(first: datetime, interval: Interval, count: int) -> list[datetime]:
    try:
        # Days and months are those of the clock on the shop's wall, and rows give their times in UTC.
        start = timezone.localtime(first) if timezone.is_aware(first) else first
        return [stored_moment(_later(start, interval, times)) for times in range(count)]
    except (OverflowError, ValueError) as error:
        raise InputError(
            _("The last installment would fall due after the year 9999."),
            code="invalid_interval",
            field="interval",
        ) from error


def _later(first: datetime, interval: Interval, times: int) -> datetime:
    if isinstance(interval, timedelta):
        return first + interval * times
    if interval in _DAYS:
        return first + timedelta(days=_DAYS[interval]) * times
    months = first.month - 1 + _MONTHS[interval] * times
    year, month = first.year + months // 12, months % 12 + 1
    last_day = calendar.monthrange(year, month)[1]
    return first.replace(year=year, month=month, day=min(first.day, last_day))
