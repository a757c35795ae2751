"""The claims: what is checked and recorded before a provider is called.

A claim is a rule: it decides by the books under the lock, never by what its caller has read before. Abandoning an
unauthorized session and releasing a hold are two claims, and neither turns into the other if the session has changed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import provider_aliases
from payments.exceptions import (
    AmountError,
    InputError,
    NotSupportedError,
    PaymentError,
    TransitionError,
)
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, Refund, RefundReason
from payments.money import ZERO, check_multiple, display_amount, parse_amount
from payments.providers import BaseProvider, PaymentContext
from payments.services.ledger.books import Books
from payments.services.ledger.calls import provider_for
from payments.services.ledger.history import note_claim
from payments.services.ledger.operations import (
    check_idle,
    claim_operation,
    is_abandonment,
    is_unclear,
)
from payments.services.ledger.payers import (
    AUTHORIZATIONS,
    Verb,
    check_lasting_agreement,
    check_right,
    context_of_payer,
    is_asked_by_another,
)
from payments.services.ledger.totals import (
    amount_to_capture,
    amount_to_refund,
    authorizable_amount,
    cancel_session,
    change_amount,
    check_excess,
    check_overauthorization,
    check_return,
    holder_of,
    promise_of,
    refresh_totals,
    remaining_amount,
)
from payments.states import (
    CollectionStatus,
    MovementKind,
    OperationKind,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
)

Amount = Decimal | int | str | None
Reduction = tuple[PaymentSession, Decimal]
"""A split that gives way, and the amount (major units) that is left to it; zero means that it is canceled."""

Metadata = Mapping[str, Any] | None

_LOST: Final = (OperationStatus.UNKNOWN, OperationStatus.ATTENTION)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A person's details of money that was received outside of any provider."""

    received_at: datetime
    reference: str = ""
    note: str = ""


def check_open(books: Books) -> None:
    """Raise TransitionError if a collection is canceled."""
    if books.collection.is_canceled or books.collection.status == CollectionStatus.CANCELED:
        raise TransitionError(_("The collection is canceled."), code="collection_canceled")


def check_unauthorized(session: PaymentSession, message: object) -> None:
    """Raise TransitionError with this message if a session is authorized or canceled."""
    if not session.is_unauthorized:
        raise TransitionError(message, code="invalid_transition", field="status")


def check_step(provider: BaseProvider[Any], amount: Decimal, currency_code: str) -> None:
    """Raise AmountError (`not_a_multiple`) if an amount (major units) isn't a multiple of the provider's step.

    Raises DeclinedError if the provider doesn't take the currency.
    """
    check_multiple(amount, currency_code, provider.amount_step(currency_code))


def insert_session(
    books: Books,
    provider: BaseProvider[Any],
    amount: Amount,
    *,
    context: PaymentContext,
    metadata: Metadata = None,
    lifetime: timedelta | None,
) -> PaymentSession:
    """Add a session for an amount (major units), or for what is left to pay."""
    check_open(books)
    currency_code = books.collection.currency_code
    left = remaining_amount(books)
    asked = left if amount is None else parse_amount(amount, currency_code)
    check_excess(asked, left, currency_code)
    check_step(provider, asked, currency_code)
    session = PaymentSession(
        collection=books.collection,
        provider_id=provider.alias,
        amount=asked,
        is_split=amount is not None,
        is_by_payer=books.origin.by_payer,
        context=dict(vars(context)),
        metadata=dict(metadata or {}),
        expires_at=None if lifetime is None else timezone.now() + lifetime,
    )
    books.add(session)
    books.note("session.created", session, to_status=str(session.status), amount=session.amount)
    return session


def claim_initiation(
    books: Books, session: PaymentSession, sent: Mapping[str, Any] | None = None
) -> PaymentOperation:
    """Claim the initiation of a session that its provider doesn't know yet, such as a due installment."""
    if session.status == SessionStatus.ERROR:
        change_amount(books, session, session.amount)
    # The customer's account may be newer than the session. It is stored, so that a retry sends the same request.
    session.context = dict(vars(context_of_payer(books, PaymentContext(**session.context))))
    return claim_operation(
        books,
        OperationKind.INITIATE,
        session,
        session=session,
        amount=session.amount,
        sent=sent,
        refuses_saved=is_asked_by_another(books, session),
    )


