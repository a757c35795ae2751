"""Stories: what shops, payers and providers do with one collection, step by step, told by a few bytes each.

A step applies one rule. Which, and with what, its bytes pick from what is possible then, so that almost every one does
something, and zeros do nothing: a story that fails shrinks to the steps that matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from django.db import IntegrityError

from payments import providers
from payments.exceptions import PaymentError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO, split_amount
from payments.services.collections import _change_amount as change_amount
from payments.services.installments import _insert as insert
from payments.services.installments import _next_number as next_number
from payments.services.ledger import claims
from payments.services.ledger.books import WHOLE, Scope
from payments.services.ledger.claims import claim_everything
from payments.services.ledger.facts import apply_fact
from payments.services.ledger.records import _recorded as record
from payments.services.ledger.records import mark_unknown, record_not_sent
from payments.services.ledger.totals import check_excess, refresh_totals, remaining_amount
from payments.states import (
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
)
from tests.ledger.shelf import (
    TAKEN,
    Shelf,
    ShelvedBooks,
    assert_payable,
    assert_reserved,
    assert_sound,
    excess_of,
)

T = TypeVar("T")

STEP: Final = 10
"""How many bytes tell a step."""

LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
MOST_SESSIONS: Final = 8
DUE: Final = Decimal(100)
AMOUNTS: Final = tuple(Decimal(number) for number in (10, 5, 20, 1, 2, 25, 40, 60, 100, 120))
CHALLENGE: Final = providers.NextAction(type="redirect", url="https://bank.example/3ds")
REFUSED: Final = providers.Failure(code="card_declined", message="No.", detail="issuer 05")
OUTCOMES: Final = (
    *[Outcome.SUCCEEDED] * 5,
    Outcome.DECLINED,
    Outcome.PENDING,
    Outcome.UNKNOWN,
    Outcome.NOT_SENT,
)


class Choices:
    """The bytes of one step; each picks one of what is possible, and the first one where there are no more."""

    def __init__(self, told: bytes) -> None:
        self._told = iter(told)

    def pick(self, *options: T) -> T:
        """Return one of the options."""
        return options[next(self._told, 0) % len(options)]


class Story:
    """One collection and all that is done with it.

    An honest provider does what it was asked, once, and tells the truth. Any other may answer with anything, at any
    time, and report whatever it likes. `seconds` is the time of the processor's that the steps took.
    """

    def __init__(self, *, is_honest: bool) -> None:
        self.is_honest = is_honest
        self.shelf = Shelf.of(PaymentCollection(amount=DUE, currency_code="eur"))
        self.books = self.shelf.open()
        self.told: list[str] = []
        self.steps = 0
        self.seconds = 0.0
        self.refused = 0

    def go_on(self, told: bytes) -> None:
        """Take the steps that the bytes tell, and look after each whether the books are sound."""
        started = time.process_time()
        for start in range(0, len(told), STEP):
            self._step(Choices(told[start : start + STEP]))
        self.seconds += time.process_time() - started

    def _step(self, choices: Choices) -> None:
        chosen = choices.pick(*(_HONEST if self.is_honest else _ANY))
        if chosen is None:
            return
        for step in (chosen, answer, authorize, create_session):
            rule = step(self, choices)
            if rule is not None:
                self._apply(f"{step.__name__}: {rule[0]}", rule[1])
                return

    def _apply(self, words: str, rule: Callable[[ShelvedBooks], object]) -> None:
        self.steps += 1
        self.told.append(words)
        excess = excess_of(self.books)
        try:
            self._keep(rule)
        except PaymentError as error:
            self.refused += 1
            self.told[-1] += f" -> {error.code}"
            if self.books.is_changed():
                self.books = self.shelf.open(self.books.scope)
            return
        assert_sound(self.books)
        if self.is_honest:
            assert_reserved(self.books)
            assert_payable(self.books)
            is_lowered = words.startswith(change_due.__name__)
            assert is_lowered or excess_of(self.books) <= excess, "more is promised than there is to pay"
            attention = [
                row.detail for row in self.books.operations if row.status == OperationStatus.ATTENTION
            ]
            assert not attention, attention

    def _keep(self, rule: Callable[[ShelvedBooks], object]) -> None:
        """Apply a rule and close the books; anew in whole ones where a reference is another row's, as `amend` does."""
        try:
            rule(self.books)
            self.books.close()
        except IntegrityError:
            assert not self.books.scope.is_whole
            self.books = self.shelf.open()
            rule(self.books)
            self.books.close()

    def open_for(self, payment: Payment | None) -> ShelvedBooks:
        """Have books that know a payment's captures and refunds; those that are open, where these do."""
        if payment is not None and not self.books.knows(payment):
            self.books = self.shelf.open()
        return self.books

    def open_whole(self) -> ShelvedBooks:
        """Have books that know everything."""
        if not self.books.scope.is_whole:
            self.books = self.shelf.open()
        return self.books


