"""Money that was received outside of any provider, such as a bank transfer or cash, and is booked by a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import mark_as_paid_provider
from payments.exceptions import AmountError, DeclinedError, InputError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO, parse_amount
from payments.providers import BaseProvider, PaymentContext
from payments.providers.calls import check_no_transaction
from payments.services.collections import fit_sessions
from payments.services.ledger import claims
from payments.services.ledger.books import Books, Scope
from payments.services.ledger.claims import Receipt, Reduction
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import reconnecting
from payments.services.ledger.protocol import Step, perform
from payments.services.ledger.totals import (
    authorizable_amount,
    check_excess,
    refresh_totals,
    remaining_amount,
)
from payments.services.providers import usable_provider
from payments.services.sessions import authorize_payment_session, cancel_payment_session
from payments.states import EventSource, OperationStatus

MAX_REFERENCE = 255

Yielding = Callable[[Books], Sequence[Reduction]]
"""A function that returns which splits give way to a receipt, and to which amount each."""


def mark_payment_collection_as_paid(
    collection: PaymentCollection,
    *,
    amount: Decimal | int | str | None = None,
    received_at: datetime | None = None,
    reference: str = "",
    note: str = "",
    session: PaymentSession | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentCollection:
    """Record that money was received outside of any provider: all that is left, or `amount` (major units) of it.

    A session with the `MARK_AS_PAID_PROVIDER` is created, authorized and captured. Its capture stores `received_at`
    (an aware datetime; None means now), the `reference` of the payer's bank, and a `note`. If everything was received,
    the unauthorized sessions are canceled. If a part was received, they are made smaller, or canceled if their
    provider can't change them: the newest first, the parts of a plan last. `session` names the installment that was
    paid in this way; the others stay.

    What another provider already holds is left for its own capture. After an interruption, look at the collection
    before repeating this: what is recorded already is recorded again. Raises AmountError if less than `amount` is
    left, also if others have paid or marked a part as paid meanwhile; TransitionError for a canceled collection and
    for a session that isn't open; InputError for a time in the future or without a time zone, and if the provider
    is disabled; OperationInProgressError, with no session changed, if one that has to give way is busy; and for the
    providers' answers as `cancel_payment_session` does.
    """
    check_no_transaction()
    Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    desk = _Desk(collection, _receipt(received_at, reference, note), actor=actor, source=source)
    stated = None if amount is None else parse_amount(amount, collection.currency_code)
    if session is not None:
        desk.receive_for(session, stated)
    elif stated is None or desk.is_all(stated):
        desk.receive_all(stated)
    else:
        desk.receive(stated)
    reconnecting(collection.refresh_from_db)
    return collection


def check_receipt(
    collection: PaymentCollection,
    *,
    amount: Decimal | None = None,
    received_at: datetime | None = None,
    session: PaymentSession | None = None,
) -> Decimal:
    """Return how much `mark_payment_collection_as_paid` could receive at most, in major units; change nothing.

    That includes what is held for such receipts, such as cash that is expected. Raises the AmountError or InputError
    that marking would raise.
    """
    receipt = _receipt(received_at, "", "")
    desk = _Desk(collection, receipt, actor=None, source=EventSource.SHOP)
    left = desk.left() if session is None else Decimal(session.amount)
    if amount is not None:
        check_excess(amount, left, collection.currency_code)
    held = ZERO if session is not None else left - (collection.amount - collection.authorized_amount)
    if (left if amount is None else amount) > held:
        usable_provider(mark_as_paid_provider())
    return left


class _Desk:
    """A receipt of money for one collection, outside of any provider."""

    def __init__(self, collection: PaymentCollection, receipt: Receipt, *, actor: Actor, source: str) -> None:
        self._collection = collection
        self._receipt = receipt
        self._origin: Any = {"actor": actor, "source": source}
        self._provider_id = mark_as_paid_provider()

    def is_all(self, amount: Decimal) -> bool:
        """Return whether an amount (major units) is all that can still be received; raise AmountError for more."""
        left = self.left()
        check_excess(amount, left, self._collection.currency_code)
        return amount == left

    def left(self) -> Decimal:
        """Return what can still be received, in major units."""
        return self._left(self._held())

    def receive_all(self, amount: Decimal | None) -> None:
        """Receive all that is left, which is an amount (major units), and cancel the unauthorized sessions.

        If the collection's amount is raised meanwhile, nobody has received the difference. If less is left meanwhile,
        that is received if no amount was stated; a stated amount is received as a whole or refused.
        """
        held = self._held()
        whole = self._left(held) if amount is None else amount

        def yielding(books: Books) -> list[Reduction]:
            return [(row, ZERO) for row in books.unauthorized_sessions() if row.is_split]

        self._receive(whole, yielding, held, replaces=True, is_stated=amount is not None)

    def receive(self, amount: Decimal) -> None:
        """Receive a part (major units), for which open splits give way as far as they have to."""
        held = self._held()
        self._receive(amount, lambda books: claims.reductions_for(books, amount - _sum(held)), held)

    def receive_for(self, session: PaymentSession, amount: Decimal | None) -> None:
        """Receive the amount of one open session, or a part of it (major units)."""
        reconnecting(session.refresh_from_db)
        if session.collection_id != self._collection.pk or not session.is_unauthorized:
            raise TransitionError(
                _("Only an open session of the collection can be marked as paid."),
                code="session_not_open",
                field="session",
            )
        wanted = session.amount if amount is None else amount
        check_excess(wanted, session.amount, self._collection.currency_code)
        rest = session.amount - wanted

        def yielding(books: Books) -> list[Reduction]:
            row = books.session(session.pk)
            return [(row, rest)] if row.is_unauthorized and row.amount > rest else []

        self._receive(wanted, yielding)

    def _left(self, held: Sequence[Payment]) -> Decimal:
        """Return what can still be received, in major units, including what these payments hold."""
        collection = self._collection
        reconnecting(collection.refresh_from_db)
        return collection.amount - collection.authorized_amount + _sum(held)

    def _receive(
        self,
        amount: Decimal,
        yielding: Yielding,
        held: Sequence[Payment] = (),
        *,
        replaces: bool = False,
        is_stated: bool = True,
    ) -> None:
        """Receive an amount (major units): capture what is held for such receipts, then open a session for the rest.

        Before, providers make room for the rest: nothing is recorded yet if one refuses that. What gives way without a
        call to a provider does so only when the session is opened.
        """
        rest, left, provider = amount - _sum(held), ZERO, None
        if rest > ZERO:
            provider = usable_provider(self._provider_id)
            self._make_room(provider, rest, yielding, replaces=replaces)
            left = self._left(held) - _sum(held)
            if is_stated:
                check_excess(rest, left, self._collection.currency_code)
        taken = self._capture(held, amount)
        if provider is not None and left > ZERO:
            self._open(provider, rest, yielding, replaces=replaces, is_stated=is_stated)
        elif not taken:
            raise AmountError(
                _("There is nothing left to pay; capture what is authorized."), code="nothing_left"
            )

    def _make_room(
        self, provider: BaseProvider[Any], amount: Decimal, yielding: Yielding, *, replaces: bool
    ) -> None:
        """Have providers make splits smaller, or cancel them, so that they leave room for an amount (major units).

        A split that turns out to have been paid meanwhile stays. Raises, with nothing changed, if any session that has
        to give way is busy, and if the provider of the receipt can't take the amount.
        """

        def claim(books: Books) -> Sequence[PaymentOperation]:
            claims.check_open(books)
            claims.check_step(provider, amount, books.collection.currency_code)
            for session in claims.replaceable_sessions(books) if replaces else []:
                claims.check_abandonment(books, session)
            calls = claims.claim_calls(books, yielding(books))
            refresh_totals(books)
            return calls

        performance = perform(self._collection.pk, claim, origin=Origin.of(**self._origin), scope=Scope())
        performance.steps = [step for step in performance.steps if not _was_paid(performance.books, step)]
        performance.raise_first()

    def _capture(self, held: Sequence[Payment], limit: Decimal) -> Decimal:
        """Capture what these payments hold, up to a limit; return the captured amount."""
        taken = ZERO
        for payment in held:
            part = min(limit - taken, payment.capturable_amount)
            if part <= ZERO:
                break
            self._capture_payment(payment, part)
            taken += part
        return taken

    def _capture_payment(self, payment: Payment, amount: Decimal) -> None:
        perform(
            payment.collection_id,
            lambda books: claims.claim_capture(
                books, books.payment(payment.pk), amount, despite_unclear=True, receipt=self._receipt
            ),
            origin=Origin.of(**self._origin),
            scope=Scope(payment_id=payment.pk),
        ).raise_first()

    def _held(self) -> list[Payment]:
        payments = Payment.objects.filter(collection=self._collection.pk, provider=self._provider_id)
        rows = reconnecting(lambda: list(payments.order_by("created_at", "id")))
        return [payment for payment in rows if payment.capturable_amount]

    def _open(
        self,
        provider: BaseProvider[Any],
        amount: Decimal,
        yielding: Yielding,
        *,
        replaces: bool,
        is_stated: bool,
    ) -> None:
        """Create, authorize and capture a session for an amount, and adjust the session that covers the rest.

        With `replaces`, it takes the place of that session. An amount that nobody has stated may be less if less is
        left.
        """

        def claim(books: Books) -> Sequence[PaymentOperation]:
            claims.reduce_at_once(books, yielding(books))
            replaced = claims.claim_replacement(books) if replaces else []
            left = remaining_amount(books)
            is_all = left == amount or (left < amount and not is_stated)
            asked = None if replaces and is_all else amount
            session = claims.insert_session(books, provider, asked, context=PaymentContext(), lifetime=None)
            operation = claims.claim_initiation(books, session)
            refresh_totals(books)
            return [*replaced, operation]

        origin = Origin.of(**self._origin)
        performance = perform(self._collection.pk, claim, origin=origin, scope=Scope())
        performance.steps[-1].raise_for_outcome()
        opened = performance.books.session(performance.steps[-1].operation.session_id)
        session = (
            self._authorize(opened, amount)
            if is_stated
            else authorize_payment_session(opened, **self._origin)
        )
        if session.payment is not None:
            reconnecting(self._collection.refresh_from_db)  # The connection may have been lost meanwhile.
            self._capture_payment(session.payment, session.payment.amount)
        if not replaces:
            fit_sessions(self._collection.pk, origin=origin)

    def _authorize(self, opened: PaymentSession, amount: Decimal) -> PaymentSession:
        """Authorize a session for an amount; cancel it and raise AmountError if others have made it smaller."""

        def claim(books: Books) -> Sequence[PaymentOperation]:
            session = books.session(opened.pk)
            left = min(session.amount, authorizable_amount(books, session))
            check_excess(amount, left, self._collection.currency_code)
            return claims.claim_authorization(books, session, {})

        try:
            performance = perform(self._collection.pk, claim, origin=Origin.of(**self._origin))
        except AmountError:
            with suppress(DeclinedError, TransitionError):
                cancel_payment_session(opened, **self._origin)
            raise
        return performance.raise_first().session(opened.pk)


def _was_paid(books: Books, step: Step) -> bool:
    """Return whether a session couldn't give way since its payer has paid meanwhile."""
    is_refused = isinstance(step.error, TransitionError) or step.operation.status == OperationStatus.DECLINED
    return is_refused and books.session(step.operation.session_id).payment is not None


def _sum(held: Sequence[Payment]) -> Decimal:
    """Return what payments hold, in major units."""
    return sum((row.capturable_amount for row in held), ZERO)


def _receipt(received_at: datetime | None, reference: str, note: str) -> Receipt:
    now = timezone.now()
    moment = now if received_at is None else received_at
    if timezone.is_naive(moment) != timezone.is_naive(now):
        raise InputError(
            _("When it was received needs a time zone."), code="naive_datetime", field="received_at"
        )
    if moment > now:
        raise InputError(
            _("The time of receipt can't be in the future."),
            code="received_later",
            field="received_at",
        )
    if len(reference) > MAX_REFERENCE:
        raise InputError(_("This text is too long."), code="max_length", field="reference")
    return Receipt(received_at=moment, reference=reference, note=note)