def claim_authorization(
    books: Books, session: PaymentSession, sent: Mapping[str, Any], *, saved_method: str | None = None
) -> list[PaymentOperation]:
    """Claim the authorization of a session, or the step that is needed first.

    A session that its provider doesn't know yet is initiated first. One that covers the rest, or an installment, is
    made smaller first, if less is left now. Nothing is claimed if the session is authorized, or its authorization is
    pending at the provider.
    """
    if session.status == SessionStatus.AUTHORIZED or _waits_for_provider(books, session):
        return []
    check_right(books, session, Verb.AUTHORIZE)
    _check_authorizable(books, session)
    if smaller := _claim_rest(books, session):
        return smaller
    check_return(books, session)
    check_overauthorization(books, session)
    AUTHORIZATIONS.check(books)
    if session.initiated_at is None:
        operation = claim_initiation(books, session)
        refresh_totals(books)
        return [operation]
    return [
        claim_operation(
            books,
            OperationKind.AUTHORIZE,
            session,
            session=session,
            amount=session.amount,
            sent=sent,
            saved_method=saved_method,
            refuses_saved=is_asked_by_another(books, session),
        )
    ]


def claim_update(
    books: Books,
    session: PaymentSession,
    amount: Decimal,
    *,
    sent: Mapping[str, Any] | None = None,
    makes_split: bool = False,
) -> list[PaymentOperation]:
    """Claim the change of a session's amount (major units); change it at once if its provider doesn't know it yet."""
    check_update(books, session, sent)
    if session.initiated_at is None:
        change_amount(books, session, amount, makes_split=makes_split)
        refresh_totals(books)
        return []
    return [
        claim_operation(
            books,
            OperationKind.UPDATE,
            session,
            session=session,
            amount=amount,
            sent=sent,
            refuses_saved=is_asked_by_another(books, session),
            makes_split=makes_split,
        )
    ]


def _claim_rest(books: Books, session: PaymentSession) -> list[PaymentOperation]:
    """Claim the reduction of a session to what may still be held, if it covers the rest or is an installment.

    Another session may have paid a part since; that must not prevent the payer from paying what is left. A session that
    its provider can't change stays as it is.
    """
    left = authorizable_amount(books, session)
    covers_rest = not session.is_split or session.installment is not None
    is_too_large = covers_rest and ZERO < left < session.amount
    return claim_update(books, session, left) if is_too_large and _can_be(books, session, left) else []


def reductions_for_shop(
    books: Books, provider: BaseProvider[Any], amount: Amount, *, session: PaymentSession | None = None
) -> list[Reduction]:
    """Return how splits give way to a session of the shop with this amount (None: the whole rest).

    `session` is that session if it exists already. Payers' splits give way, and installments that were refused. Those
    with an open operation stay, since they may be authorized at any moment. Raises AmountError if the others can't make
    enough room, and as `check_step` does for an amount that the provider would refuse.
    """
    if books.origin.by_payer:
        return []
    yielding = [
        row
        for row in books.unauthorized_sessions()
        if (row.is_by_payer or row.status == SessionStatus.ERROR)
        and row is not session
        and not books.open_operations(target_id=row.pk)
    ]
    promised = sum((promise_of(books, row) for row in yielding), ZERO)
    if not promised:
        return []
    room, currency_code = remaining_amount(books, besides=session) + promised, books.collection.currency_code
    wanted = room if amount is None else parse_amount(amount, currency_code)
    check_excess(wanted, room, currency_code)
    reductions = reductions_for(books, wanted, yielding, besides=session)
    if reductions:  # No split must give way to an amount that the provider would refuse.
        check_step(provider, wanted, currency_code)
    return reductions


def reductions_for(
    books: Books,
    amount: Decimal,
    splits: Iterable[PaymentSession] | None = None,
    *,
    besides: PaymentSession | None = None,
) -> list[Reduction]:
    """Return how open splits (default: all) give way until an amount (major units) is left to others.

    The session `besides` is one of those others, so that its own amount doesn't count.

    The newest split gives way first, the parts of a plan last, beginning with its last part.
    """
    reductions: list[Reduction] = []
    missing = amount - remaining_amount(books, besides=besides)
    for split in sorted(books.unauthorized_sessions() if splits is None else splits, key=_yields_last):
        if missing > ZERO and (promised := promise_of(books, split)):
            smaller = max(promised - missing, ZERO)
            reductions.append((split, smaller))
            missing -= promised - smaller
    return reductions


