"""Recording what a provider reports: the one entry for API results, webhooks, retrievals and “Sync”.

Requests may be refused, facts may not: a repeated or late fact changes nothing, and one that breaks an invariant is
still recorded, with an operation that needs attention.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from payments.exceptions import AmountError, ProviderUnavailableError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.money import ZERO, parse_amount
from payments.providers import Failure, SessionFact
from payments.providers.public_data import declared_data
from payments.providers.registry import check_money
from payments.services.ledger.books import Books, keep
from payments.services.ledger.calls import provider_for
from payments.services.ledger.discrepancies import Discrepancy, report_discrepancies
from payments.services.ledger.history import Origin
from payments.services.ledger.movements import MovementRecorder, record_charge_back
from payments.services.ledger.operations import NOT_DONE, may_be_of_an_earlier_attempt
from payments.services.ledger.totals import (
    cancel_session,
    change_amount,
    fail_session,
    held_amount,
    note_expiry,
    refresh_totals,
)
from payments.states import (
    AttentionReason,
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
)
from payments.stored import stored_moment

UNEXPLAINED: Final = Failure(code="declined")


def record_fact(
    session: PaymentSession,
    fact: SessionFact,
    *,
    origin: Origin,
    ending: Callable[[PaymentSession], None] | None = None,
    asked_at: datetime | None = None,
) -> PaymentSession:
    """Record a provider's fact about a session in a transaction of its own, and return the updated session.

    `ending` is called with the session before the commit, so that its writes are committed only together with the
    fact. A fact for which the provider was asked, at the time `asked_at`, needs attention if it doesn't confirm what a
    person had booked by then. Raises as `check_word` does.
    """

    _books, recorded = keep_fact(session, fact, origin=origin, ending=ending, asked_at=asked_at)
    return recorded


def keep_fact(
    session: PaymentSession,
    fact: SessionFact,
    *,
    origin: Origin,
    ending: Callable[[PaymentSession], None] | None = None,
    asked_at: datetime | None = None,
) -> tuple[Books, PaymentSession]:
    """Record a fact as `record_fact` does, and return the books with the session."""

    def rule(books: Books) -> PaymentSession:
        locked = books.session(session.pk)
        check_word(locked, fact)
        apply_fact(books, locked, fact, asked_at=asked_at)
        refresh_totals(books)
        return locked

    return keep(session.collection_id, rule, origin=origin, ending=ending)


def check_word(session: PaymentSession, fact: SessionFact) -> None:
    """Raise InputError (`pretend_money`) if a fact would create a payment of pretend money where that isn't allowed."""
    # A payment that is held already can still be captured, refunded and released, whatever the setting is now.
    if session.is_held or not _tells_of_a_payment(fact):
        return
    # A provider that has left the settings can't be checked, and its facts are recorded.
    with suppress(ProviderUnavailableError):
        check_money(provider_for(session))


def apply_fact(
    books: Books,
    session: PaymentSession,
    fact: SessionFact,
    *,
    operation: PaymentOperation | None = None,
    accepted: Collection[AttentionReason] = (),
    asked_at: datetime | None = None,
) -> bool:
    """Apply a fact to a session in the books; return whether the fact needs a person's attention.

    `operation` is the operation that the fact answers, if there is one. The `accepted` reasons need no attention. The
    caller refreshes the totals afterwards.
    """
    recorder = FactRecorder(books=books, session=session, operation=operation, asked_at=asked_at)
    recorder.record(_as_rows_hold_it(fact))
    discrepancies = [each for each in recorder.discrepancies if each.code not in accepted]
    if discrepancies:
        report_discrepancies(books, session, discrepancies, operation=operation)
    return bool(discrepancies)


def _as_rows_hold_it(fact: SessionFact) -> SessionFact:
    """Return a fact with its datetimes as they are stored here: naive if `USE_TZ` is off."""
    moments = {"expires_at": fact.expires_at, "occurred_at": fact.occurred_at}
    told = {name: stored_moment(moment) for name, moment in moments.items() if moment is not None}
    return replace(fact, **told) if told else fact  # type: ignore[arg-type]  # the two are moments


