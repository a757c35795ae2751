"""Refunds, made and read: PayPal gives money back capture by capture, so one of ours may take several of PayPal's.

Those that name the same operation of ours are one refund.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from payments.exceptions import ProviderUnavailableError
from payments.money import ZERO
from payments.providers.facts import Failure, MovementFact, SessionFact
from payments.providers.paypal import parameters
from payments.providers.paypal.client import PayPalApi, look_at_payment
from payments.providers.paypal.errors import PayPalAnswerError, RefusedError, failure, status_failure
from payments.providers.paypal.orders import Capture, Order, Refund, read_refund
from payments.providers.requests import RefundRequest
from payments.states import MovementKind, MovementStatus

MAX_PLANS: Final = 3
"""How often a refund is planned anew because another one took what was left of a capture."""

PATIENCE: Final = timedelta(days=2)
"""How long it is tried to complete a refund that broke off half way."""

_TAKEN_MEANWHILE: Final = frozenset({"CAPTURE_FULLY_REFUNDED", "REFUND_AMOUNT_EXCEEDED"})


@dataclass(frozen=True, kw_only=True)
class Part:
    """The amount (major units) of a capture that is given back."""

    capture: Capture
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Given:
    """The refunds at PayPal that make up one of ours, and why there isn't a further one, if that was refused."""

    refunds: Sequence[Refund]
    refusal: Failure | None = None


def give_back(api: PayPalApi, request: RefundRequest) -> Given:
    """Refund an amount, and return the refunds at PayPal that make it up; they fall short if one failed or was refused.

    Raises RefusedError where nothing was given back.
    """
    for attempt in range(1, MAX_PLANS + 1):
        # Each part names the operation and the whole amount. So a refund that broke off half way is found here, and
        # what is missing is asked for when it is sent again.
        order = look_at_payment(api, request)
        made = list(order.refunds_of(request.operation_id))
        # Once a part has failed, our refund has failed: nothing more is asked for, and the parts that stand count as
        # refunds of their own.
        if any(row.has_failed for row in made):
            return Given(refunds=made)
        try:
            _make(api, request, plan_refund(order, request.amount - _sum(made)), made)
        except RefusedError as error:
            if error.issue in _TAKEN_MEANWHILE and attempt < MAX_PLANS:
                continue  # Another refund took what was left, as one made in the dashboard: plan anew with the rest.
            if not _sum(made):
                raise
            return Given(refunds=made, refusal=error.failure)
        return Given(refunds=made)
    raise AssertionError("The last attempt returns or raises.")


def plan_refund(order: Order, amount: Decimal) -> list[Part]:
    """Return which captures give back how much, so that it adds up to `amount` (major units).

    Raises RefusedError where less is left.
    """
    if amount <= ZERO:
        return []
    # What fits into one capture is one refund at PayPal, if possible the one that it empties. Only what doesn't fit is
    # divided, oldest capture first.
    left = {row.id: order.left_of(row) for row in order.captures}
    fitting = [row for row in order.captures if left[row.id] >= amount]
    if fitting:
        exact = (row for row in fitting if left[row.id] == amount)
        return [Part(capture=next(exact, fitting[0]), amount=amount)]
    if sum(left.values(), ZERO) < amount:
        raise _too_much(order)
    parts = []
    for row in order.captures:
        share = min(left[row.id], amount)
        if share:
            parts.append(Part(capture=row, amount=share))
        amount -= share
    return parts


def refund_groups(refunds: Iterable[Refund], *, now: datetime) -> list[tuple[Refund, ...]]:
    """Return refunds, those together that make up one of ours.

    One of which parts are still missing is left out for as long as they may be asked for again: what isn't a whole
    would pass for another refund.
    """
    groups: dict[str, list[Refund]] = {}
    for row in refunds:
        groups.setdefault(row.id if row.mark is None else row.mark.operation_id, []).append(row)
    return [tuple(group) for group in groups.values() if not _is_being_made(group, now)]


def refund_status(group: Sequence[Refund], total: Decimal) -> MovementStatus:
    """Return what has become of a refund of `total` (major units): it fails if any part of it does."""
    if refund_amount(group) < total:
        return MovementStatus.FAILED
    is_given = all(row.is_given for row in standing(group))
    return MovementStatus.SUCCEEDED if is_given else MovementStatus.PENDING


def refund_amount(group: Sequence[Refund]) -> Decimal:
    """Return how much a refund gives back."""
    return sum((row.amount for row in standing(group)), ZERO)