def claim_calls(books: Books, reductions: Sequence[Reduction]) -> list[PaymentOperation]:
    """Claim those reductions that need a call to a provider, and leave the others to `reduce_at_once`.

    A call may fail, and then no other split must have given way in vain. Raises as `check_abandonment` does if any of
    the splits can't give way now.
    """
    for split, _smaller in reductions:
        check_abandonment(books, split)
    return [
        operation
        for split, smaller in reductions
        if not _is_only_here(split)
        for operation in _claim_reduction(books, split, smaller)
    ]


def reduce_at_once(books: Books, reductions: Iterable[Reduction]) -> None:
    """Make those reductions that need no call to a provider; the caller refreshes the totals."""
    for split, smaller in reductions:
        if _is_only_here(split):
            _claim_reduction(books, split, smaller)


def _yields_last(session: PaymentSession) -> tuple[bool, float]:
    """Sort the newest split first, and the parts of a plan after all others, beginning with its last part."""
    return session.installment is not None, -session.created_at.timestamp()


def _claim_reduction(books: Books, session: PaymentSession, amount: Decimal) -> list[PaymentOperation]:
    """Claim the reduction of a split to an amount, or its cancelation if that is zero or its provider can't take it."""
    can_be_less = amount and session.provider_id in provider_aliases() and _can_be(books, session, amount)
    return claim_update(books, session, amount) if can_be_less else claim_abandonment(books, session)


def _is_only_here(session: PaymentSession) -> bool:
    """Return whether there is no provider to call about a session: none knows it, or it has left the settings."""
    return session.initiated_at is None or session.provider_id not in provider_aliases()


def _can_be(books: Books, session: PaymentSession, amount: Decimal) -> bool:
    """Return whether a session's provider can change it to an amount."""
    provider = provider_for(session)
    is_possible = amount % provider.amount_step(books.collection.currency_code) == ZERO
    return is_possible and (session.initiated_at is None or provider.supports_update)


def claim_abandonment(books: Books, session: PaymentSession) -> list[PaymentOperation]:
    """Claim the cancelation of an unauthorized session; the caller refreshes the totals.

    It is canceled at once if there is no provider to call. Raises TransitionError (`already_authorized`) if its payer
    has paid meanwhile.
    """
    if session.status == SessionStatus.CANCELED:
        return []
    check_abandonment(books, session)
    if _is_only_here(session):
        cancel_session(books, session)
        return []
    return [claim_operation(books, OperationKind.CANCEL, session, session=session, amount=session.amount)]


def claim_resizes(books: Books, *, may_cancel: bool = False) -> list[PaymentOperation]:
    """Claim what fits a collection's sessions to what is left to pay.

    Splits that no longer fit are made smaller, and the session that covers what is left covers the new rest. If its
    provider can't change it, NotSupportedError is raised. With `may_cancel`, it is canceled instead; so are failed
    splits for more than is left, and authorizations under way count as held.
    """
    left = max(remaining_amount(books), ZERO)
    operations: list[PaymentOperation] = []
    for split, smaller in reductions_for(books, left):
        operations += _claim_reduction(books, split, smaller)
    for session in books.unauthorized_sessions():
        rest = _rest_for(books, session) if may_cancel else left
        if session.is_split:
            # Were a failed split made smaller, it would be open again, and reserve what is left.
            is_outgrown = may_cancel and session.amount > rest and _has_failed(books, session)
            operations += claim_abandonment(books, session) if is_outgrown else []
        elif session.amount == rest:
            continue
        elif may_cancel or not rest:
            operations += _claim_reduction(books, session, rest)
        else:
            operations += claim_update(books, session, rest)
    refresh_totals(books)
    return operations


def outgrown_sessions(books: Books) -> list[PaymentSession]:
    """Return the sessions that reserve nothing and are for more than others have left, or are about to leave.

    These cover what is left, or are splits that have failed. A browser may still confirm either by itself.
    """
    return [
        row
        for row in books.unauthorized_sessions()
        if (not row.is_split or _has_failed(books, row)) and row.amount > _rest_for(books, row)
    ]


def needs_fitting(books: Books) -> bool:
    """Return whether sessions are for more than is left: together, as splits, or one of those that reserve nothing."""
    return remaining_amount(books) < ZERO or bool(outgrown_sessions(books))


def claim_outgrown(books: Books, session_ids: Container[str]) -> list[PaymentOperation]:
    """Claim the cancelation of those outgrown sessions that have one of these ids."""
    outgrown = [row for row in outgrown_sessions(books) if row.pk in session_ids]
    operations = [operation for row in outgrown for operation in claim_abandonment(books, row)]
    refresh_totals(books)
    return operations