@dataclass(kw_only=True)
class FactRecorder:
    """The rules that bring one session, its payment and its operations in line with a fact."""

    books: Books
    session: PaymentSession
    operation: PaymentOperation | None = None
    asked_at: datetime | None = None
    discrepancies: list[Discrepancy] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Recording may end the operation, so its state is read before.
        self._is_answer = self.operation is not None and self.operation.is_open
        self._is_late_answer = self.operation is not None and not self.operation.is_open

    def record(self, fact: SessionFact) -> None:
        """Record a fact, part by part, in the order in which money moves."""
        if fact.currency_code != self.session.currency_code:
            self._differ(
                AttentionReason.CURRENCY_MISMATCH,
                expected=self.session.currency_code,
                reported=fact.currency_code,
            )
            return
        if (known := other_reference(self.session, fact.provider_reference)) is not None:
            self._differ(AttentionReason.REFERENCE_MISMATCH, expected=known, reported=fact.provider_reference)
            return
        if (nonsense := impossible_amount(fact)) is not None:
            self._differ(
                AttentionReason.IMPOSSIBLE_AMOUNT,
                expected=f"an amount in {fact.currency_code}",
                reported=nonsense,
            )
            return
        # A fact with a foreign currency, reference or amount isn't applied in part: no part of it can be trusted.
        before = (self.session.status, self.session.initiated_at)
        had_payment = self.session.payment is not None
        self._record_update(fact)
        self._record_status(fact)
        if self.operation is not None or (self.session.status, self.session.initiated_at) != before:
            self._renew(fact)
        self._record_money(fact)
        if had_payment:
            self._compare_with_payment(fact)
            self._compare_with_word(fact)

    def _record_money(self, fact: SessionFact) -> None:
        payment = self.session.payment
        if payment is None:
            return
        movements = MovementRecorder(
            books=self.books,
            payment=payment,
            discrepancies=self.discrepancies,
            operation=self.operation,
            asked_at=self.asked_at,
        )
        movements.record(fact)
        self.discrepancies += record_charge_back(self.books, payment, fact, asked_at=self.asked_at)
        self._record_release(payment, fact)

    def _record_status(self, fact: SessionFact) -> None:
        if fact.status is not None:
            self._record_initiation()
        if _tells_of_a_payment(fact):
            self._record_authorization(fact)
        elif fact.status == SessionStatus.REQUIRES_MORE:
            self._record_next_action(fact)
        elif fact.status == SessionStatus.ERROR:
            self._record_refusal(fact)
        elif fact.status == SessionStatus.CANCELED and self.session.payment is None:
            self._record_abandonment()

    def _record_initiation(self) -> None:
        """Record that the provider knows the session, even if the answer to our own call was lost."""
        is_news = self.session.initiated_at is None
        self._confirm(OperationKind.INITIATE, is_news=is_news)
        if is_news:
            self.session.initiated_at = timezone.now()

    def _record_authorization(self, fact: SessionFact) -> None:
        amount = self.session.amount if fact.authorized_amount is None else fact.authorized_amount
        payment = self.session.payment
        is_news = payment is None or payment.is_taken_back
        if is_news:
            if not ZERO < amount <= self.session.amount:
                self._differ(
                    AttentionReason.AUTHORIZED_AMOUNT_MISMATCH, expected=self.session.amount, reported=amount
                )
                return
            self._authorize(fact, amount)
        elif payment is not None:
            if fact.authorized_amount in (None, payment.amount):
                payment.is_by_person = False  # The provider has confirmed what a person had booked.
            _record_extension(payment, fact)
        self._confirm(OperationKind.AUTHORIZE, is_news=is_news)

    def _authorize(self, fact: SessionFact, amount: Decimal) -> None:
        before, taken_back = str(self.session.status), self.session.payment
        was_abandoned = before == SessionStatus.CANCELED and taken_back is None
        is_late = was_abandoned or self.books.collection.is_canceled
        self.session.authorize()
        self.session.authorized_at = fact.occurred_at or timezone.now()
        if taken_back is None:
            payment = self._create_payment(fact, amount)
        else:
            payment = self._hold_again(taken_back, fact, amount)
        self.books.note("session.authorized", self.session, from_status=before, amount=amount)
        self.books.note("payment.authorized", payment, to_status=PaymentStatus.AUTHORIZED, amount=amount)
        if is_late:
            self._differ(
                AttentionReason.LATE_AUTHORIZATION, expected=before, reported=SessionStatus.AUTHORIZED
            )
        self._compare_with_collection()

    def _create_payment(self, fact: SessionFact, amount: Decimal) -> Payment:
        provider_data = self.session.provider_data if fact.provider_data is None else dict(fact.provider_data)
        payment = Payment(
            collection=self.books.collection,
            session=self.session,
            provider_id=self.session.provider_id,
            amount=amount,
            provider_data=provider_data,
            provider_reference=self._own_reference(fact),
            metadata=dict(self.session.metadata),
            expires_at=fact.expires_at,
        )
        self.books.add(payment)
        return payment

    def _hold_again(self, payment: Payment, fact: SessionFact, amount: Decimal) -> Payment:
        """Have a payment hold again what a person had taken back by mistake; the refreshed totals set its status."""
        payment.amount, payment.canceled_amount, payment.canceled_at = amount, ZERO, None
        payment.is_by_person = False
        payment.expires_at = fact.expires_at or payment.expires_at
        payment.provider_reference = payment.provider_reference or self._own_reference(fact)
        if self.operation is None or self.operation.kind != OperationKind.AUTHORIZE:
            self._outdo_correction()
        return payment

    def _outdo_correction(self) -> None:
        """Record success for the authorization that a person had corrected to “not done”."""
        for operation in reversed(self.books.operations):
            is_attempt = operation.target_id == self.session.pk and operation.kind == OperationKind.AUTHORIZE
            if is_attempt and operation.error_code == NOT_DONE.code and not operation.is_open:
                operation.succeed()
                return

    def _own_reference(self, fact: SessionFact) -> str | None:
        """Return the provider's reference for a new payment, or None if another payment has the same one."""
        reference = fact.provider_reference or self.session.provider_reference
        other = self.books.taken.get((Payment, self.session.provider_id, reference or ""))
        if other is None:
            return reference or None
        self._differ(AttentionReason.REFERENCE_REUSED, expected=self.session.pk, reported=other)
        return None

    def _compare_with_payment(self, fact: SessionFact) -> None:
        """Note a discrepancy if the provider now reports another authorized amount than at first."""
        payment, reported = self.session.payment, fact.authorized_amount
        # A reported zero is stale: it was true before the authorization.
        if payment is None or not reported or reported == payment.amount:
            return
        # A smaller amount is expected once all was captured; before, it would mean that less is held than we believe.
        if reported > payment.amount or payment.amount > self._captured(payment):
            self._differ(
                AttentionReason.AUTHORIZED_AMOUNT_MISMATCH, expected=payment.amount, reported=reported
            )

    def _compare_with_word(self, fact: SessionFact) -> None:
        """Note a discrepancy if the provider, asked since a person said that it holds money, says that it doesn't."""
        payment, since = self.session.payment, self.session.authorized_at
        if payment is None or since is None or self.asked_at is None or fact.status is None:
            return
        is_word = payment.is_by_person and not payment.is_taken_back and since < self.asked_at
        if is_word and not _tells_of_a_payment(fact):
            self._differ(
                AttentionReason.AUTHORIZATION_NOT_CONFIRMED,
                expected=SessionStatus.AUTHORIZED,
                reported=fact.status,
            )

    def _compare_with_collection(self) -> None:
        held, due = held_amount(self.books), self.books.collection.amount
        if held > due:
            self._differ(AttentionReason.AUTHORIZED_MORE_THAN_DUE, expected=due, reported=held)

    def _record_next_action(self, fact: SessionFact) -> None:
        is_waiting = self.session.status == SessionStatus.PENDING
        if not (is_waiting or (self._is_answer and self.session.is_unauthorized)):
            return
        if self._is_old_news(fact, OperationStatus.SUCCEEDED, OperationStatus.DECLINED):
            return
        before = str(self.session.status)
        self.session.require_more()
        self.session.next_action = asdict(fact.next_action) if fact.next_action else None
        self.books.note("session.requires_more", self.session, from_status=before)
        self._confirm(OperationKind.AUTHORIZE)

    def _record_refusal(self, fact: SessionFact) -> None:
        is_waiting = self.session.status in (SessionStatus.PENDING, SessionStatus.REQUIRES_MORE)
        if not is_waiting or self._is_old_news(fact, OperationStatus.DECLINED):
            return
        failure = fact.failure or UNEXPLAINED
        fail_session(self.books, self.session, failure)
        for operation in self._open_operations(OperationKind.AUTHORIZE):
            operation.decline(code=failure.code[:64], message=failure.message)

    def _is_old_news(self, fact: SessionFact, *ends: OperationStatus) -> bool:
        return not self._is_answer and may_be_of_an_earlier_attempt(self.books, self.session, fact, *ends)

    def _record_abandonment(self) -> None:
        if self.session.status in UNAUTHORIZED_STATUSES:
            cancel_session(self.books, self.session)
        self._confirm(OperationKind.CANCEL)
        for kind in (OperationKind.AUTHORIZE, OperationKind.UPDATE):
            for operation in self._open_operations(kind):
                operation.decline(code="canceled", message="")

    def _record_update(self, fact: SessionFact) -> None:
        if fact.amount is None:
            return
        for operation in self._open_operations(OperationKind.UPDATE):
            if operation.amount != fact.amount:
                continue
            if self.session.is_unauthorized:
                change_amount(self.books, self.session, operation.amount, makes_split=operation.makes_split)
            operation.succeed()

    def _record_release(self, payment: Payment, fact: SessionFact) -> None:
        """Record how much of a hold the provider has released, if that is more than was known."""
        held = payment.amount - self._captured(payment)
        reported = fact.canceled_amount
        # “Canceled” without an amount means the whole rest. What was captured can't be released, whatever is reported.
        if reported is None:
            reported = held if fact.status == SessionStatus.CANCELED else ZERO
        released = min(reported, held)
        is_news = released > payment.canceled_amount
        if is_news:
            self.books.note("payment.released", payment, amount=released - payment.canceled_amount)
            payment.canceled_amount = released
            note_expiry(self.books, payment)
        if is_news or released == payment.amount:
            payment.is_by_person = False
        if released == payment.amount and self.session.status == SessionStatus.AUTHORIZED:
            cancel_session(self.books, self.session)
        if fact.status == SessionStatus.CANCELED or ZERO < released == held:
            self._confirm(OperationKind.CANCEL, target_id=payment.pk, is_news=is_news)

    def _renew(self, fact: SessionFact) -> None:
        """Take over the provider's data about its own session.

        The late answer of an ended operation is older than the fact that ended it, so it only fills in missing values.
        """
        for name, value in self._news_of(fact).items():
            if value is not None and not (self._is_late_answer and getattr(self.session, name)):
                setattr(self.session, name, value)
        if fact.provider_reference and self.session.provider_reference is None and self._is_new(fact):
            self.session.provider_reference = fact.provider_reference
        self._renew_payment(fact)

    def _news_of(self, fact: SessionFact) -> dict[str, Any]:
        """Return the provider's new values by field name; of the public data only those that it has declared."""
        data = None if fact.data is None else _publishable(self.session, fact.data)
        private = None if fact.provider_data is None else dict(fact.provider_data)
        return {"data": data, "provider_data": private, "expires_at": fact.expires_at}

    def _renew_payment(self, fact: SessionFact) -> None:
        payment = self.session.payment
        if payment is None:
            return
        if fact.provider_data is not None and not (self._is_late_answer and payment.provider_data):
            payment.provider_data = dict(fact.provider_data)
        reference = self.session.provider_reference or ""
        if (Payment, payment.provider_id, reference) not in self.books.taken:
            payment.provider_reference = payment.provider_reference or reference or None

    def _is_new(self, fact: SessionFact) -> bool:
        """Return whether no other session has the provider's reference; note a discrepancy if one has."""
        other = self.books.taken.get(
            (PaymentSession, self.session.provider_id, fact.provider_reference or "")
        )
        if other is None:
            return True
        self._differ(AttentionReason.REFERENCE_REUSED, expected=self.session.pk, reported=other)
        return False

    def _confirm(self, kind: OperationKind, *, target_id: str | None = None, is_news: bool = False) -> None:
        """Record success for the open operations of a kind, since what they requested has happened.

        An operation that needs attention ends only by news, not by a repeated report.
        """
        for operation in self._open_operations(kind, target_id=target_id):
            if is_news or operation.status != OperationStatus.ATTENTION:
                operation.succeed()

    def _open_operations(
        self, kind: OperationKind, *, target_id: str | None = None
    ) -> list[PaymentOperation]:
        return self.books.open_operations(kind, target_id=target_id or self.session.pk)

    def _captured(self, payment: Payment) -> Decimal:
        return self.books.succeeded(payment, MovementKind.CAPTURE)

    def _differ(self, code: AttentionReason, *, expected: object, reported: object) -> None:
        self.discrepancies.append(Discrepancy.between(code, expected=expected, reported=reported))


