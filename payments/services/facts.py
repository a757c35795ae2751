"""Recording what a provider reports: the one way in for API results, webhooks, retrievals and “Sync”.

Requests may be refused, facts may not. A fact only moves things forward, so a replayed or late one changes nothing;
one that breaks an invariant is written down all the same, and an operation asks for a person.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from payments.exceptions import AmountError
from payments.models import Payment, PaymentOperation, PaymentSession, WebhookEvent
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.money import ZERO, parse_amount
from payments.providers import Failure, SessionFact
from payments.services.attempts import may_be_of_an_earlier_attempt
from payments.services.chargebacks import record_charge_back
from payments.services.discrepancies import Discrepancy, report_discrepancies
from payments.services.journals import Journal
from payments.services.movements import MovementRecorder, captured_sum
from payments.services.operations import end_operation
from payments.services.origins import Origin
from payments.services.providers import publishable
from payments.services.totals import settle
from payments.services.transactions import committed, lock_collection
from payments.services.transitions import cancel_session, change_amount, fail_session, note_expiry
from payments.states import (
    AttentionReason,
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    SessionStatus,
    WebhookEventStatus,
)

UNEXPLAINED: Final = Failure(code="declined")


def record_fact(
    session: PaymentSession, fact: SessionFact, *, origin: Origin, event: WebhookEvent | None = None
) -> PaymentSession:
    """Record what a provider reports of a session, in a transaction of its own, and return the session as it is now.

    `event` is the stored webhook event that brought the fact: it is marked as applied in the same transaction.
    """
    with committed():
        collection = lock_collection(session.collection_id)
        if event is not None:
            mark_applied(event, session)
        locked = PaymentSession.objects.select_related("authorized_payment").get(pk=session.pk)
        locked.collection = collection
        journal = Journal(collection=collection, origin=origin)
        apply_fact(locked, fact, journal=journal)
        settle(collection, journal)
    return locked


def mark_applied(event: WebhookEvent, session: PaymentSession) -> None:
    """Note on a stored event that what it states is in the books."""
    event.session = session
    event.status = WebhookEventStatus.APPLIED
    event.applied_at = timezone.now()
    event.next_attempt_at = event.lease_expires_at = None
    event.lease_owner = event.detail = ""
    event.save_fields(
        "session", "status", "applied_at", "next_attempt_at", "lease_expires_at", "lease_owner", "detail"
    )


def apply_fact(
    session: PaymentSession, fact: SessionFact, *, journal: Journal, operation: PaymentOperation | None = None
) -> bool:
    """Apply a fact to a session whose collection is locked; the caller settles the collection afterwards.

    `operation` is the one whose answer the fact is, if it is one's. Return whether the fact needs a person's attention.
    """
    recorder = FactRecorder(session=session, journal=journal, operation=operation)
    recorder.record(fact)
    report_discrepancies(session, recorder.discrepancies, journal=journal, operation=operation)
    return bool(recorder.discrepancies)


@dataclass(kw_only=True)
class FactRecorder:
    """Bring one session, its payment and its operations in line with a fact."""

    session: PaymentSession
    journal: Journal
    operation: PaymentOperation | None = None
    discrepancies: list[Discrepancy] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Recording may end the operation, so what the fact is an answer to is looked at before.
        self._is_answer = self.operation is not None and self.operation.is_open
        self._is_late_answer = self.operation is not None and not self.operation.is_open

    def record(self, fact: SessionFact) -> None:
        """Record a fact, piece by piece, in the order in which money moves."""
        if fact.currency_code != self.session.currency_code:
            self._differ(
                AttentionReason.CURRENCY_MISMATCH,
                expected=self.session.currency_code,
                reported=fact.currency_code,
            )
            return
        if (known := self._other_reference_than(fact)) is not None:
            self._differ(AttentionReason.REFERENCE_MISMATCH, expected=known, reported=fact.provider_reference)
            return
        if (nonsense := impossible_amount(fact)) is not None:
            self._differ(
                AttentionReason.IMPOSSIBLE_AMOUNT,
                expected=f"an amount in {fact.currency_code}",
                reported=nonsense,
            )
            return
        before = (self.session.status, self.session.initiated_at)
        had_payment = self.session.payment is not None
        self._record_update(fact)
        self._record_status(fact)
        if self.operation is not None or (self.session.status, self.session.initiated_at) != before:
            self._renew(fact)
        self._record_money(fact)
        if had_payment:
            self._compare_with_payment(fact)

    def _other_reference_than(self, fact: SessionFact) -> str | None:
        """Return the payment's reference where a report is about another one at the provider.

        Such as one made elsewhere from a copy of what we had sent: what becomes of that isn't this session's.
        """
        payment, reported = self.session.payment, fact.provider_reference
        if payment is None or payment.provider_reference is None or not reported:
            return None
        is_known = reported in (self.session.provider_reference, payment.provider_reference)
        return None if is_known else payment.provider_reference

    def _record_money(self, fact: SessionFact) -> None:
        payment = self.session.payment
        if payment is None:
            return
        movements = MovementRecorder(
            payment=payment,
            journal=self.journal,
            discrepancies=self.discrepancies,
            operation=self.operation,
        )
        movements.record(fact)
        self.discrepancies += record_charge_back(payment, fact, self.journal)
        self._record_release(payment, fact)

    def _record_status(self, fact: SessionFact) -> None:
        if fact.status is not None:
            self._record_initiation()
        if fact.status == SessionStatus.AUTHORIZED or has_taken_money(fact):
            self._record_authorization(fact)
        elif fact.status == SessionStatus.REQUIRES_MORE:
            self._record_next_action(fact)
        elif fact.status == SessionStatus.ERROR:
            self._record_refusal(fact)
        elif fact.status == SessionStatus.CANCELED and self.session.payment is None:
            self._record_abandonment()

    def _record_initiation(self) -> None:
        """Record that the provider knows of the session, whatever became of our own call."""
        is_news = self.session.initiated_at is None
        self._confirm(OperationKind.INITIATE, is_news=is_news)
        if is_news:
            self.session.initiated_at = timezone.now()
            self.session.save_fields("initiated_at")
            self.journal.note("session.initiated", self.session, amount=self.session.amount)

    def _record_authorization(self, fact: SessionFact) -> None:
        amount = self.session.amount if fact.authorized_amount is None else fact.authorized_amount
        is_news = self.session.payment is None
        if is_news:
            if not ZERO < amount <= self.session.amount:
                self._differ(
                    AttentionReason.AUTHORIZED_AMOUNT_MISMATCH, expected=self.session.amount, reported=amount
                )
                return
            self._authorize(fact, amount)
        self._confirm(OperationKind.AUTHORIZE, is_news=is_news)

    def _authorize(self, fact: SessionFact, amount: Decimal) -> None:
        before = str(self.session.status)
        collection = self.session.collection
        is_late = before == SessionStatus.CANCELED or collection.is_canceled
        self.session.authorize()
        self.session.authorized_at = fact.occurred_at or timezone.now()
        self.session.save_fields(
            "status", "authorized_at", "canceled_at", "next_action", "error_code", "error_message"
        )
        payment = self._create_payment(fact, amount)
        self.journal.note("session.authorized", self.session, from_status=before, amount=amount)
        self.journal.note("payment.authorized", payment, to_status=str(payment.status), amount=amount)
        if is_late:
            self._differ(
                AttentionReason.LATE_AUTHORIZATION, expected=before, reported=SessionStatus.AUTHORIZED
            )
        self._compare_with_collection()

    def _create_payment(self, fact: SessionFact, amount: Decimal) -> Payment:
        provider_data = self.session.provider_data if fact.provider_data is None else dict(fact.provider_data)
        payment = Payment(
            collection=self.session.collection,
            session=self.session,
            provider=self.session.provider,
            amount=amount,
            provider_data=provider_data,
            provider_reference=self._own_reference(fact),
            expires_at=fact.expires_at,
        )
        payment.save(force_insert=True)
        return payment

    def _own_reference(self, fact: SessionFact) -> str | None:
        """Return the provider's reference for a new payment, unless another payment has it."""
        reference = fact.provider_reference or self.session.provider_reference
        others = Payment.objects.filter(provider=self.session.provider_id, provider_reference=reference)
        other = others.first() if reference else None
        if other is None:
            return reference or None
        self._differ(AttentionReason.REFERENCE_REUSED, expected=self.session.pk, reported=other.session_id)
        return None

    def _compare_with_payment(self, fact: SessionFact) -> None:
        """Say where the provider tells of another amount now than it did first; what it took counts as held.

        A report that nothing is authorized was made before something was.
        """
        payment, reported = self.session.payment, fact.authorized_amount
        if payment is None or not reported or reported == payment.amount:
            return
        if reported > payment.amount or payment.amount > captured_sum(payment):
            self._differ(
                AttentionReason.AUTHORIZED_AMOUNT_MISMATCH, expected=payment.amount, reported=reported
            )

    def _compare_with_collection(self) -> None:
        collection = self.session.collection
        held = sum((row.amount - row.canceled_amount for row in collection.payments.all()), ZERO)
        if held > collection.amount:
            self._differ(AttentionReason.AUTHORIZED_MORE_THAN_DUE, expected=collection.amount, reported=held)

    def _record_next_action(self, fact: SessionFact) -> None:
        is_waiting = self.session.status == SessionStatus.PENDING
        if not (is_waiting or (self._is_answer and self.session.is_unauthorized)):
            return
        if self._is_old_news(fact, OperationStatus.SUCCEEDED, OperationStatus.DECLINED):
            return
        before = str(self.session.status)
        self.session.require_more()
        self.session.next_action = asdict(fact.next_action) if fact.next_action else None
        self._save_status()
        self.journal.note("session.requires_more", self.session, from_status=before)
        self._confirm(OperationKind.AUTHORIZE)

    def _record_refusal(self, fact: SessionFact) -> None:
        is_waiting = self.session.status in (SessionStatus.PENDING, SessionStatus.REQUIRES_MORE)
        if not is_waiting or self._is_old_news(fact, OperationStatus.DECLINED):
            return
        failure = fact.failure or UNEXPLAINED
        fail_session(self.session, failure, self.journal)
        for operation in self._open_operations(OperationKind.AUTHORIZE):
            end_operation(
                operation,
                lambda op=operation: op.decline(code=failure.code, message=failure.message),  # type: ignore[misc]
                self.journal,
            )

    def _is_old_news(self, fact: SessionFact, *ends: OperationStatus) -> bool:
        return not self._is_answer and may_be_of_an_earlier_attempt(self.session, fact, *ends)

    def _record_abandonment(self) -> None:
        if self.session.status in UNAUTHORIZED_STATUSES:
            cancel_session(self.session, self.journal)
        self._confirm(OperationKind.CANCEL)
        for operation in self._open_operations(OperationKind.AUTHORIZE):
            end_operation(
                operation,
                lambda op=operation: op.decline(code="canceled", message=""),  # type: ignore[misc]
                self.journal,
            )

    def _record_update(self, fact: SessionFact) -> None:
        if fact.amount is None:
            return
        for operation in self._open_operations(OperationKind.UPDATE):
            if operation.amount != fact.amount:
                continue
            if self.session.is_unauthorized:
                change_amount(self.session, operation.amount, self.journal, makes_split=operation.makes_split)
            end_operation(operation, operation.succeed, self.journal)

    def _record_release(self, payment: Payment, fact: SessionFact) -> None:
        """Record that the provider let go of what it held, as far as that is more than was known."""
        held = payment.amount - captured_sum(payment)
        reported = fact.canceled_amount
        if reported is None:
            reported = held if fact.status == SessionStatus.CANCELED else ZERO
        released = min(reported, held)
        is_news = released > payment.canceled_amount
        if is_news:
            self.journal.note("payment.released", payment, amount=released - payment.canceled_amount)
            payment.canceled_amount = released
            payment.save_fields("canceled_amount")
            note_expiry(payment, self.journal)
        if released == payment.amount and self.session.status == SessionStatus.AUTHORIZED:
            cancel_session(self.session, self.journal)
        if fact.status == SessionStatus.CANCELED or ZERO < released == held:
            self._confirm(OperationKind.CANCEL, target_id=payment.pk, is_news=is_news)

    def _renew(self, fact: SessionFact) -> None:
        """Take over what the provider says about its own session.

        The answer of an operation that has ended is older than what ended it, so it only fills in what is missing.
        """
        names = []
        for name, value in self._news_of(fact).items():
            if value is not None and not (self._is_late_answer and getattr(self.session, name)):
                setattr(self.session, name, value)
                names.append(name)
        if fact.provider_reference and self.session.provider_reference is None and self._is_new(fact):
            self.session.provider_reference = fact.provider_reference
            names.append("provider_reference")
        if names:
            self.session.save_fields(*names)
        if not self._is_late_answer:
            self._renew_payment(fact)

    def _news_of(self, fact: SessionFact) -> dict[str, Any]:
        """Return the provider's values by field; of what it would publish only what it has declared."""
        data = None if fact.data is None else publishable(self.session, fact.data)
        private = None if fact.provider_data is None else dict(fact.provider_data)
        return {"data": data, "provider_data": private, "expires_at": fact.expires_at}

    def _renew_payment(self, fact: SessionFact) -> None:
        payment = self.session.payment
        if payment is not None and fact.provider_data is not None:
            payment.provider_data = dict(fact.provider_data)
            payment.save_fields("provider_data")

    def _is_new(self, fact: SessionFact) -> bool:
        """Return whether no other session has the provider's reference."""
        others = PaymentSession.objects.filter(
            provider=self.session.provider_id, provider_reference=fact.provider_reference
        )
        other = others.exclude(pk=self.session.pk).first()
        if other is None:
            return True
        self._differ(AttentionReason.REFERENCE_REUSED, expected=self.session.pk, reported=other.pk)
        return False

    def _confirm(self, kind: OperationKind, *, target_id: str | None = None, is_news: bool = False) -> None:
        """End the open operations of a kind: what they asked for has happened.

        One that needs a person isn't ended by hearing the same again.
        """
        for operation in self._open_operations(kind, target_id=target_id):
            if is_news or operation.status != OperationStatus.ATTENTION:
                end_operation(operation, operation.succeed, self.journal)

    def _open_operations(
        self, kind: OperationKind, *, target_id: str | None = None
    ) -> list[PaymentOperation]:
        rows = PaymentOperation.objects.open().filter(kind=kind, target_id=target_id or self.session.pk)
        asked = self.operation
        return [asked if asked is not None and row.pk == asked.pk else row for row in rows]

    def _save_status(self) -> None:
        self.session.save_fields("status", "next_action", "error_code", "error_message")

    def _differ(self, code: AttentionReason, *, expected: object, reported: object) -> None:
        self.discrepancies.append(Discrepancy.between(code, expected=expected, reported=reported))


def has_taken_money(fact: SessionFact) -> bool:
    """Return whether a report says that money was captured, which takes an authorization, stated or not."""
    captures = (
        row.kind == MovementKind.CAPTURE and row.status == MovementStatus.SUCCEEDED for row in fact.movements
    )
    return bool(fact.captured_amount) or any(captures)


def impossible_amount(fact: SessionFact) -> Any:
    """Return the first amount of a report that its currency can't have, such as NaN; None where all are possible."""
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
