"""Resolutions: a person's statement about an operation's outcome, checked against what the provider can have moved.

The statement is recorded like an answer of the provider. It may give another amount than was requested, or name money
that a report has booked meanwhile, which isn't booked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import provider_aliases
from payments.exceptions import (
    AmountError,
    InputError,
    OperationInProgressError,
    PaymentError,
    TransitionError,
)
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, Refund
from payments.money import ZERO, check_multiple, display_amount, parse_amount
from payments.providers import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    Failure,
    InitiateResult,
    ProviderResult,
    RefundResult,
    SessionFact,
    UpdateResult,
)
from payments.services.ledger.books import Books, Movement
from payments.services.ledger.calls import provider_for
from payments.services.ledger.discrepancies import Discrepancy, reasons_in
from payments.services.ledger.facts import check_word
from payments.services.ledger.movements import fail_movement
from payments.services.ledger.operations import NOT_DONE, is_recorded, link_movement
from payments.services.ledger.records import Resolution, note_resolution, record_word
from payments.services.ledger.totals import cancel_session, change_amount, held_amount, refresh_totals
from payments.states import (
    AttentionReason,
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
)

CORRECTED: Final = Failure(code="corrected")
BOOKED_OTHERWISE: Final = Failure(code="booked_otherwise")
"""The failure of a capture or refund whose money is in the books as another one."""

RESOLVABLE_AFTER: Final = timedelta(minutes=10)
"""How long an outcome must have been unknown before a person may decide."""

SKEW: Final = timedelta(minutes=5)
"""The most by which the clocks of the machines that write rows may differ."""

_RESULTS: Final[dict[OperationKind, Callable[..., ProviderResult]]] = {
    OperationKind.INITIATE: InitiateResult,
    OperationKind.UPDATE: UpdateResult,
    OperationKind.AUTHORIZE: AuthorizeResult,
    OperationKind.CAPTURE: CaptureResult,
    OperationKind.REFUND: RefundResult,
    OperationKind.CANCEL: CancelResult,
    OperationKind.SYNC: ProviderResult,
}
KINDS_WITH_AMOUNT: Final = frozenset(
    {OperationKind.UPDATE, OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND}
)
MONEY_KINDS: Final = frozenset({OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND})
_MISMATCHES: Final = frozenset(
    {
        AttentionReason.AUTHORIZED_AMOUNT_MISMATCH,
        AttentionReason.CAPTURE_AMOUNT_MISMATCH,
        AttentionReason.REFUND_AMOUNT_MISMATCH,
        AttentionReason.UPDATE_MISMATCH,
    }
)
_EXCESSES: Final = frozenset(
    {
        AttentionReason.AUTHORIZED_MORE_THAN_DUE,
        AttentionReason.CAPTURED_MORE_THAN_AUTHORIZED,
        AttentionReason.CAPTURED_AFTER_RELEASE,
        AttentionReason.REFUNDED_WHAT_WAS_CHARGED_BACK,
    }
)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A person's statement about an operation; `amount` (major units) has moved, None means what was requested.

    `reference` is the provider's reference, or the id of a capture or refund in the books that is the same money.
    `accepts_excess` confirms an amount that is more than the provider can have moved according to the books.
    """

    has_happened: bool
    amount: Decimal | int | str | None = None
    reference: str | None = None
    accepts_excess: bool = False


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The effect of a statement on a sum, such as a payment's captured amount; all amounts are in major units.

    `excess` is by how much the sum would exceed what the provider can have moved. `twin` is the capture or refund in
    the books that is the same money, so that nothing is booked.
    """

    amount: Decimal | None = None
    before: Decimal = ZERO
    after: Decimal = ZERO
    excess: Decimal = ZERO
    twin: Movement | None = None


@dataclass(frozen=True, kw_only=True)
class Room:
    """By how much an operation's last resolution enlarged its payment, and reduced the payment's released amount.

    `held` is the last authorized amount in the history, or None if the history has none. When the room is taken back,
    the payment becomes no larger than `held`, unless more was captured.
    """

    amount: Decimal = ZERO
    canceled: Decimal = ZERO
    held: Decimal | None = None

    def take_back(self, payment: Payment, captured: Decimal) -> Decimal:
        """Shrink a payment to its size before, if `captured` stays captured; return by how much it holds less."""
        before = payment.amount
        payment.canceled_amount += self.canceled
        if self.held is None:
            payment.amount -= self.amount
        else:
            payment.amount = min(before, max(self.held, captured + payment.canceled_amount))
        return before - payment.amount + self.canceled


@dataclass(frozen=True, kw_only=True)
class Reported:
    """The amount and reference that a provider has reported for an operation that needs attention."""

    amount: Decimal | None = None
    reference: str = ""


def reported_of(operation: PaymentOperation) -> Reported:
    """Return the latest report with another amount than was requested; an empty one if there is none."""
    found = Reported()
    for reason in reasons_in(operation.detail, operation.discrepancies):
        if isinstance(reason, Discrepancy) and reason.code in _MISMATCHES:
            found = _read(reason.reported, operation.currency_code) or found
    return found


def check_decidable(operation: PaymentOperation, now: datetime) -> None:
    """Raise TransitionError if a person can't decide about an operation; `now` is the database's time."""
    status = operation.status
    if status == OperationStatus.ATTENTION:
        return
    if status != OperationStatus.UNKNOWN:
        raise TransitionError(
            _("Only an operation that needs attention, or whose outcome is unknown, can be resolved."),
            code="not_in_attention",
        )
    if operation.lease_expires_at is not None and operation.lease_expires_at > timezone.now():
        raise OperationInProgressError(
            _("The provider is being asked about this right now. Look again in a minute."),
            operation_id=operation.pk,
        )
    since = operation.unclear_since or operation.created_at
    if now - since < RESOLVABLE_AFTER:
        raise TransitionError(
            _("The outcome has been unknown for less than ten minutes. Ask the provider first."),
            code="too_early",
        )


def look_ahead(books: Books, operation: PaymentOperation, statement: Statement) -> Outlook:
    """Return a statement's effect; raise PaymentError if it can't be recorded, or needs `accepts_excess`."""
    amount = _amount_of(operation, statement)
    if operation.kind == OperationKind.SYNC and statement.reference:
        raise InputError(
            _("A report is only acknowledged: what it tells of isn't booked by giving its reference."),
            code="reference_not_expected",
            field="provider_reference",
        )
    if not statement.has_happened:
        if is_recorded(operation):
            raise TransitionError(
                _("This has happened: refund or cancel it instead of resolving it as not done."),
                code="already_recorded",
                field="has_happened",
            )
        return Outlook()
    row = operation.capture or operation.refund
    if is_recorded(operation):
        _check_as_recorded(operation, amount)
    if row is None or operation.payment is None:
        return _look_at_session(books, operation, amount, statement)
    if row.status == MovementStatus.SUCCEEDED:
        total = books.succeeded(operation.payment, MovementKind(operation.kind))
        return Outlook(amount=amount, before=total, after=total)
    assert amount is not None  # noqa: S101 - a movement has one
    return _look_at_movement(books, operation, row, amount, statement)


def resolve(
    books: Books, operation: PaymentOperation, statement: Statement, resolution: Resolution
) -> Outlook:
    """Record a person's statement about an operation; raise as `look_ahead` does, with nothing changed."""
    outlook = look_ahead(books, operation, statement)
    resolution = replace(resolution, told={**resolution.told, **_told_of(operation, statement, outlook)})
    row = operation.capture or operation.refund
    if outlook.twin is not None and row is not None:
        _book_as_twin(books, operation, row, outlook.twin, resolution)
        return outlook
    if operation.kind == OperationKind.UPDATE and outlook.amount is not None:
        _resolve_update(books, operation, outlook.amount, resolution)
        return outlook
    is_word = not is_recorded(operation) or _booked_row(operation).is_by_person
    if not is_word:  # The provider has reported its reference already.
        statement = replace(statement, reference=None)
    name = None if row is None else row.provider_reference
    if outlook.amount is not None:
        _take_amount(books, operation, row, outlook.amount)
    accepted = _EXCESSES if statement.accepts_excess else frozenset()
    hold = None if row is None else row.payment
    is_hold_by_person = hold is not None and hold.is_by_person
    record_word(books, operation, _answer_for(operation, statement, outlook.amount), resolution, accepted)
    # A person's statement about a capture doesn't confirm a hold that a person has booked.
    if hold is not None:
        hold.is_by_person = is_hold_by_person
    if is_recorded(operation):
        _booked_row(operation).is_by_person = is_word
    if row is not None and row.provider_reference != name:
        row.is_named_by_person = True
    return outlook