Rule = tuple[str, Callable[[ShelvedBooks], object]]
Step = Callable[[Story, Choices], Rule | None]


def open_anew(story: Story, choices: Choices) -> Rule | None:
    """Open the books anew, whole or as a verb does that is about one payment."""
    scopes = [WHOLE, *(Scope(payment_id=row.pk) for row in story.books.payments)]
    story.books = story.shelf.open(choices.pick(*scopes))
    assert_sound(story.books)
    return None


def create_session(story: Story, choices: Choices) -> Rule | None:
    """Claim the initiation of a session for what is left, or for an amount."""
    if len(story.books.sessions) >= MOST_SESSIONS:
        return None
    amount = choices.pick(None, *AMOUNTS[:-2])

    def rule(books: ShelvedBooks) -> None:
        claims.claim_replacement(books)
        session = claims.insert_session(
            books, providers.get_provider("card"), amount, context=providers.PaymentContext(), lifetime=None
        )
        claims.claim_initiation(books, session)
        refresh_totals(books)

    return f"{amount}", rule


def authorize(story: Story, choices: Choices) -> Rule | None:
    """Claim the authorization of a session, or its initiation."""
    session = _of(story.books.unauthorized_sessions(), choices)
    if session is None:
        return None
    return _short(session), lambda books: claims.claim_authorization(books, books.session(session.pk), {})


def change_session(story: Story, choices: Choices) -> Rule | None:
    """Claim a session's change to another amount."""
    session = _session(story, choices)
    if session is None:
        return None
    amount = choices.pick(*AMOUNTS)

    def rule(books: ShelvedBooks) -> None:
        row = books.session(session.pk)
        claims.check_unauthorized(row, "Only an unauthorized session can be changed.")
        chosen = claims.new_amount(books, row, amount, providers.get_provider("card"))
        claims.claim_update(books, row, chosen, makes_split=True)

    return f"{_short(session)} {amount}", rule


def abandon(story: Story, choices: Choices) -> Rule | None:
    """Claim the cancelation of a session."""
    session = _session(story, choices)
    if session is None:
        return None

    def rule(books: ShelvedBooks) -> None:
        claims.claim_abandonment(books, books.session(session.pk))
        refresh_totals(books)

    return _short(session), rule


def release(story: Story, choices: Choices) -> Rule | None:
    """Claim the release of what a payment holds."""
    payment = _payment(story, choices, lambda row: row.capturable_amount > ZERO)
    if payment is None:
        return None
    claim = choices.pick(claims.claim_release, claims.claim_whole_release)
    return _short(payment), lambda books: claim(books, books.payment(payment.pk))


def capture(story: Story, choices: Choices) -> Rule | None:
    """Claim a capture."""
    payment = _payment(story, choices, lambda row: row.capturable_amount > ZERO)
    if payment is None:
        return None
    amount = choices.pick(None, *AMOUNTS)

    def rule(books: ShelvedBooks) -> None:
        row = books.payment(payment.pk)
        claims.claim_capture(books, row, amount)
        left = row.amount - row.canceled_amount - row.captured_amount
        assert books.pending(row, MovementKind.CAPTURE) <= left, "more is under way than there is"

    return f"{_short(payment)} {amount}", rule


def refund(story: Story, choices: Choices) -> Rule | None:
    """Claim a refund."""
    payment = _payment(story, choices, lambda row: row.refundable_amount > ZERO)
    if payment is None:
        return None
    amount = choices.pick(None, *AMOUNTS)

    def rule(books: ShelvedBooks) -> None:
        row = books.payment(payment.pk)
        claims.claim_refund(books, row, amount, reason=None, note="")
        left = row.captured_amount - row.refunded_amount - row.net_charged_back_amount
        assert books.pending(row, MovementKind.REFUND) <= left, "more is going back than there is"

    return f"{_short(payment)} {amount}", rule


def change_due(story: Story, choices: Choices) -> Rule | None:
    """Change what is to be paid, and claim what fits the sessions to it."""
    amount = choices.pick(*AMOUNTS)

    def rule(books: ShelvedBooks) -> None:
        change_amount(books, amount)
        claims.claim_resizes(books)

    return f"{amount}", rule


