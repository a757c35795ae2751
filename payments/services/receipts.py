"""Money that was received outside of any provider, such as a bank transfer or cash, and is booked by a person."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import mark_as_paid_provider
from payments.exceptions import (
    AmountError,
    DeclinedError,
    InputError,
    NotSupportedError,
    OperationInProgressError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO, parse_amount
from payments.providers import PaymentContext
from payments.providers.calls import check_no_transaction
from payments.providers.registry import check_money
from payments.services.ledger import claims
from payments.services.ledger.books import Books, Scope
from payments.services.ledger.claims import Receipt, claim_resizes
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import reconnecting
from payments.services.ledger.protocol import perform
from payments.services.ledger.totals import (
    authorizable_amount,
    check_excess,
    refresh_totals,
    remaining_amount,
)
from payments.services.providers import usable_provider
from payments.services.sessions import (
    authorize_payment_session,
    cancel_payment_session,
    update_payment_session,
)
from payments.states import EventSource

logger = logging.getLogger("payments.receipts")

MAX_REFERENCE = 255


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

    What another provider already holds is left for its own capture. After an interruption, repeat this with the same
    amount to continue. Raises AmountError if less than `amount` is left, also if others have paid or marked a part as
    paid meanwhile; TransitionError for a canceled collection and for a session that isn't open; InputError for a time
    in the future or without a time zone.
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
        held, collection = self._held(), self._collection
        whole = self._left(held) if amount is None else amount
        rest = whole - _sum(held)
        if rest > ZERO:
            sessions = PaymentSession.objects.filter(collection=collection.pk).unauthorized()
            for split in sessions.filter(is_split=True).select_related("authorized_payment"):
                self._abandon(split)
        left = self._left(held) - _sum(held)
        if amount is not None and rest > ZERO:
            check_excess(rest, left, collection.currency_code)
        taken = self._capture(held, whole)
        if rest > ZERO and left > ZERO:
            self._open(rest, replaces=True, is_stated=amount is not None)
        elif not taken:
            raise AmountError(
                _("There is nothing left to pay; capture what is authorized."), code="nothing_left"
            )

    def _left(self, held: Sequence[Payment]) -> Decimal:
        """Return what can still be received, in major units, including what these payments hold."""
        collection = self._collection
        reconnecting(collection.refresh_from_db)
        return collection.amount - collection.authorized_amount + _sum(held)

    def receive(self, amount: Decimal) -> None:
        """Receive a part (major units): capture what is held for such receipts, then open a session for the rest.

        Before, room is made for the rest: nothing is recorded yet if a provider refuses that.
        """
        held = self._held()
        rest = amount - _sum(held)
        if rest > ZERO:
            self._make_room(rest)
        self._capture(held, amount)
        if rest > ZERO:
            self._open(rest)

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
        self._shrink(session, wanted)
        self._open(wanted)

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

    def _make_room(self, amount: Decimal) -> None:
        """Make open splits smaller, or cancel them, so that they leave room for an amount."""

        def claim(books: Books) -> Sequence[PaymentOperation]:
            operations = claims.claim_room(books, amount)
            refresh_totals(books)
            return operations

        perform(self._collection.pk, claim, origin=Origin.of(**self._origin), scope=Scope()).raise_first()

    def _shrink(self, split: PaymentSession, amount: Decimal) -> Decimal:
        """Make a session smaller by an amount, or cancel it; return by how much it shrank."""
        whole = split.amount
        if amount < whole:
            try:
                update_payment_session(split, amount=whole - amount, **self._origin)
            except NotSupportedError:
                pass
            else:
                return amount
        self._abandon(split)
        return Decimal(whole)

    def _open(self, amount: Decimal, *, replaces: bool = False, is_stated: bool = True) -> None:
        """Create, authorize and capture a session for an amount, and adjust the session that covers the rest.

        With `replaces`, it takes the place of that session. An amount that nobody has stated may be less if less is
        left.
        """
        provider = usable_provider(self._provider_id)
        check_money(provider)

        def claim(books: Books) -> Sequence[PaymentOperation]:
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
            self._resize()

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
            self._abandon(opened)
            raise
        return performance.raise_first().session(opened.pk)

    def _resize(self) -> None:
        """Have the session for what is left cover the new rest; cancel it if its provider can't change it.

        The money is recorded already, so that a refusal is no error: nobody may be told to try again.
        """
        try:
            self._fit_sessions()
        except (DeclinedError, ProviderUnavailableError, OperationInProgressError, TransitionError) as error:
            logger.warning("A session of %s isn't for what is left: %s", self._collection.pk, error.code)

    def _fit_sessions(self) -> None:
        try:
            perform(self._collection.pk, claim_resizes, origin=Origin.of(**self._origin)).raise_first()
        except NotSupportedError:
            sessions = PaymentSession.objects.filter(collection=self._collection.pk).unauthorized()
            for session in sessions.filter(is_split=False):
                self._abandon(session)

    def _abandon(self, session: PaymentSession) -> None:
        """Cancel a session, unless it turns out to have been paid meanwhile."""
        try:
            cancel_payment_session(session, **self._origin)
        except (DeclinedError, TransitionError):
            reconnecting(session.refresh_from_db)
            if session.payment is None:
                raise


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