def check_correctable(operation: PaymentOperation) -> None:
    """Raise TransitionError if no person has decided about an operation, or the provider has reported it since."""
    if operation.is_open or not operation.was_decided or operation.kind not in MONEY_KINDS:
        raise TransitionError(
            _("Only an authorization, capture or refund that a person has resolved can be corrected."),
            code="not_correctable",
        )
    is_known = is_recorded(operation) and not _booked_row(operation).is_by_person
    if is_known and operation.own_movement_id is None:
        raise TransitionError(
            _("The provider has told of this, so it can't be corrected: refund or cancel it instead."),
            code="already_recorded",
        )


def correct(
    books: Books,
    operation: PaymentOperation,
    statement: Statement,
    resolution: Resolution,
    *,
    room: Room,
) -> Outlook:
    """Take back what a person has booked, and record a new statement; raise TransitionError with nothing changed.

    `room` is by how much the payment was enlarged for it: the payment becomes smaller again.
    """
    check_correctable(operation)
    was_done = operation.status == OperationStatus.SUCCEEDED
    if not was_done and (is_recorded(operation) or not statement.has_happened):
        raise _nothing_to_correct()
    row = _booked_row(operation)
    before = {"has_happened": was_done, "reason": operation.resolution_reason}
    if was_done:
        _check_difference(operation, row, statement)
        before["amount"] = f"{row.amount.normalize():f}"
        before |= {"provider_reference": row.provider_reference} if row.provider_reference else {}
    resolution = replace(resolution, is_correction=True, told={"before": before})
    if was_done and isinstance(row, Payment):
        return _correct_hold(books, operation, row, statement, resolution)
    if isinstance(row, Payment):
        _rename(books, row, statement.reference)
    elif was_done:
        _undo(books, operation, row, statement, room)
    if statement.has_happened:
        if operation.is_receipt:
            _hold_again(books, operation.session)
        return resolve(books, operation, statement, resolution)
    _note_as_not_done(books, operation, resolution)
    return Outlook()