def plan(story: Story, choices: Choices) -> Rule | None:
    """Divide what is left into two installments, unless there is a plan already."""
    if len(story.books.sessions) >= MOST_SESSIONS:
        return None

    def rule(books: ShelvedBooks) -> None:
        first, left = next_number(books), remaining_amount(books)
        check_excess(left, left, "eur")
        for number, amount in enumerate(split_amount(left, "eur", 2), first):
            insert(books, **_PART, collection=books.collection, amount=amount, installment=number)
        refresh_totals(books)

    return "", rule


def receive(story: Story, choices: Choices) -> Rule | None:
    """Claim the initiation of a session to which others give way, or their reduction at the provider first."""
    if len(story.books.sessions) >= MOST_SESSIONS:
        return None
    amount = choices.pick(*AMOUNTS)

    def rule(books: ShelvedBooks) -> None:
        reductions = claims.reductions_for(books, amount)
        if not claims.claim_calls(books, reductions):
            claims.reduce_at_once(books, reductions)
            card = providers.get_provider("card")
            session = claims.insert_session(
                books, card, amount, context=providers.PaymentContext(), lifetime=None
            )
            claims.claim_initiation(books, session)
        refresh_totals(books)

    return f"{amount}", rule


def cancel_everything(story: Story, choices: Choices) -> Rule | None:
    """Claim the end of the whole collection, once in a while."""
    if choices.pick(*[False] * 15, True):
        story.open_whole()
        return "", claim_everything
    return None


def answer(story: Story, choices: Choices) -> Rule | None:
    """Record what a provider answers to an operation that is open."""
    return _answer(story, choices, [row for row in story.books.operations if row.is_open])


def answer_late(story: Story, choices: Choices) -> Rule | None:
    """Record what a provider answers to an operation, whatever has become of it."""
    return _answer(story, choices, story.open_whole().operations)


def look_again(story: Story, choices: Choices) -> Rule | None:
    """Give up an operation before it is sent, or lose track of it."""
    operation = _of(story.books.operations, choices, lambda row: row.status == OperationStatus.PROCESSING)
    if operation is None:
        return None
    is_lost = choices.pick(False, True)
    story.open_for(operation.payment)

    def rule(books: ShelvedBooks) -> None:
        row = books.operation(operation.pk)
        refusal = claims.refusal_of_call(books, row)
        if refusal is not None:
            record_not_sent(books, row, providers.Failure(code=refusal.code, message=refusal.message))
        elif is_lost:
            mark_unknown(books, row)
        refresh_totals(books)

    return f"{_short(operation)} {is_lost}", rule


def report(story: Story, choices: Choices) -> Rule | None:
    """Record whatever a provider reports, twice: the second time it is no news."""
    session = _session(story, choices)
    if session is None:
        return None
    story.open_whole()
    fact = _any_fact(session, choices, story.books)

    def rule(books: ShelvedBooks) -> None:
        row = books.session(session.pk)
        apply_fact(books, row, fact)
        refresh_totals(books)
        books.close()
        before = len(books.shelf.events)
        apply_fact(books, row, fact)
        refresh_totals(books)
        books.close()
        assert len(books.shelf.events) == before, books.shelf.events[before:]

    return f"{_short(session)} {_words(fact)}", rule


def repeat(story: Story, choices: Choices) -> Rule | None:
    """Record a report of how things stand, which is no news."""
    payment = _payment(story, choices)
    if payment is None:
        return None
    story.open_whole()
    fact = providers.SessionFact(
        currency_code="eur",
        status=choices.pick(None, SessionStatus.AUTHORIZED),
        captured_amount=payment.captured_amount,
        refunded_amount=payment.refunded_amount,
        canceled_amount=payment.canceled_amount,
    )

    def rule(books: ShelvedBooks) -> None:
        apply_fact(books, books.payment(payment.pk).session, fact)
        refresh_totals(books)
        assert not books.events, [event.type for event in books.events]

    return _short(payment), rule


_PART: Final = {"provider_id": "card", "is_split": True}
_CLAIMS: Final[tuple[Step, ...]] = (
    create_session,
    plan,
    receive,
    *[authorize] * 2,
    change_session,
    abandon,
    release,
    *[capture] * 3,
    *[refund] * 2,
    change_due,
    cancel_everything,
)
_HONEST: Final[tuple[Step | None, ...]] = (
    None,
    open_anew,
    *_CLAIMS,
    *[answer] * 12,
    look_again,
    repeat,
)
_ANY: Final[tuple[Step | None, ...]] = (*_HONEST, *[answer] * 2, *[answer_late] * 3, *[report] * 8)


