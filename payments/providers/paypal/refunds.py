"""Refunds: PayPal gives money back capture by capture, so one refund of ours may take several of PayPal's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from payments.exceptions import ProviderUnavailableError
from payments.money import ZERO
from payments.providers.facts import Failure
from payments.providers.paypal import parameters
from payments.providers.paypal.client import PayPalApi, look_at_payment
from payments.providers.paypal.errors import PayPalAnswerError, RefusedError, failure
from payments.providers.paypal.orders import Capture, Order, Refund, read_refund
from payments.providers.requests import RefundRequest

MAX_PLANS: Final = 3
"""How often a refund is planned anew because another one took what was left of a capture."""

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
