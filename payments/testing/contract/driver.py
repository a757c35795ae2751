"""How the contract plays the services' part in one session, and what its tests expect of every answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from django.core.serializers.json import DjangoJSONEncoder

from payments import ids, providers
from payments.money import SCALE, ZERO, exponent
from payments.providers.calls import UnusableAnswerError, check_usable
from payments.providers.public_data import CODE, declared_data
from payments.states import MovementKind, MovementStatus, Outcome

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT", bound=providers.ProviderResult)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What a payer tries: `amount` in major units, ISO 4217 `currency_code`, and what their browser sends.

    `initiate_input` goes along when the session is initiated, `input` when it is authorized.
    """

    amount: Decimal = Decimal("100.00")
    currency_code: str = "eur"
    input: Mapping[str, Any] = field(default_factory=dict)
    initiate_input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class SessionDriver:
    """One session at a provider, driven verb by verb.

    Every verb returns the provider's result, with whatever keys it published, declared or not. An exception becomes
    the outcome that it stands for and is kept in `error`. `payer` does what a payer does elsewhere before the session
    is authorized.
    """

    provider: providers.BaseProvider[Any]
    attempt: Attempt = field(default_factory=Attempt)
    context: providers.PaymentContext = field(
        default_factory=lambda: providers.PaymentContext(
            email="payer@example.com", return_url="https://shop.example/back"
        )
    )
    session_id: str = field(default_factory=ids.new_session_id)
    collection_id: str = field(default_factory=ids.new_collection_id)
    payment_id: str = field(default_factory=ids.new_payment_id)
    amount: Decimal = field(init=False)
    provider_reference: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    provider_data: dict[str, Any] = field(default_factory=dict)
    operation_ids: list[str] = field(default_factory=list)
    error: Exception | None = None
    payer: Callable[[SessionDriver], None] | None = None
    _resend: Callable[[], providers.ProviderResult] | None = None

    def __post_init__(self) -> None:
        self.amount = self.attempt.amount

    @property
    def currency_code(self) -> str:
        """The session's currency, ISO 4217 in lower case."""
        return self.attempt.currency_code

    def initiate(self, **changes: Any) -> providers.InitiateResult:
        """Open the session; `changes` replace fields of the request, here and in the other verbs."""
        values = self._common() | {"input": dict(self.attempt.initiate_input), "context": self.context}
        return self._call(
            self.provider.initiate, providers.InitiateRequest(**values | changes), providers.InitiateResult
        )

    def update(self, amount: Decimal, **changes: Any) -> providers.UpdateResult:
        """Change the session's amount (major units), which holds from now on if the provider agrees."""
        request = providers.UpdateRequest(**self._common() | {"amount": amount} | changes)
        result = self._call(self.provider.update, request, providers.UpdateResult)
        if result.outcome == Outcome.SUCCEEDED:
            self.amount = amount
        return result

    def authorize(self, **changes: Any) -> providers.AuthorizeResult:
        """Authorize with what the payer sends, after they have done what they do elsewhere."""
        if self.payer is not None:
            self.payer(self)
        values = self._common() | {"input": dict(self.attempt.input)}
        return self._call(
            self.provider.authorize, providers.AuthorizeRequest(**values | changes), providers.AuthorizeResult
        )

    def capture(self, amount: Decimal | None = None, **changes: Any) -> providers.CaptureResult:
        """Capture an amount (major units; None: all)."""
        values = self._common() | {
            "amount": self.amount if amount is None else amount,
            "payment_id": self.payment_id,
            "capture_id": ids.new_capture_id(),
            "is_final": amount is None,
        }
        return self._call(
            self.provider.capture, providers.CaptureRequest(**values | changes), providers.CaptureResult
        )

    def refund(self, amount: Decimal | None = None, **changes: Any) -> providers.RefundResult:
        """Refund an amount (major units; None: all)."""
        values = self._common() | {
            "amount": self.amount if amount is None else amount,
            "payment_id": self.payment_id,
            "refund_id": ids.new_refund_id(),
            "reason": "Returned goods",
        }
        return self._call(
            self.provider.refund, providers.RefundRequest(**values | changes), providers.RefundResult
        )

    def cancel(self, amount: Decimal | None = None, **changes: Any) -> providers.CancelResult:
        """Abandon the session, or release what is still held: `amount` (major units; None: all)."""
        values = self._common() | {"amount": self.amount if amount is None else amount}
        return self._call(
            self.provider.cancel, providers.CancelRequest(**values | changes), providers.CancelResult
        )

    def retrieve(self, **changes: Any) -> providers.RetrieveResult:
        """Ask what the provider knows."""
        values: dict[str, Any] = {
            "session_id": self.session_id,
            "amount": self.amount,
            "currency_code": self.currency_code,
            "provider_reference": self.provider_reference,
            "provider_data": copy.deepcopy(self.provider_data),
        }
        return self._call(
            self.provider.retrieve, providers.RetrieveRequest(**values | changes), providers.RetrieveResult
        )

    def resend(self) -> Any:
        """Send the last request again, word for word and under the same idempotency key."""
        assert self._resend is not None, "Nothing was sent yet."
        return self._resend()

    def _common(self) -> dict[str, Any]:
        operation_id = ids.new_operation_id()
        self.operation_ids.append(operation_id)
        return {
            "operation_id": operation_id,
            "idempotency_key": operation_id,
            "collection_id": self.collection_id,
            "session_id": self.session_id,
            "amount": self.amount,
            "currency_code": self.currency_code,
            "provider_reference": self.provider_reference,
            "data": copy.deepcopy(self.data),
            "provider_data": copy.deepcopy(self.provider_data),
        }

    def _call(
        self, verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]
    ) -> ResultT:
        request = _as_stored(request)
        self._resend = lambda: self._call(verb, request, result_class)
        before = copy.deepcopy(request)
        # In between, so that the exception is kept, and undeclared keys aren't dropped before a test has seen them.
        result = providers.call_provider(
            lambda sent: self._listen(verb, sent), request, result_class=result_class
        )
        assert request == before, f"The provider changed the {type(request).__name__} that it was given."
        self._remember(result)
        return result

    def _listen(self, verb: Callable[[RequestT], ResultT], request: RequestT) -> ResultT:
        self.error = None
        try:
            return verb(request)
        except Exception as error:
            self.error = error
            raise

    def _remember(self, result: providers.ProviderResult) -> None:
        if isinstance(result, providers.SessionResult) and result.data is not None:
            self.data = dict(result.data)
        if (
            isinstance(result, providers.SessionResult | providers.MovementResult)
            and result.provider_data is not None
        ):
            self.provider_data = dict(result.provider_data)
        if isinstance(result, providers.SessionResult) and self.provider_reference is None:
            self.provider_reference = result.provider_reference


