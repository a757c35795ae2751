"""A bank in memory: a provider whose ledger says what was really held, taken, given back and let go of.

    with open_bank() as bank:
        session = create_payment_session(collection, provider_id="bank")
        bank.next("authorize", lost)
        ...
    assert our_books(session) == bank.books(session)

A request under a key that was answered before gets that answer again, unless it was a refusal: of those it keeps none.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar

from payments import providers
from payments.exceptions import DeclinedError
from payments.models import PaymentCollection, PaymentSession
from payments.money import ZERO, to_minor_units
from payments.services import Origin, create_payment_collection, create_payment_session, record_fact
from payments.states import EventSource, MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import configured_provider
from tests.reliability.books import Books, our_books

WEBHOOK: Final = Origin(source=EventSource.WEBHOOK)

ResultT = TypeVar("ResultT", bound=providers.ProviderResult)

Act = Callable[[], Any]
Fault = Callable[[Act], Any]
"""What happens to one request: a function that gets what the bank would do, and returns what it answers."""


def done(act: Act) -> Any:
    """Have the bank do what it is asked, and say so."""
    return act()


def lost(act: Act) -> Any:
    """Have a request never arrive."""
    raise TimeoutError


def unanswered(act: Act) -> Any:
    """Have the bank do what it is asked, and its answer never arrive."""
    act()
    raise TimeoutError


def refused(act: Act) -> Any:
    """Have the bank refuse, for certain."""
    raise DeclinedError("No.", code="refused")


def after(action: Callable[[], object]) -> Fault:
    """Have something happen before the bank gets to the request."""

    def fault(act: Act) -> Any:
        action()
        return act()

    return fault


def before_answering(action: Callable[[], object]) -> Fault:
    """Have something happen between the bank's deed and its answer."""

    def fault(act: Act) -> Any:
        result = act()
        action()
        return result

    return fault


@dataclass(kw_only=True)
class Movement:
    """Hold one capture or refund; `operation_id` is None where it was made at the bank itself."""

    reference: str
    amount: Decimal
    operation_id: str | None = None


@dataclass(kw_only=True)
class Account:
    """Hold what the bank has of one session, in major units."""

    reference: str
    currency_code: str
    amount: Decimal
    is_canceled: bool = False
    authorized: Decimal = ZERO
    released: Decimal = ZERO
    charged_back: Decimal = ZERO
    captures: list[Movement] = field(default_factory=list)
    refunds: list[Movement] = field(default_factory=list)

    @property
    def captured(self) -> Decimal:
        """What was taken in all."""
        return sum((row.amount for row in self.captures), ZERO)

    @property
    def refunded(self) -> Decimal:
        """What was given back in all."""
        return sum((row.amount for row in self.refunds), ZERO)

    @property
    def held(self) -> Decimal:
        """What can still be taken."""
        return self.authorized - self.released - self.captured