def _undo(books: Books, operation: PaymentOperation, row: Movement, statement: Statement, room: Room) -> None:
    """Take back a capture or refund that a person has booked, or its link to an operation."""
    if operation.own_movement_id is not None:
        _part(books, operation)
        return
    if row.is_named_by_person and (statement.reference or not statement.has_happened):
        row.provider_reference, row.is_named_by_person = None, False
    before_amount = row.amount
    returned = _take_back(books, operation, row, room)
    if operation.is_receipt:
        kept = (_amount_of(operation, statement) or ZERO) if statement.has_happened else ZERO
        _let_go(books, row.payment, before_amount - kept - returned)


def _check_difference(operation: PaymentOperation, row: Any, statement: Statement) -> None:
    """Raise TransitionError if a correction changes nothing."""
    is_same = statement.reference in (None, "", row.provider_reference)
    if statement.has_happened and is_same and _amount_of(operation, statement) == row.amount:
        raise _nothing_to_correct()


def _nothing_to_correct() -> TransitionError:
    return TransitionError(_("The books say this already."), code="nothing_to_correct")


def _note_as_not_done(books: Books, operation: PaymentOperation, resolution: Resolution) -> None:
    note_resolution(books, operation, replace(resolution, told={**resolution.told, "has_happened": False}))
    refresh_totals(books)


def _take_back(books: Books, operation: PaymentOperation, row: Movement, room: Room) -> Decimal:
    """Record that a capture or refund which only a person has booked moved no money.

    Return by how much its payment holds less, since it had been enlarged for this.
    """
    payment, returned = row.payment, ZERO
    if isinstance(row, Capture):
        left = books.succeeded(payment, MovementKind.CAPTURE) - row.amount
        gone = books.succeeded(payment, MovementKind.REFUND) + books.pending(payment, MovementKind.REFUND)
        _check_free(left >= gone + payment.net_charged_back_amount)
        returned = room.take_back(payment, left)
    before = str(row.status)
    row.correct(code=CORRECTED.code)
    books.note(
        "capture.failed" if isinstance(row, Capture) else "refund.failed",
        row,
        from_status=before,
        amount=row.amount,
        data={"code": CORRECTED.code},
    )
    operation.correct(code=NOT_DONE.code)
    return returned