def _answer(story: Story, choices: Choices, operations: Sequence[PaymentOperation]) -> Rule | None:
    operation = _of(operations, choices)
    if operation is None:
        return None
    outcome = choices.pick(*OUTCOMES)
    build = _ANSWERS[OperationKind(operation.kind)]
    result = build(operation, outcome, choices, story.is_honest)
    if getattr(result, "fact", None) is not None or not story.books.has_target(operation):
        story.open_whole()
    story.open_for(operation.payment or operation.session.payment)
    return (
        f"{_short(operation)} {_words(result)}",
        lambda books: record(books, books.operation(operation.pk), result),
    )


Answer = Callable[[PaymentOperation, Outcome, Choices, bool], providers.ProviderResult]


def _initiated(operation: PaymentOperation, outcome: Outcome, choices: Choices, is_honest: bool) -> Any:
    references = (
        [f"scripted_{operation.session_id}", None] if is_honest else [*_references(operation.session), TAKEN]
    )
    return providers.InitiateResult(
        outcome=outcome,
        provider_reference=choices.pick(*references),
        data={"client_token": "t"},
        provider_data={"secret": "s"},
        next_action=choices.pick(None, None, CHALLENGE),
        failure=_failure(outcome),
    )


def _updated(operation: PaymentOperation, outcome: Outcome, choices: Choices, is_honest: bool) -> Any:
    amount = (
        operation.amount if is_honest else choices.pick(operation.amount, operation.amount, None, *AMOUNTS)
    )
    return providers.UpdateResult(
        outcome=outcome, amount=amount, currency_code="eur", failure=_failure(outcome)
    )


def _authorized(operation: PaymentOperation, outcome: Outcome, choices: Choices, is_honest: bool) -> Any:
    if choices.pick(False, False, False, True):
        return providers.AuthorizeResult(outcome=outcome, next_action=CHALLENGE, failure=_failure(outcome))
    asked = operation.amount
    amount = choices.pick(
        asked, asked, min(asked, Decimal(10)), *(() if is_honest else (None, ZERO, *AMOUNTS))
    )
    taken = choices.pick(ZERO, ZERO, ZERO, amount or ZERO, *(() if is_honest else AMOUNTS))
    return providers.AuthorizeResult(
        outcome=outcome,
        amount=amount,
        currency_code=choices.pick("eur", *(() if is_honest else ("eur", "eur", "usd"))),
        captured_amount=taken,
        expires_at=choices.pick(None, None, LONG_AGO),
        provider_reference=None if is_honest else choices.pick(*_references(operation.session)),
        failure=_failure(outcome),
    )


def _moved(operation: PaymentOperation, outcome: Outcome, choices: Choices, is_honest: bool) -> Any:
    asked = operation.amount
    is_capture = operation.kind == OperationKind.CAPTURE
    more: dict[str, Any] = {}
    if is_capture:
        more["releases_remainder"] = choices.pick(False, False, False, True)
    elif not is_honest and outcome == Outcome.DECLINED and choices.pick(False, True):
        more["fact"] = providers.SessionFact(currency_code="eur", refunded_amount=choices.pick(*AMOUNTS))
    named = f"{'ch' if is_capture else 're'}_{operation.pk}"
    return (providers.CaptureResult if is_capture else providers.RefundResult)(
        outcome=outcome,
        amount=choices.pick(asked, *(() if is_honest else (asked, asked, None, *AMOUNTS))),
        currency_code=choices.pick("eur", *(() if is_honest else ("eur", "eur", "usd", None))),
        provider_reference=choices.pick(named, None, *(() if is_honest else ("m_1", "m_2"))),
        failure=_failure(outcome),
        **more,
    )


def _canceled(operation: PaymentOperation, outcome: Outcome, choices: Choices, is_honest: bool) -> Any:
    fact = None
    if not is_honest and outcome == Outcome.SUCCEEDED and choices.pick(False, True):
        fact = providers.SessionFact(
            currency_code="eur",
            status=SessionStatus.CANCELED,
            authorized_amount=choices.pick(None, *AMOUNTS),
            captured_amount=choices.pick(None, *AMOUNTS),
            canceled_amount=choices.pick(None, *AMOUNTS),
        )
    return providers.CancelResult(outcome=outcome, fact=fact, failure=_failure(outcome))


def _looked_up(operation: PaymentOperation, outcome: Outcome, choices: Choices, is_honest: bool) -> Any:
    return providers.RetrieveResult(outcome=choices.pick(Outcome.SUCCEEDED, Outcome.DECLINED))