def _has_failed(books: Books, split: PaymentSession) -> bool:
    return split.installment is None and not promise_of(books, split)


def _rest_for(books: Books, session: PaymentSession) -> Decimal:
    return max(min(remaining_amount(books), authorizable_amount(books, session)), ZERO)


def claim_everything(books: Books) -> list[PaymentOperation]:
    """Claim the cancelation of a collection's unauthorized sessions, and the release of what its payments hold."""
    _check_nothing_kept(books)
    books.collection.canceled_at = books.collection.canceled_at or timezone.now()
    operations: list[PaymentOperation] = []
    for session in books.unauthorized_sessions():
        operations += claim_abandonment(books, session)
    for payment in books.payments:
        if payment.capturable_amount:
            operations += claim_release(books, payment)
    refresh_totals(books)
    return operations


def claim_replacement(books: Books) -> list[PaymentOperation]:
    """Claim the cancelation of the sessions that a new one replaces."""
    return [
        operation
        for session in replaceable_sessions(books)
        for operation in claim_abandonment(books, session)
    ]


def replaceable_sessions(books: Books) -> list[PaymentSession]:
    """Return the unauthorized sessions that cover the rest; for a payer, only payers' sessions.

    A session that can't be authorized now stays: it is being canceled, or the outcome of its initiation is unknown.
    Waiting for that would prevent the payer from choosing another provider.
    """
    return [
        session
        for session in books.unauthorized_sessions()
        if (session.is_by_payer or not books.origin.by_payer)
        and not session.is_split
        and not _is_out_of_reach(books, session)
    ]


def claim_release(books: Books, payment: Payment) -> list[PaymentOperation]:
    """Claim the release of what a payment holds; claim nothing if it is canceled already."""
    amount = choose_release(books, payment)
    if not amount:
        return []
    return [
        claim_operation(
            books,
            OperationKind.CANCEL,
            payment,
            session=payment.session,
            payment=payment,
            amount=amount,
        )
    ]


def claim_whole_release(books: Books, payment: Payment) -> list[PaymentOperation]:
    """Claim the release of a whole authorization; raise TransitionError if any of it was captured."""
    _check_nothing_captured(payment)
    return claim_release(books, payment)


def claim_capture(
    books: Books,
    payment: Payment,
    amount: Amount,
    *,
    metadata: Metadata = None,
    despite_unclear: bool = False,
    receipt: Receipt | None = None,
) -> list[PaymentOperation]:
    """Claim the capture of an amount, or of all that is left; `receipt` is for money from outside of any provider."""
    chosen = choose_capture(books, payment, amount, despite_unclear=despite_unclear)
    is_final = chosen == payment.capturable_amount
    capture = Capture(payment=payment, amount=chosen, metadata=dict(metadata or {}))
    if receipt is not None:
        capture.received_at = receipt.received_at
        capture.reference, capture.note = receipt.reference, receipt.note
        # A provider that can't be asked only repeats what the person has stated.
        capture.is_by_person = not provider_for(payment).supports_retrieve
    return [_claim_movement(books, capture, OperationKind.CAPTURE, is_final=is_final)]


def claim_refund(
    books: Books,
    payment: Payment,
    amount: Amount,
    *,
    reason: RefundReason | None,
    note: str,
    metadata: Metadata = None,
    despite_unclear: bool = False,
) -> list[PaymentOperation]:
    """Claim the refund of an amount, or of all that is left."""
    chosen = choose_refund(books, payment, amount, despite_unclear=despite_unclear)
    refund = Refund(payment=payment, amount=chosen, reason=reason, note=note, metadata=dict(metadata or {}))
    words = None if reason is None else reason.label
    return [_claim_movement(books, refund, OperationKind.REFUND, reason=words)]


def choose_capture(books: Books, payment: Payment, amount: Amount, *, despite_unclear: bool) -> Decimal:
    """Return how much would be captured, in major units; raise if the capture would be refused."""
    if payment.status == PaymentStatus.CANCELED:
        raise TransitionError(_("A canceled payment can't be captured."), code="payment_canceled")
    check_idle(books, payment.pk, OperationKind.CANCEL)
    chosen = amount_to_capture(books, payment, _parse(amount, payment))
    _check_capture_support(books, payment, chosen)
    if not despite_unclear:
        _check_repetition(books, payment, OperationKind.CAPTURE, chosen)
    return chosen