def _part(books: Books, operation: PaymentOperation) -> None:
    """Unlink an operation from a movement that a report has booked; the movement stays in the books."""
    link_movement(operation, books.movement(str(operation.own_movement_id)))
    operation.correct(code=NOT_DONE.code)


def _let_go(books: Books, payment: Payment, amount: Decimal) -> None:
    """Release from a payment the part that was never received."""
    payment.canceled_amount += max(amount, ZERO)
    if payment.canceled_amount == payment.amount and payment.session.status == SessionStatus.AUTHORIZED:
        cancel_session(books, payment.session)


def _hold_again(books: Books, session: PaymentSession) -> None:
    """Have a session be authorized again whose money was received after all."""
    before = str(session.status)
    if before == SessionStatus.CANCELED:
        session.authorize()
        session.authorized_at = session.authorized_at or timezone.now()
        books.note("session.authorized", session, from_status=before, amount=session.amount)


def _correct_hold(
    books: Books,
    operation: PaymentOperation,
    payment: Payment,
    statement: Statement,
    resolution: Resolution,
) -> Outlook:
    """Correct the held amount of a payment that only a person has booked, or release it all."""
    under_way = (row for row in books.open_operations() if row.kind != OperationKind.SYNC)
    is_busy = any(row.payment_id == payment.pk for row in under_way)
    _check_free(not (is_busy or payment.captured_amount or payment.canceled_amount))
    if not statement.has_happened:
        payment.canceled_amount = payment.amount
        cancel_session(books, payment.session)
        operation.correct(code=NOT_DONE.code)
        _note_as_not_done(books, operation, resolution)
        return Outlook()
    amount = _amount_of(operation, statement) or payment.amount
    excess = _excess_of_hold(books, operation, amount, statement)
    outlook = Outlook(amount=amount, before=payment.amount, after=amount, excess=excess)
    _resize_session(books, operation, amount)
    payment.amount = amount
    _rename(books, payment, statement.reference)
    told = {**resolution.told, **_told_of(operation, statement, outlook)}
    note_resolution(books, operation, replace(resolution, told=told))
    refresh_totals(books)
    return outlook


def _rename(books: Books, payment: Payment, reference: str | None) -> None:
    """Set the provider's reference of a payment that only a person has booked."""
    if (Payment, payment.provider_id, reference) in books.taken:
        raise _reference_taken()
    payment.provider_reference = reference or payment.provider_reference


def _check_free(is_free: bool) -> None:
    if not is_free:
        raise TransitionError(
            _(
                "A later operation has used this money, so this can't be corrected. Undo the later operation "
                "first."
            ),
            code="depended_on",
        )


def _told_of(operation: PaymentOperation, statement: Statement, outlook: Outlook) -> dict[str, Any]:
    """Return what the history keeps of a statement, including by how much it enlarges a payment."""
    told: dict[str, Any] = {"has_happened": statement.has_happened}
    if outlook.amount is not None:
        told["amount"] = f"{outlook.amount.normalize():f}"
    payment = operation.payment
    if operation.kind == OperationKind.CAPTURE and outlook.excess and payment is not None:
        growth = max(outlook.after - payment.amount, ZERO)
        told["room"] = {"amount": str(growth), "canceled": str(outlook.excess - growth)}
    return told


def _booked_row(operation: PaymentOperation) -> Any:
    """Return the capture, refund or payment that an operation has made."""
    return operation.capture or operation.refund or operation.session.payment


def _read(text: str, currency_code: str) -> Reported | None:
    number, _separator, name = text.partition(" ")
    try:
        amount = parse_amount(number, currency_code)
    except PaymentError:
        return None
    return Reported(amount=amount, reference="" if name == currency_code else name)


def _amount_of(operation: PaymentOperation, statement: Statement) -> Decimal | None:
    """Return how much has moved, in major units, or None if an answer to this operation has no amount."""
    is_asked = statement.has_happened and operation.kind in KINDS_WITH_AMOUNT
    if not is_asked:
        if statement.amount is not None:
            raise InputError(
                _("Give an amount only for an update, authorization, capture or refund that has happened."),
                code="amount_not_expected",
                field="amount",
            )
        return None
    if statement.amount is None:
        payment = operation.session.payment if operation.kind == OperationKind.AUTHORIZE else None
        return Decimal(operation.amount if payment is None else payment.amount)
    amount = parse_amount(statement.amount, operation.currency_code)
    _check_step(operation, amount)
    return amount