def _as_stored(request: RequestT) -> RequestT:
    """Return a request with its amount as the services read it from the database: with four decimals."""
    amount: Decimal = getattr(request, "amount")  # noqa: B009 - a request of any verb
    return replace(request, amount=amount.quantize(Decimal(1).scaleb(-SCALE)))  # type: ignore[type-var]


def expect(driver: SessionDriver, result: ResultT, *outcomes: Outcome) -> ResultT:
    """Return a result whose outcome is one of those expected; otherwise fail, with what the provider raised."""
    if result.outcome not in outcomes:
        expected = " or ".join(outcomes)
        raise AssertionError(
            f"Expected a {type(result).__name__} that {expected}, got {result.outcome}: {result.failure}"
        ) from driver.error
    return result


def succeeded(driver: SessionDriver, result: ResultT) -> ResultT:
    """Expect a success."""
    return expect(driver, result, Outcome.SUCCEEDED)


def declined(driver: SessionDriver, result: ResultT) -> ResultT:
    """Expect a refusal, with a code for programs and words for the payer."""
    expect(driver, result, Outcome.DECLINED)
    failure = result.failure
    assert failure is not None, "A refusal has a failure that says why."
    assert failure.code, "A refusal has a code."
    assert CODE.fullmatch(failure.code), f"A code is one word, for programs: {CODE.pattern}."
    assert str(failure.message).strip(), "A refusal has a message that a payer may read."
    return result


def declares(provider: providers.BaseProvider[Any], data: Mapping[str, Any] | None) -> None:
    """Check that all of a session's public data is declared, what is nested in it too."""
    _kept, undeclared = declared_data(data or {}, provider.public_data_keys)
    assert not undeclared, f"Not in public_data_keys: {undeclared}"


def states_amount(result: Any, amount: Decimal, currency_code: str) -> None:
    """Check that a result states exactly this amount, in the currency's decimals at most."""
    assert isinstance(result.amount, Decimal), f"An amount is a Decimal, not {result.amount!r}."
    assert result.amount == amount, f"Asked for {amount}, the provider states {result.amount}."
    assert fits(result.amount, currency_code), f"{result.amount} has more decimals than {currency_code} has."
    assert result.currency_code == currency_code, "The currency is that of the request, in lower case."


def fits(amount: Decimal, currency_code: str) -> bool:
    """Return whether an amount is finite and has no more decimals than its currency."""
    return amount.is_finite() and amount == round(amount, exponent(currency_code))


def is_json(value: Any) -> bool:
    """Return whether a value can be stored as JSON and comes back as the same keys and structure."""
    try:
        text = json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return has_text_keys(value) and isinstance(json.loads(text), type(value))


def has_text_keys(value: Any) -> bool:
    """Return whether every key of a nested value is a string, as JSON wants it."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and has_text_keys(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(has_text_keys(each) for each in value)
    return True


def is_usable(result: Any) -> None:
    """Check that a result can be stored and shown; the services take any other for none."""
    try:
        check_usable(result)
    except UnusableAnswerError as error:
        raise AssertionError(
            f"A {type(result).__name__} that can't be used: {error.where} isn't what its dataclass says, or holds what "
            "no database can: NaN, a NUL, half of a surrogate pair, what isn't JSON, a time without a zone."
        ) from error


def is_frozen(value: Any) -> bool:
    """Return whether a dataclass refuses assignment."""
    assert is_dataclass(value), f"{value!r} isn't a dataclass."
    name = fields(value)[0].name
    try:
        setattr(value, name, getattr(value, name))
    except FrozenInstanceError:
        return True
    return False


def fact_of(driver: SessionDriver) -> providers.SessionFact:
    """Return what the provider reports of a session that it has to know."""
    result = succeeded(driver, driver.retrieve())
    assert result.fact is not None, "The provider knows the session, so a retrieve has a fact."
    return result.fact


def total(fact: providers.SessionFact, kind: MovementKind) -> Decimal:
    """Return how much a fact says was captured or refunded, from its total or from its movements."""
    stated = fact.captured_amount if kind == MovementKind.CAPTURE else fact.refunded_amount
    listed = sum((each.amount for each in moved(fact, kind)), ZERO)
    if stated is None:
        return listed
    if fact.movements:
        assert stated == listed, f"The {kind}s listed add up to {listed}, the total says {stated}."
    return stated


def moved(fact: providers.SessionFact, kind: MovementKind) -> list[providers.MovementFact]:
    """Return the captures or refunds of a fact that succeeded."""
    return [each for each in fact.movements if each.kind == kind and each.status == MovementStatus.SUCCEEDED]