def choose_refund(books: Books, payment: Payment, amount: Amount, *, despite_unclear: bool) -> Decimal:
    """Return how much would be refunded, in major units; raise if the refund would be refused."""
    chosen = amount_to_refund(books, payment, _parse(amount, payment))
    _check_refund_support(payment, chosen)
    if not despite_unclear:
        _check_repetition(books, payment, OperationKind.REFUND, chosen)
    return chosen


def _check_repetition(books: Books, payment: Payment, kind: OperationKind, amount: Decimal) -> None:
    """Raise TransitionError if a capture or refund of the same amount may have happened already."""
    for operation in books.open_operations(kind):
        is_same = operation.payment_id == payment.pk and operation.amount == amount
        if is_same and is_unclear(operation) and books.has_reserved(operation):
            raise TransitionError(
                _(
                    "It isn't known yet whether the same has happened already: %(kind)s of %(amount)s (%(id)s). Find "
                    "that out first, or say that this is another one."
                ),
                code="possible_repetition",
                params={
                    "kind": OperationKind(kind).label,
                    "amount": display_amount(amount, payment.currency_code),
                    "id": operation.pk,
                },
            )


def new_amount(books: Books, session: PaymentSession, amount: Amount, provider: BaseProvider[Any]) -> Decimal:
    """Return a session's new amount, or its present one; raise AmountError if there is no room for it."""
    if amount is None:
        check_return(books, session)
        return Decimal(session.amount)
    currency_code = books.collection.currency_code
    chosen = parse_amount(amount, currency_code)
    check_excess(chosen, remaining_amount(books, besides=session), currency_code)
    check_step(provider, chosen, currency_code)
    return chosen


def check_update(books: Books, session: PaymentSession, sent: Mapping[str, Any] | None = None) -> None:
    """Raise PaymentError if a session can't be changed now, or not with its payer's data."""
    check_idle(books, session.pk)
    if session.initiated_at is None:
        _check_no_early_input(sent)
    else:
        _check_update_support(session)


def check_abandonment(books: Books, session: PaymentSession) -> None:
    """Raise TransitionError or OperationInProgressError if an unauthorized session can't be abandoned now."""
    _check_not_authorized(session)
    check_idle(books, session.pk)


def choose_release(books: Books, payment: Payment) -> Decimal:
    """Return how much a payment would release, in major units: nothing if it is canceled already."""
    if payment.status != PaymentStatus.CANCELED:
        check_release(books, payment)
    return Decimal(payment.capturable_amount)


def check_release(books: Books, payment: Payment) -> None:
    """Raise TransitionError or OperationInProgressError if a payment can't release anything now."""
    check_idle(books, payment.pk)
    if books.pending(payment, MovementKind.CAPTURE):
        raise holder_of(books, payment, OperationKind.CAPTURE)
    if not payment.capturable_amount:
        raise TransitionError(
            _("Nothing is held any more: refund what was captured instead."), code="nothing_to_cancel"
        )


def check_session_cancelation(books: Books, session: PaymentSession) -> None:
    """Raise if a session can't be canceled now: neither abandoned nor, if it is authorized, released."""
    if session.payment is None:
        check_idle(books, session.pk)
        return
    _check_nothing_captured(session.payment)
    check_release(books, session.payment)


def check_collection_cancelation(books: Books) -> None:
    """Raise TransitionError or OperationInProgressError if a collection can't be canceled now."""
    _check_nothing_kept(books)
    for session in books.unauthorized_sessions():
        check_idle(books, session.pk)
    for payment in books.payments:
        if payment.capturable_amount:
            check_release(books, payment)


def _check_nothing_kept(books: Books) -> None:
    if books.collection.captured_amount > books.collection.refunded_amount:
        raise TransitionError(_("Money was captured: refund it before canceling."), code="already_captured")


def refusal_of_call(books: Books, operation: PaymentOperation) -> PaymentError | None:
    """Return the reason not to send an operation, because of what has happened since its claim, or None.

    A session to be abandoned or changed may have been authorized. In place of one to be authorized, another may have
    been paid, or its payer may be a former customer. A payment may hold, or have captured, less than before.
    """
    session, payment = operation.session, operation.payment
    try:
        if is_abandonment(operation) or operation.kind == OperationKind.UPDATE:
            _check_not_authorized(session)
        elif operation.kind in (OperationKind.INITIATE, OperationKind.AUTHORIZE):
            check_overauthorization(books, session)
            check_lasting_agreement(books, operation)
        elif payment is not None:
            _check_covered(books, operation, payment)
    except (AmountError, TransitionError) as error:
        return error
    return None


