"""The verbs of a payment: capture, refund, cancel. Each refuses to run inside the caller's transaction."""

from __future__ import annotations

from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotSupportedError, OperationInProgressError, TransitionError
from payments.models import Capture, Payment, PaymentOperation, Refund, RefundReason
from payments.money import parse_amount
from payments.providers.handler import refuse_open_transaction
from payments.services.balances import amount_to_capture, amount_to_refund
from payments.services.journals import Journal
from payments.services.movements import pending_sum
from payments.services.operations import claim_operation, raise_for_outcome, refuse_if_busy
from payments.services.origins import Actor, Origin
from payments.services.providers import plugin_for, refuse_odd_amount
from payments.services.records import run_operation
from payments.services.transactions import committed, lock_collection
from payments.states import EventSource, MovementKind, OperationKind, PaymentStatus


def capture_payment(
    payment: Payment,
    *,
    amount: Decimal | int | str | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
) -> Payment:
    """Take money that a payment holds: `amount` in major units, or all that is left.

    Raises AmountError where less is left, TransitionError where nothing can be captured any more,
    OperationInProgressError, NotSupportedError, and for the provider's answer DeclinedError, ProviderUnavailableError
    or OutcomeUnknownError. While the outcome is unknown, the amount stays reserved.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    with committed():
        operation = _claim_capture(lock_payment(payment), amount, origin)
    return _finish(payment, run_operation(operation))


def refund_payment(
    payment: Payment,
    *,
    amount: Decimal | int | str | None = None,
    reason: RefundReason | None = None,
    note: str = "",
    actor: Actor = None,
    source: str = EventSource.API,
) -> Payment:
    """Give back captured money: `amount` in major units, or all that is left. Raises as `capture_payment` does."""
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    with committed():
        operation = _claim_refund(lock_payment(payment), amount, reason=reason, note=note, origin=origin)
    return _finish(payment, run_operation(operation))


def cancel_payment(payment: Payment, *, actor: Actor = None, source: str = EventSource.API) -> Payment:
    """Release what a payment holds and has not captured; a payment that is canceled already is returned as it is.

    Raises TransitionError where nothing is held any more, OperationInProgressError, and for the provider's answer
    DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    refuse_open_transaction()
    origin = Origin.of(actor=actor, source=source)
    with committed():
        operation = claim_release(lock_payment(payment), origin)
    if operation is not None:
        raise_for_outcome(run_operation(operation))
    payment.refresh_from_db()
    return payment


def lock_payment(payment: Payment) -> Payment:
    """Lock a payment's collection, and return the payment as it is now."""
    collection = lock_collection(payment.collection_id)
    locked = Payment.objects.select_related("session__provider").get(pk=payment.pk)
    locked.collection = locked.session.collection = collection
    return locked


def claim_release(payment: Payment, origin: Origin) -> PaymentOperation | None:
    """Claim the release of what a locked payment holds; None where it is canceled already."""
    if payment.status == PaymentStatus.CANCELED:
        return None
    refuse_release(payment)
    return claim_operation(
        kind=OperationKind.CANCEL,
        target=payment,
        session=payment.session,
        payment=payment,
        amount=payment.capturable_amount,
        origin=origin,
    )


def refuse_release(payment: Payment) -> None:
    """Raise what `cancel_payment` raises before a provider is asked, where a payment can't let go of anything now."""
    refuse_if_busy(payment.pk)
    if pending_sum(payment, MovementKind.CAPTURE):
        raise _capture_in_progress()
    if not payment.capturable_amount:
        raise TransitionError(
            _("Nothing is held any more: refund what was captured instead."), code="nothing_to_cancel"
        )


def choose_capture(payment: Payment, amount: Decimal | int | str | None) -> Decimal:
    """Return how much a capture would take, in major units.

    Raises what `capture_payment` raises before any provider is asked.
    """
    if payment.status == PaymentStatus.CANCELED:
        raise TransitionError(_("A canceled payment can't be captured."), code="payment_canceled")
    refuse_if_busy(payment.pk, OperationKind.CANCEL)
    chosen = amount_to_capture(payment, _parse(amount, payment))
    _check_capture_support(payment, chosen)
    return chosen