@dataclass(kw_only=True)
class Bank:
    """Be the ledger and the log of the provider `bank`; with `lets_go`, a capture releases what it leaves."""

    lets_go: bool = False
    asked: list[tuple[str, Any]] = field(default_factory=list, repr=False)
    accounts: dict[str, Account] = field(default_factory=dict)
    _faults: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque), repr=False)
    _answers: dict[str, Any] = field(default_factory=dict, repr=False)
    _count: int = field(default=0, repr=False)

    def next(self, verb: str, *faults: Fault) -> None:
        """Queue what happens to the next requests of a verb."""
        self._faults[verb].extend(faults)

    def requests(self, verb: str, session: PaymentSession | None = None) -> list[Any]:
        """Return what was asked with a verb, of one session or of all, whether it arrived or not."""
        requests = [request for name, request in self.asked if name == verb]
        return [row for row in requests if session is None or row.session_id == session.pk]

    def of(self, session: PaymentSession) -> Account:
        """Return what the bank has of a session."""
        return self.accounts[session.pk]

    def pay(self, session: PaymentSession) -> None:
        """Have the payer authorize the whole amount at the bank, whatever we have said about the session."""
        account = self.of(session)
        account.authorized, account.released, account.is_canceled = account.amount, ZERO, False

    def take(self, session: PaymentSession, amount: str) -> None:
        """Capture in the bank's own dashboard."""
        self._take(self.of(session), Decimal(amount), None)

    def give_back(self, session: PaymentSession, amount: str) -> None:
        """Refund in the bank's own dashboard."""
        self._give_back(self.of(session), Decimal(amount), None)

    def let_go(self, session: PaymentSession, amount: str | None = None) -> None:
        """Release what is held, or a part of it, without being asked; abandon what isn't authorized."""
        account = self.of(session)
        account.released += account.held if amount is None else Decimal(amount)
        account.is_canceled = not account.held and not account.captured

    def forget_keys(self) -> None:
        """Know no key any more, as after its window."""
        self._answers.clear()

    def fact(self, session: PaymentSession) -> providers.SessionFact:
        """Return all that the bank knows of a session."""
        return _fact_of(self.of(session))

    def tell(self, session: PaymentSession) -> None:
        """Have an event tell us all that the bank knows of a session, and read the session anew."""
        record_fact(session, self.fact(session), origin=WEBHOOK)
        session.refresh_from_db()

    def books(self, session: PaymentSession) -> Books:
        """Return the ledger as `our_books` returns ours."""
        account = self.of(session)

        def minor(amount: Decimal) -> int:
            return to_minor_units(amount, account.currency_code) if amount else 0

        return Books(
            held=minor(account.authorized - account.released),
            captured=minor(account.captured),
            refunded=minor(account.refunded),
            charged_back=minor(account.charged_back),
            captures=len(account.captures),
            refunds=len(account.refunds),
        )

    def assert_agrees(self, collection: PaymentCollection) -> None:
        """Hold every session of a collection that the bank knows against its ledger."""
        for session in collection.sessions.filter(pk__in=list(self.accounts)):
            assert our_books(session) == self.books(session), session.pk

    def answer(self, verb: str, request: Any, act: Act) -> Any:
        """Note a request, and do what it asks once per key, unless something else is to happen to it."""
        self.asked.append((verb, request))
        key = getattr(request, "idempotency_key", None)

        def once() -> Any:
            if key is None:
                return act()
            if key not in self._answers:
                self._answers[key] = act()
            return self._answers[key]

        faults = self._faults[verb]
        return faults.popleft()(once) if faults else once()

    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        """Open an account."""
        reference = f"account_{len(self.accounts) + 1}"
        self.accounts[request.session_id] = Account(
            reference=reference, currency_code=request.currency_code, amount=request.amount
        )
        return providers.InitiateResult(outcome=Outcome.SUCCEEDED, provider_reference=reference)

    def update(self, request: providers.UpdateRequest) -> providers.UpdateResult:
        """Take another amount, also as what is held already."""
        account = self.accounts[request.session_id]
        account.amount = request.amount
        account.authorized = request.amount if account.authorized else ZERO
        return providers.UpdateResult(**_as_asked(request))

    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        """Hold the amount."""
        account = self.accounts[request.session_id]
        account.authorized, account.is_canceled = account.amount, False
        return providers.AuthorizeResult(**_as_asked(request))

    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        """Take the amount, if it is held; let go of the rest if that is the bank's way."""
        account = self.accounts[request.session_id]
        row = self._take(account, request.amount, request.operation_id)
        if self.lets_go:
            account.released += account.held
        return providers.CaptureResult(
            **_as_asked(request), provider_reference=row.reference, releases_remainder=self.lets_go
        )

    def refund(self, request: providers.RefundRequest) -> providers.RefundResult:
        """Give the amount back, if that much was taken; whether a dispute took it back already isn't looked at."""
        row = self._give_back(self.accounts[request.session_id], request.amount, request.operation_id)
        return providers.RefundResult(**_as_asked(request), provider_reference=row.reference)

    def cancel(self, request: providers.CancelRequest) -> providers.CancelResult:
        """Let go of all that is held, or of the session."""
        account = self.accounts[request.session_id]
        account.released += account.held
        account.is_canceled = not account.captured
        return providers.CancelResult(outcome=Outcome.SUCCEEDED)

    def retrieve(self, request: providers.RetrieveRequest) -> providers.RetrieveResult:
        """Tell all that is known of a session."""
        account = self.accounts.get(request.session_id)
        return providers.RetrieveResult(
            outcome=Outcome.SUCCEEDED, fact=None if account is None else _fact_of(account)
        )

    def _take(self, account: Account, amount: Decimal, operation_id: str | None) -> Movement:
        if amount > account.held:
            raise DeclinedError("That much isn't held.", code="not_held")
        return self._move(account.captures, "capture", amount, operation_id)

    def _give_back(self, account: Account, amount: Decimal, operation_id: str | None) -> Movement:
        if account.refunded + amount > account.captured:
            raise DeclinedError("That much wasn't taken.", code="not_taken")
        return self._move(account.refunds, "refund", amount, operation_id)

    def _move(self, rows: list[Movement], name: str, amount: Decimal, operation_id: str | None) -> Movement:
        self._count += 1
        row = Movement(reference=f"{name}_{self._count}", amount=amount, operation_id=operation_id)
        rows.append(row)
        return row