_ANSWERS: Final[dict[OperationKind, Answer]] = {
    OperationKind.INITIATE: _initiated,
    OperationKind.UPDATE: _updated,
    OperationKind.AUTHORIZE: _authorized,
    OperationKind.CAPTURE: _moved,
    OperationKind.REFUND: _moved,
    OperationKind.CANCEL: _canceled,
    OperationKind.SYNC: _looked_up,
}


def _any_fact(session: PaymentSession, choices: Choices, books: ShelvedBooks) -> providers.SessionFact:
    """Return a report of one of the kinds that providers make, true or not."""
    fact: dict[str, Any] = {"currency_code": choices.pick(*["eur"] * 15, "usd")}
    fact["provider_reference"] = choices.pick(*_references(session), None, None, None)
    kind = choices.pick(*_REPORTS)
    amount = choices.pick(*AMOUNTS)
    if kind == "movement":
        fact["movements"] = (_any_movement(session, amount, choices, books),)
    elif isinstance(kind, SessionStatus):
        fact["status"] = kind
        fact["authorized_amount"] = choices.pick(None, amount)
        fact["captured_amount"] = choices.pick(None, None, None, amount)
        fact["expires_at"] = choices.pick(None, LONG_AGO)
    elif kind == "unclear":
        fact["unclear_charge_backs"] = ("110 usd (du_1)",)
    else:
        fact[kind] = amount
        if kind == "charged_back_amount":
            fact["reinstated_amount"] = choices.pick(None, amount, *AMOUNTS)
    return providers.SessionFact(**fact)


_REPORTS: Final = (
    *SessionStatus,
    *[SessionStatus.AUTHORIZED] * 2,
    *["movement"] * 5,
    "amount",
    *["captured_amount"] * 2,
    *["refunded_amount"] * 2,
    "canceled_amount",
    *["charged_back_amount"] * 2,
    "reinstated_amount",
    "unclear",
)


def _any_movement(
    session: PaymentSession, amount: Decimal, choices: Choices, books: ShelvedBooks
) -> providers.MovementFact:
    kind = choices.pick(*MovementKind)
    payment = session.payment
    row = choices.pick(None, *(() if payment is None else books.movements(payment, kind)))
    if row is None:
        reference = choices.pick(None, "m_1", "m_2", "m_3")
        return providers.MovementFact(
            kind=kind,
            status=choices.pick(MovementStatus.SUCCEEDED, *MovementStatus),
            amount=amount,
            currency_code="eur",
            provider_reference=reference,
        )
    operations = [each.pk for each in books.operations if each.target_id == row.pk]
    return providers.MovementFact(
        kind=kind,
        status=choices.pick(*MovementStatus),
        amount=choices.pick(row.amount, row.amount, amount),
        currency_code="eur",
        operation_id=choices.pick(*operations, None),
        provider_reference=choices.pick(row.provider_reference, None, "m_1"),
    )


def _references(session: PaymentSession) -> list[str | None]:
    return [f"scripted_{session.pk}", None, f"other_{session.pk}"]


def _failure(outcome: Outcome) -> providers.Failure | None:
    return None if outcome in (Outcome.SUCCEEDED, Outcome.PENDING) else REFUSED


def _session(story: Story, choices: Choices) -> PaymentSession | None:
    session = _of(story.books.sessions, choices)
    if session is not None:
        story.open_for(session.payment)
    return session


def _payment(story: Story, choices: Choices, is_likely: Callable[[Payment], bool] = bool) -> Payment | None:
    """Choose a payment; one with which nothing can be done only where there is no other."""
    likely = [row for row in story.books.payments if is_likely(row)]
    payment = _of(likely or story.books.payments, choices)
    if payment is not None:
        story.open_for(payment)
    return payment


def _of(rows: Sequence[T], choices: Choices, is_possible: Callable[[T], bool] | None = None) -> T | None:
    possible = rows if is_possible is None else [row for row in rows if is_possible(row)]
    return choices.pick(*possible) if possible else None


def _short(row: Any) -> str:
    name = f"{row.pk[:6]}…{row.pk[-4:]}"
    return f"{name} ({row.kind} {row.status})" if isinstance(row, PaymentOperation) else name


def _words(told: Any) -> str:
    """Return what an answer or a report says, without what it leaves out."""
    stated = {name: value for name, value in vars(told).items() if value not in (None, (), {}, False)}
    return ", ".join(f"{name}={value}" for name, value in stated.items())
