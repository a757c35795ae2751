"""Plays the services' part in one session: keeps what the provider returned, and sends it along the next time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from payments import ids
from payments.money import SCALE
from payments.providers import (
    AuthorizeRequest,
    AuthorizeResult,
    BaseProvider,
    CancelRequest,
    CancelResult,
    CaptureRequest,
    CaptureResult,
    InitiateRequest,
    InitiateResult,
    MovementResult,
    PaymentContext,
    ProviderResult,
    RefundRequest,
    RefundResult,
    RetrieveRequest,
    RetrieveResult,
    SessionResult,
    UpdateRequest,
    UpdateResult,
    call_provider,
)
from payments.states import Outcome

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT", bound=ProviderResult)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Say what a payer tries: `amount` in major units, ISO 4217 `currency_code`, and what their browser sends.

    `initiate_input` goes along when the session is initiated, `input` when it is authorized.
    """

    amount: Decimal = Decimal("100.00")
    currency_code: str = "eur"
    input: Mapping[str, Any] = field(default_factory=dict)
    initiate_input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class SessionDriver:
    """Drive one session at a provider, verb by verb.

    Every verb returns the provider's result, with whatever keys it published, declared or not. An exception becomes
    the outcome that it stands for and is kept in `error`. `payer` does what a payer does elsewhere before the session
    is authorized.
    """

    provider: BaseProvider[Any]
    attempt: Attempt = field(default_factory=Attempt)
    context: PaymentContext = field(
        default_factory=lambda: PaymentContext(
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
    _resend: Callable[[], ProviderResult] | None = None

    def __post_init__(self) -> None:
        self.amount = self.attempt.amount

    @property
    def currency_code(self) -> str:
        """The session's currency, ISO 4217 in lower case."""
        return self.attempt.currency_code

    def initiate(self, **changes: Any) -> InitiateResult:
        """Open the session; `changes` replace fields of the request, here and in the other verbs."""
        values = self._common() | {"input": dict(self.attempt.initiate_input), "context": self.context}
        return self._call(self.provider.initiate, InitiateRequest(**values | changes), InitiateResult)

    def update(self, amount: Decimal, **changes: Any) -> UpdateResult:
        """Change the session's amount (major units), which holds from now on if the provider agrees."""
        request = UpdateRequest(**self._common() | {"amount": amount} | changes)
        result = self._call(self.provider.update, request, UpdateResult)
        if result.outcome == Outcome.SUCCEEDED:
            self.amount = amount
        return result

    def authorize(self, **changes: Any) -> AuthorizeResult:
        """Authorize with what the payer sends, after they have done what they do elsewhere."""
        if self.payer is not None:
            self.payer(self)
        values = self._common() | {"input": dict(self.attempt.input)}
        return self._call(self.provider.authorize, AuthorizeRequest(**values | changes), AuthorizeResult)

    def capture(self, amount: Decimal | None = None, **changes: Any) -> CaptureResult:
        """Capture an amount (major units; None: all)."""
        values = self._common() | {
            "amount": self.amount if amount is None else amount,
            "payment_id": self.payment_id,
            "capture_id": ids.new_capture_id(),
            "is_final": amount is None,
        }
        return self._call(self.provider.capture, CaptureRequest(**values | changes), CaptureResult)

    def refund(self, amount: Decimal | None = None, **changes: Any) -> RefundResult:
        """Refund an amount (major units; None: all)."""
        values = self._common() | {
            "amount": self.amount if amount is None else amount,
            "payment_id": self.payment_id,
            "refund_id": ids.new_refund_id(),
            "reason": "Returned goods",
        }
        return self._call(self.provider.refund, RefundRequest(**values | changes), RefundResult)

    def cancel(self, amount: Decimal | None = None, **changes: Any) -> CancelResult:
        """Abandon the session, or release what is still held: `amount` (major units; None: all)."""
        values = self._common() | {"amount": self.amount if amount is None else amount}
        return self._call(self.provider.cancel, CancelRequest(**values | changes), CancelResult)

    def retrieve(self, **changes: Any) -> RetrieveResult:
        """Ask what the provider knows."""
        values: dict[str, Any] = {
            "session_id": self.session_id,
            "amount": self.amount,
            "currency_code": self.currency_code,
            "provider_reference": self.provider_reference,
            "provider_data": copy.deepcopy(self.provider_data),
        }
        return self._call(self.provider.retrieve, RetrieveRequest(**values | changes), RetrieveResult)

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
        result = call_provider(lambda sent: self._listen(verb, sent), request, result_class=result_class)
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

    def _remember(self, result: ProviderResult) -> None:
        if isinstance(result, SessionResult) and result.data is not None:
            self.data = dict(result.data)
        if isinstance(result, SessionResult | MovementResult) and result.provider_data is not None:
            self.provider_data = dict(result.provider_data)
        if isinstance(result, SessionResult) and self.provider_reference is None:
            self.provider_reference = result.provider_reference


def _as_stored(request: RequestT) -> RequestT:
    """Return a request with its amount as the services read it from the database: with four decimals."""
    amount: Decimal = getattr(request, "amount")  # noqa: B009 - a request of any verb
    return replace(request, amount=amount.quantize(Decimal(1).scaleb(-SCALE)))  # type: ignore[type-var]