def _check_step(operation: PaymentOperation, amount: Decimal) -> None:
    """Raise AmountError for an amount that isn't a multiple of the provider's step.

    A provider that has left the settings can't be checked.
    """
    if operation.provider_id in provider_aliases():
        step = provider_for(operation).amount_step(operation.currency_code)
        check_multiple(amount, operation.currency_code, step)


def _check_as_recorded(operation: PaymentOperation, amount: Decimal | None) -> None:
    row = operation.capture or operation.refund or operation.session.payment
    if row is not None and amount is not None and amount != row.amount:
        raise TransitionError(
            _("The books have this with %(amount)s already, as the provider has told."),
            code="already_recorded",
            field="amount",
            params={"amount": display_amount(row.amount, operation.currency_code)},
        )


def _look_at_session(
    books: Books, operation: PaymentOperation, amount: Decimal | None, statement: Statement
) -> Outlook:
    if operation.kind != OperationKind.AUTHORIZE or amount is None or is_recorded(operation):
        return Outlook(amount=amount, after=amount or ZERO)
    check_word(
        operation.session,
        SessionFact(currency_code=operation.currency_code, status=SessionStatus.AUTHORIZED),
    )
    excess = _excess_of_hold(books, operation, amount, statement)
    return Outlook(amount=amount, after=amount, excess=excess)


def _excess_of_hold(
    books: Books, operation: PaymentOperation, amount: Decimal, statement: Statement
) -> Decimal:
    """Return by how much a hold would exceed the requested amount, or what other payments leave uncovered.

    Raises AmountError unless this statement accepts the excess; an earlier statement's consent doesn't count.
    """
    payment = operation.session.payment
    own = ZERO if payment is None else payment.amount - payment.canceled_amount
    left = books.collection.amount - (held_amount(books) - own)
    excess = max(amount - min(operation.amount, left), ZERO)
    if excess and not statement.accepts_excess:
        raise _more_than_possible(ZERO, amount, excess, operation)
    return excess


def _look_at_movement(
    books: Books, operation: PaymentOperation, row: Movement, amount: Decimal, statement: Statement
) -> Outlook:
    payment, kind = row.payment, MovementKind(operation.kind)
    before = books.succeeded(payment, kind)
    twin = _twin_of(books, operation, row, amount, statement)
    if twin is not None:
        return Outlook(amount=amount, before=before, after=before, twin=twin)
    after = before + amount
    excess = max(after - _possible(books, payment, kind), ZERO)
    if kind == MovementKind.REFUND and after > books.succeeded(payment, MovementKind.CAPTURE):
        raise AmountError(
            _("More would be refunded than was captured: see to the captures first."),
            code="exceeds_captured",
        )
    if excess and not statement.accepts_excess:
        raise _more_than_possible(before, amount, excess, operation)
    return Outlook(amount=amount, before=before, after=after, excess=excess)


def _possible(books: Books, payment: Payment, kind: MovementKind) -> Decimal:
    """Return how much of a payment can have been captured or refunded in total, according to the books."""
    if kind == MovementKind.CAPTURE:
        return payment.amount - payment.canceled_amount
    return books.succeeded(payment, MovementKind.CAPTURE) - payment.net_charged_back_amount


def _more_than_possible(
    before: Decimal, amount: Decimal, excess: Decimal, operation: PaymentOperation
) -> AmountError:
    told = {
        OperationKind.AUTHORIZE: _(
            "%(after)s would be held, which is %(excess)s more than was asked, or is left to pay."
        ),
        OperationKind.CAPTURE: _(
            "Captured so far %(before)s; with this %(after)s, which is %(excess)s more than was authorized."
        ),
        OperationKind.REFUND: _(
            "Refunded so far: %(before)s. With this: %(after)s, which is %(excess)s more than what is left "
            "after chargebacks."
        ),
    }[OperationKind(operation.kind)]
    parts = {"before": before, "after": before + amount, "excess": excess}
    return AmountError(
        told,
        code="exceeds_possible",
        params={name: display_amount(value, operation.currency_code) for name, value in parts.items()},
    )