def choose_refund(payment: Payment, amount: Decimal | int | str | None) -> Decimal:
    """Return how much a refund would give back, in major units; raise as `choose_capture` does."""
    chosen = amount_to_refund(payment, _parse(amount, payment))
    _check_refund_support(payment, chosen)
    return chosen


def _claim_capture(payment: Payment, amount: Decimal | int | str | None, origin: Origin) -> PaymentOperation:
    chosen = choose_capture(payment, amount)
    capture = Capture(payment=payment, amount=chosen)
    capture.save(force_insert=True)
    is_final = chosen == payment.capturable_amount
    return _claim_movement(capture, OperationKind.CAPTURE, origin, is_final=is_final)


def _claim_refund(
    payment: Payment,
    amount: Decimal | int | str | None,
    *,
    reason: RefundReason | None,
    note: str,
    origin: Origin,
) -> PaymentOperation:
    chosen = choose_refund(payment, amount)
    refund = Refund(payment=payment, amount=chosen, reason=reason, note=note)
    refund.save(force_insert=True)
    return _claim_movement(refund, OperationKind.REFUND, origin)


def _claim_movement(
    movement: Capture | Refund, kind: OperationKind, origin: Origin, *, is_final: bool = False
) -> PaymentOperation:
    payment = movement.payment
    operation = claim_operation(
        kind=kind,
        target=movement,
        session=payment.session,
        payment=payment,
        amount=movement.amount,
        origin=origin,
        is_final=is_final,
    )
    journal = Journal(collection=payment.collection, origin=origin)
    journal.note(
        f"{kind}.requested",
        movement,
        to_status=str(movement.status),
        amount=movement.amount,
        operation=operation,
    )
    journal.write()  # A movement that is only asked for changes no sum, so there is nothing to settle.
    return operation


def _check_capture_support(payment: Payment, amount: Decimal) -> None:
    plugin = plugin_for(payment)
    refuse_odd_amount(plugin, amount, payment.currency_code)
    if not plugin.supports_multiple_captures:
        if payment.captured_amount:
            raise _unsupported(_("The provider “%(alias)s” captures a payment only once."), plugin.alias)
        _refuse_second_capture(payment)
    if amount != payment.capturable_amount and not plugin.supports_partial_capture:
        raise _unsupported(_("The provider “%(alias)s” only captures the whole amount."), plugin.alias)


def _refuse_second_capture(payment: Payment) -> None:
    """Raise OperationInProgressError where the one capture that a provider takes may be under way."""
    if pending_sum(payment, MovementKind.CAPTURE):
        raise _capture_in_progress()


def _capture_in_progress() -> OperationInProgressError:
    return OperationInProgressError(_("A capture of this payment is in progress. Ask again in a moment."))


def _check_refund_support(payment: Payment, amount: Decimal) -> None:
    plugin = plugin_for(payment)
    if not plugin.supports_refund:
        raise _unsupported(_("The provider “%(alias)s” can't refund."), plugin.alias, field=None)
    refuse_odd_amount(plugin, amount, payment.currency_code)
    if amount != payment.captured_amount and not plugin.supports_partial_refund:
        raise _unsupported(_("The provider “%(alias)s” only refunds the whole amount."), plugin.alias)


def _unsupported(message: object, alias: str, *, field: str | None = "amount") -> NotSupportedError:
    return NotSupportedError(message, field=field, params={"alias": alias})


def _parse(amount: Decimal | int | str | None, payment: Payment) -> Decimal | None:
    return None if amount is None else parse_amount(amount, payment.currency_code)


def _finish(payment: Payment, operation: PaymentOperation) -> Payment:
    raise_for_outcome(operation)
    payment.refresh_from_db()
    return payment