def refund_failure(group: Sequence[Refund], total: Decimal) -> Failure | None:
    """Return why a refund of `total` (major units) failed, if it did."""
    if refund_status(group, total) != MovementStatus.FAILED:
        return None
    reason = next((row.reason for row in group if row.has_failed), None)
    return status_failure("REFUNDED_IN_PART" if standing(group) else "REFUND_FAILED", reason)


def standing(group: Sequence[Refund]) -> list[Refund]:
    """Return the parts of a refund that give something back, or will as far as is known."""
    return [row for row in group if not row.has_failed]


def refund_reference(group: Sequence[Refund]) -> str:
    """Return PayPal's name for a refund, or its names where it took several."""
    return "+".join(row.id for row in group)


def refund_facts(group: Sequence[Refund], currency_code: str) -> list[MovementFact]:
    """Return a refund as a movement; a failed one of several parts as several movements.

    It has failed where not every part stands. Our books then have the whole as a failed refund under our operation,
    and each part that stands as a refund of its own, so that what did go back is counted.
    """
    total = _total_of(group)
    mark = group[0].mark
    whole = MovementFact(
        kind=MovementKind.REFUND,
        status=refund_status(group, total),
        amount=max(total, refund_amount(group)),
        currency_code=currency_code,
        operation_id=None if mark is None else mark.operation_id,
        provider_reference=refund_reference(group),
        failure=refund_failure(group, total),
    )
    if whole.status != MovementStatus.FAILED or not _is_divided(group):
        return [whole]
    if len(group) == 1:
        # The one part goes by that reference itself, and no two refunds may have the same.
        whole = replace(whole, provider_reference=f"{whole.provider_reference}+")
    return [whole, *part_facts(group, currency_code)]


def part_facts(group: Sequence[Refund], currency_code: str) -> list[MovementFact]:
    """Return each part of a refund as a movement by itself, as if it had been made in PayPal's dashboard."""
    return [
        MovementFact(
            kind=MovementKind.REFUND,
            status=refund_status([row], row.amount),
            amount=row.amount,
            currency_code=currency_code,
            provider_reference=row.id,
            failure=refund_failure([row], row.amount),
        )
        for row in group
    ]


def rest_fact(group: Sequence[Refund], total: Decimal, currency_code: str) -> SessionFact | None:
    """Return what stands of a refund of `total` (major units) that has failed; None if nothing does, or it hasn't."""
    if refund_status(group, total) != MovementStatus.FAILED or not standing(group):
        return None
    return SessionFact(
        currency_code=currency_code, movements=tuple(part_facts(standing(group), currency_code))
    )


def _make(api: PayPalApi, request: RefundRequest, plan: Sequence[Part], made: list[Refund]) -> None:
    """Ask for each part of a plan, up to one that fails, and add what comes of it to `made`."""
    total = request.amount if made or len(plan) > 1 else None
    for part in plan:
        body = parameters.refund(request, part.amount, total=total)
        # A part that is planned anew with another amount is another request, so it needs another key.
        key = f"{request.idempotency_key}-{part.capture.id}-{body['amount']['value']}"
        try:
            answer = api.refund(part.capture.id, body, key=key)
        except ProviderUnavailableError as error:
            if made:
                raise PayPalAnswerError("A refund is half done.") from error
            raise
        made.append(read_refund(answer, request.currency_code))
        if made[-1].has_failed:
            return


def _sum(refunds: Sequence[Refund]) -> Decimal:
    return sum((row.amount for row in refunds if not row.has_failed), ZERO)


def _too_much(order: Order) -> RefusedError:
    if order.reserved > order.captured:
        issue = "PENDING_CAPTURE"
    elif order.captured and not sum((order.left_of(row) for row in order.captures), ZERO):
        issue = "CAPTURE_FULLY_REFUNDED"
    else:
        issue = "REFUND_AMOUNT_EXCEEDED"
    return RefusedError(failure(issue), issue=issue)


def _total_of(group: Sequence[Refund]) -> Decimal:
    """Return how much a refund was to give back in all."""
    totals = (row.mark.total for row in group if row.mark is not None and row.mark.total is not None)
    return next(totals, sum((row.amount for row in group), ZERO))


def _is_divided(group: Sequence[Refund]) -> bool:
    return any(row.mark is not None and row.mark.total is not None for row in group)


def _is_being_made(group: Sequence[Refund], now: datetime) -> bool:
    mark = group[0].mark
    if mark is None or mark.total is None or any(row.has_failed for row in group):
        return False
    begun = min((row.created_at for row in group if row.created_at is not None), default=None)
    is_recent = begun is not None and now - begun < PATIENCE
    return is_recent and refund_amount(group) < mark.total