def _twin_of(
    books: Books, operation: PaymentOperation, row: Movement, amount: Decimal, statement: Statement
) -> Movement | None:
    """Return the movement in the books that is the same money according to the statement's reference, or None.

    Raises InputError if it has another amount or belongs to another operation. Raises TransitionError if a movement
    reported since may be the same money, unless a differing reference or `accepts_excess` rules that out.
    """
    kind = MovementKind(operation.kind)
    others: list[Movement] = [
        each
        for each in books.movements(row.payment, kind)
        if each is not row and each.status == MovementStatus.SUCCEEDED
    ]
    if statement.reference:
        for each in others:
            if statement.reference in (each.provider_reference, each.pk):
                _check_twin(books, each, amount, operation)
                return each
    alike = (each for each in others if _may_be_same(books, each, operation, amount, statement.reference))
    found = next(alike, None)
    if found is not None and not statement.accepts_excess:
        raise TransitionError(
            _(
                "The provider has reported %(amount)s meanwhile: %(id)s. If this is the same money, enter "
                "its reference (%(reference)s)."
            ),
            code="possibly_booked",
            field="provider_reference",
            params={
                "amount": display_amount(found.amount, operation.currency_code),
                "id": found.pk,
                "reference": found.provider_reference or found.pk,
            },
        )
    return None


def _check_twin(books: Books, twin: Movement, amount: Decimal, operation: PaymentOperation) -> None:
    if any(each.target_id == twin.pk for each in books.operations):
        raise _reference_taken()
    if twin.amount != amount:
        raise InputError(
            _("Under this reference %(amount)s is in the books."),
            code="reference_has_other_amount",
            field="amount",
            params={"amount": display_amount(twin.amount, operation.currency_code)},
        )


def _reference_taken() -> InputError:
    return InputError(
        _("This is the reference of what another operation has done."),
        code="reference_taken",
        field="provider_reference",
    )


def _may_be_same(
    books: Books, other: Movement, operation: PaymentOperation, amount: Decimal, reference: str | None
) -> bool:
    """Return whether a movement without an operation of ours, booked after the claim, may be what an operation did."""
    is_foreign = all(each.target_id != other.pk for each in books.operations)
    is_alike = other.amount == amount and other.created_at >= operation.created_at - SKEW
    return is_foreign and is_alike and not (reference and other.provider_reference)


def _book_as_twin(
    books: Books, operation: PaymentOperation, row: Movement, twin: Movement, resolution: Resolution
) -> None:
    """Link an operation to the movement that a report has booked, and release what the operation had reserved."""
    note_resolution(books, operation, resolution)
    if row.status == MovementStatus.PENDING:
        fail_movement(books, row, BOOKED_OTHERWISE)
    link_movement(operation, twin, instead_of=row.pk)
    operation.succeed()
    refresh_totals(books)


def _resolve_update(
    books: Books, operation: PaymentOperation, amount: Decimal, resolution: Resolution
) -> None:
    """End an update with the amount that the session has at the provider, whatever was requested."""
    note_resolution(books, operation, resolution)
    if operation.session.is_unauthorized:
        change_amount(books, operation.session, amount, makes_split=operation.makes_split)
    operation.succeed()
    refresh_totals(books)


def _take_amount(
    books: Books, operation: PaymentOperation, row: Capture | Refund | None, amount: Decimal
) -> None:
    """Set the reserved row, or the session, to the amount that has moved."""
    if row is not None and row.status != MovementStatus.SUCCEEDED:
        row.amount = amount
    if operation.kind == OperationKind.AUTHORIZE and not is_recorded(operation):
        _resize_session(books, operation, amount)


def _resize_session(books: Books, operation: PaymentOperation, amount: Decimal) -> None:
    """Set a session's amount to what was requested, or to what is held if that is more."""
    session, whole = operation.session, max(operation.amount, amount)
    if whole != session.amount:
        old, session.amount = session.amount, whole
        books.note("session.updated", session, amount=whole, data={"old_amount": str(old)})


def _answer_for(operation: PaymentOperation, statement: Statement, amount: Decimal | None) -> ProviderResult:
    """Return the provider's answer that a statement stands for."""
    build = _RESULTS[OperationKind(operation.kind)]
    if not statement.has_happened:
        return build(outcome=Outcome.DECLINED, failure=NOT_DONE)
    stated: dict[str, Any] = (
        {} if amount is None else {"amount": amount, "currency_code": operation.currency_code}
    )
    return build(outcome=Outcome.SUCCEEDED, provider_reference=statement.reference or None, **stated)