def _waits_for_provider(books: Books, session: PaymentSession) -> bool:
    """Return whether a session's authorization is pending at its provider; report that operation's id if so."""
    for operation in books.open_operations(OperationKind.AUTHORIZE, target_id=session.pk):
        if operation.status == OperationStatus.PENDING:
            note_claim(operation.pk)
            return True
    return False


def _check_covered(books: Books, operation: PaymentOperation, payment: Payment) -> None:
    """Raise AmountError if a payment has less left than an operation claims, or its reservation has ended."""
    is_refund = operation.kind == OperationKind.REFUND
    left = payment.refundable_amount if is_refund else payment.capturable_amount
    needed = ZERO if operation.kind == OperationKind.CANCEL else operation.amount
    if left <= ZERO or left < needed or not books.has_reserved(operation):
        raise AmountError(_("There is nothing left to pay."), code="nothing_left")


def _check_not_authorized(session: PaymentSession) -> None:
    if session.payment is not None:
        raise TransitionError(
            _("The session has been authorized meanwhile: release or refund its payment instead."),
            code="already_authorized",
            field="status",
        )


def _check_authorizable(books: Books, session: PaymentSession) -> None:
    check_unauthorized(session, _("A canceled session can't be authorized."))
    check_idle(books, session.pk)
    if books.collection.is_canceled:
        raise TransitionError(_("The collection is canceled."), code="collection_canceled")
    if session.is_expired(timezone.now()):
        raise TransitionError(_("The session has expired; create another."), code="session_expired")


def _is_out_of_reach(books: Books, session: PaymentSession) -> bool:
    return any(
        operation.kind == OperationKind.CANCEL
        or (operation.kind == OperationKind.INITIATE and operation.status in _LOST)
        for operation in books.open_operations(target_id=session.pk)
    )


def _claim_movement(
    books: Books,
    movement: Capture | Refund,
    kind: OperationKind,
    *,
    is_final: bool = False,
    reason: str | None = None,
) -> PaymentOperation:
    books.add(movement)
    payment = movement.payment
    return claim_operation(
        books,
        kind,
        movement,
        session=payment.session,
        payment=payment,
        amount=movement.amount,
        is_final=is_final,
        reason=reason,
    )


def _check_nothing_captured(payment: Payment) -> None:
    if payment.captured_amount:
        raise TransitionError(_("Money was captured already: refund it instead."), code="already_captured")


def _check_update_support(session: PaymentSession) -> None:
    provider = provider_for(session)
    if not provider.supports_update:
        raise NotSupportedError(
            _("The provider “%(alias)s” can't change a session; cancel it and create another."),
            params={"alias": provider.alias},
        )


def _check_no_early_input(sent: Mapping[str, Any] | None) -> None:
    if sent:
        raise InputError(
            _("No provider knows of the session yet; send the data when it is authorized."),
            code="not_initiated",
            field="data",
        )


def _check_capture_support(books: Books, payment: Payment, amount: Decimal) -> None:
    provider = provider_for(payment)
    check_step(provider, amount, payment.currency_code)
    if not provider.supports_multiple_captures:
        if payment.captured_amount:
            raise _unsupported(_("The provider “%(alias)s” captures a payment only once."), provider.alias)
        # The only capture that the provider takes may be under way.
        if books.pending(payment, MovementKind.CAPTURE):
            raise holder_of(books, payment, OperationKind.CAPTURE)
    if amount != payment.capturable_amount and not provider.supports_partial_capture:
        raise _unsupported(_("The provider “%(alias)s” only captures the whole amount."), provider.alias)


def _check_refund_support(payment: Payment, amount: Decimal) -> None:
    provider = provider_for(payment)
    if not provider.supports_refund:
        raise _unsupported(_("The provider “%(alias)s” can't refund."), provider.alias, field=None)
    check_step(provider, amount, payment.currency_code)
    if amount != payment.captured_amount and not provider.supports_partial_refund:
        raise _unsupported(_("The provider “%(alias)s” only refunds the whole amount."), provider.alias)


def _unsupported(message: object, alias: str, *, field: str | None = "amount") -> NotSupportedError:
    return NotSupportedError(message, field=field, params={"alias": alias})


def _parse(amount: Amount, payment: Payment) -> Decimal | None:
    return None if amount is None else parse_amount(amount, payment.currency_code)