@dataclass(frozen=True, kw_only=True)
class BankOptions:
    """Say which bank it is, and what it can't do, such as `retrieve`."""

    bank: Bank = field(default_factory=Bank)
    lacks: Collection[str] = ()


class BankProvider(providers.BaseProvider[BankOptions]):
    """Pass everything on to the bank."""

    options_class = BankOptions
    verbose_name = "Bank"
    moves_real_money = True
    public_data_keys: ClassVar[frozenset[str]] = frozenset({"client_token"})
    input_keys: ClassVar[frozenset[str]] = frozenset({"token"})

    def __init__(self, *, alias: str, options: BankOptions) -> None:
        super().__init__(alias=alias, options=options)
        for capability in options.lacks:
            setattr(self, f"supports_{capability}", False)

    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        """Open an account."""
        return self._ask("initiate", request, self.options.bank.initiate)

    def update(self, request: providers.UpdateRequest) -> providers.UpdateResult:
        """Change the amount."""
        return self._ask("update", request, self.options.bank.update)

    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        """Hold the amount."""
        return self._ask("authorize", request, self.options.bank.authorize)

    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        """Take the amount."""
        return self._ask("capture", request, self.options.bank.capture)

    def refund(self, request: providers.RefundRequest) -> providers.RefundResult:
        """Give the amount back."""
        return self._ask("refund", request, self.options.bank.refund)

    def cancel(self, request: providers.CancelRequest) -> providers.CancelResult:
        """Let go."""
        return self._ask("cancel", request, self.options.bank.cancel)

    def retrieve(self, request: providers.RetrieveRequest) -> providers.RetrieveResult:
        """Tell all that is known."""
        return self._ask("retrieve", request, self.options.bank.retrieve)

    def _ask(self, verb: str, request: Any, deed: Callable[[Any], ResultT]) -> ResultT:
        result: ResultT = self.options.bank.answer(verb, request, lambda: deed(request))
        return result


@contextmanager
def open_bank(*, lacks: Collection[str] = (), lets_go: bool = False) -> Iterator[Bank]:
    """Configure the provider `bank` inside the block, and give its ledger."""
    bank = Bank(lets_go=lets_go)
    entry = {
        "BACKEND": "tests.reliability.banks.BankProvider",
        "OPTIONS": {"bank": bank, "lacks": tuple(lacks)},
    }
    with configured_provider("bank", entry):
        yield bank


def open_collection(amount: str = "100.00") -> PaymentCollection:
    """Create a collection for this much in euros."""
    return create_payment_collection(amount=amount, currency_code="eur")


def open_session(collection: PaymentCollection, amount: str | None = None) -> PaymentSession:
    """Create a session at the bank, over all that is left or as a split."""
    return create_payment_session(collection, provider_id="bank", amount=amount)


def _fact_of(account: Account) -> providers.SessionFact:
    movements = {MovementKind.CAPTURE: account.captures, MovementKind.REFUND: account.refunds}
    return providers.SessionFact(
        currency_code=account.currency_code,
        status=_status_of(account),
        provider_reference=account.reference,
        amount=account.amount,
        authorized_amount=account.authorized or None,
        captured_amount=account.captured,
        refunded_amount=account.refunded,
        canceled_amount=account.released,
        charged_back_amount=account.charged_back,
        movements=tuple(
            providers.MovementFact(
                kind=kind,
                status=MovementStatus.SUCCEEDED,
                amount=row.amount,
                currency_code=account.currency_code,
                operation_id=row.operation_id,
                provider_reference=row.reference,
            )
            for kind, rows in movements.items()
            for row in rows
        ),
    )


def _status_of(account: Account) -> SessionStatus:
    if account.is_canceled:
        return SessionStatus.CANCELED
    return SessionStatus.AUTHORIZED if account.authorized else SessionStatus.PENDING


def _as_asked(request: providers.ProviderRequest) -> dict[str, Any]:
    return {
        "outcome": Outcome.SUCCEEDED,
        "amount": request.amount,
        "currency_code": request.currency_code,
    }