def _record_extension(payment: Payment, fact: SessionFact) -> None:
    """Record that a provider holds the money longer than was known; an earlier end is stale, or it will tell of it."""
    known, reported = payment.expires_at, fact.expires_at
    if reported is not None and (known is None or known < reported):
        payment.expires_at = reported


def other_reference(session: PaymentSession, reported: str | None) -> str | None:
    """Return the reference of a session or its payment if a report is about another object at the provider, else None.

    Such an object may have been created elsewhere from a copy of our request: its fate isn't this session's.
    """
    rows = (session.payment, session)
    known = [row.provider_reference for row in rows if row is not None and row.provider_reference]
    return known[0] if known and reported and reported not in known else None


def _tells_of_a_payment(fact: SessionFact) -> bool:
    """Return whether a fact reports held or captured money; a capture implies an authorization, reported or not."""
    captures = (
        row.kind == MovementKind.CAPTURE and row.status == MovementStatus.SUCCEEDED for row in fact.movements
    )
    return fact.status == SessionStatus.AUTHORIZED or bool(fact.captured_amount) or any(captures)


def impossible_amount(fact: SessionFact) -> Any:
    """Return the first amount of a fact that its currency can't have, such as NaN; None if all are possible."""
    stated = [
        fact.amount,
        fact.authorized_amount,
        fact.captured_amount,
        fact.refunded_amount,
        fact.canceled_amount,
        fact.charged_back_amount,
        fact.reinstated_amount,
        *(row.amount for row in fact.movements if row.currency_code == fact.currency_code),
    ]
    for amount in stated:
        try:
            if amount is not None:
                parse_amount(amount, fact.currency_code, allow_zero=True)
        except AmountError:
            return amount
    return None


def _publishable(session: PaymentSession, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data that a session's provider has declared public; none if the provider has left the settings."""
    try:
        declared = provider_for(session).public_data_keys
    except ProviderUnavailableError:
        declared = frozenset()
    return declared_data(data, declared)[0]
