"""A bank that keeps keys and tells totals: how much was captured and refunded in all, and of no single movement."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

from payments import providers
from payments.models import Capture, Payment, PaymentEvent, PaymentOperation, Refund
from payments.money import ZERO
from payments.states import MovementKind, MovementStatus, OperationStatus, Outcome, SessionStatus
from payments.testing import configured_provider

Loss = Literal["request", "answer", ""]


@dataclass(kw_only=True)
class Bank:
    """What the bank has moved, by the key of each request; `losses` says what the network loses of the next ones."""

    moved: dict[str, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(dict))
    losses: deque[Loss] = field(default_factory=deque)

    def total(self, kind: str) -> Decimal:
        """Return what was captured, or refunded, in all."""
        return sum(self.moved[kind].values(), ZERO)

    def move(
        self, kind: MovementKind, request: providers.CaptureRequest | providers.RefundRequest
    ) -> dict[str, Any]:
        """Move money once for each key, and answer; raise TimeoutError where the request or its answer is lost."""
        loss = self.losses.popleft() if self.losses else ""
        if loss != "request":
            self.moved[kind][request.idempotency_key] = request.amount
        if loss:
            raise TimeoutError
        return {
            "outcome": Outcome.SUCCEEDED,
            "amount": request.amount,
            "currency_code": request.currency_code,
        }

    def fact(self) -> providers.SessionFact:
        """Return what the bank tells of the one payment that it has."""
        return providers.SessionFact(
            currency_code="eur",
            status=SessionStatus.AUTHORIZED,
            authorized_amount=Decimal(100),
            captured_amount=self.total(MovementKind.CAPTURE),
            refunded_amount=self.total(MovementKind.REFUND),
        )


@dataclass(frozen=True, kw_only=True)
class TotalsOptions:
    """Say which bank is talked to, and whether its keys protect for ever, or for no time at all."""

    bank: Bank
    keeps_keys: bool = True


class TotalsProvider(providers.BaseProvider[TotalsOptions]):
    """Talk to a bank that tells totals."""

    options_class = TotalsOptions
    moves_real_money = True
    idempotency_window: ClassVar[timedelta | None] = None

    def key_window(self, kind: object) -> timedelta | None:
        """Return None for ever, or no time."""
        return None if self.options.keeps_keys else timedelta(0)

    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        """Know of a session."""
        return providers.InitiateResult(outcome=Outcome.SUCCEEDED)

    def update(self, request: providers.UpdateRequest) -> providers.UpdateResult:
        """Have another amount."""
        return providers.UpdateResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        """Hold the whole amount."""
        return providers.AuthorizeResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        """Take an amount."""
        return providers.CaptureResult(**self.options.bank.move(MovementKind.CAPTURE, request))

    def refund(self, request: providers.RefundRequest) -> providers.RefundResult:
        """Give an amount back."""
        return providers.RefundResult(**self.options.bank.move(MovementKind.REFUND, request))

    def cancel(self, request: providers.CancelRequest) -> providers.CancelResult:
        """Let go."""
        return providers.CancelResult(outcome=Outcome.SUCCEEDED)

    def retrieve(self, request: providers.RetrieveRequest) -> providers.RetrieveResult:
        """Tell the totals."""
        return providers.RetrieveResult(outcome=Outcome.SUCCEEDED, fact=self.options.bank.fact())


@contextmanager
def totals_provider(*, keeps_keys: bool = True) -> Iterator[Bank]:
    """Configure the provider `totals` inside the block, and give its bank."""
    bank = Bank()
    options = {"bank": bank, "keeps_keys": keeps_keys}
    with configured_provider("totals", {"BACKEND": "tests.races.totals.TotalsProvider", "OPTIONS": options}):
        yield bank


def booked(payment: Payment, kind: MovementKind) -> Decimal:
    """Return what the books say was captured, or refunded, in all; both kinds of sum have to say the same."""
    model = Capture if kind == MovementKind.CAPTURE else Refund
    rows = model._default_manager.filter(payment=payment, status=MovementStatus.SUCCEEDED)
    total = sum((row.amount for row in rows), ZERO)
    payment.refresh_from_db()
    stated = payment.captured_amount if kind == MovementKind.CAPTURE else payment.refunded_amount
    assert stated == total, f"the payment says {stated}, its rows {total}"
    return total


def assert_no_guess(bank: Bank, payment: Payment, kind: MovementKind) -> None:
    """See that the books have nothing as done that the bank hasn't done, and that what they lack is shown."""
    done = PaymentOperation.objects.filter(payment=payment, kind=kind, status=OperationStatus.SUCCEEDED)
    made_up = [operation.pk for operation in done if operation.pk not in bank.moved[kind]]
    assert made_up == [], "what the bank has never done is in the books as done"
    ours, theirs = booked(payment, kind), bank.total(kind)
    assert ours <= theirs, f"the books say {ours}, the bank {theirs}"
    assert ours == theirs or is_shown(payment), f"nobody is told of {theirs - ours}"


def is_shown(payment: Payment) -> bool:
    """Return whether somebody is told that a payment's books and its bank differ."""
    operations = PaymentOperation.objects.filter(payment=payment, status=OperationStatus.ATTENTION)
    events = PaymentEvent.objects.filter(session=payment.session_id, type="fact.discrepancy")
    return operations.exists() or events.exists()
