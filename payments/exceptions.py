"""The errors that `payments` raises, as one short tree.

    PaymentError
    ├── AmountError                  an impossible amount: malformed, out of range, more than is left
    ├── CurrencyError                a currency that ISO 4217 doesn't know
    ├── InputError                   any other invalid value
    ├── NotFoundError                a provider, collection or other row that doesn't exist
    ├── TransitionError              a step that the state graph forbids
    ├── OperationInProgressError     another operation on the same target is under way
    ├── LimitError                   a payer has tried something too often
    ├── IdempotencyError             a key that was used before for another request
    ├── NotSupportedError            something that the provider can't do
    ├── OpenTransactionError         a verb that calls a provider was used inside a transaction
    ├── ProviderError
    │   ├── DeclinedError            the provider refused, for good
    │   ├── ProviderUnavailableError nothing was sent; trying again is safe
    │   └── OutcomeUnknownError      something was sent, and its outcome isn't known yet
    └── WebhookVerificationError     an event whose sender can't be verified

Every error has a stable `code` for programs, a message for people, and `retryable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class PaymentError(Exception):
    """An error with a payment, for a program (`code`) and for a person (`message`).

    `message` may be a lazy translation with `%(name)s` placeholders for `params`. `field` names the wrong argument, or
    is None if no single argument is wrong. `retryable` means that the same call is safe, and may succeed, later.
    """

    default_code: ClassVar[str] = "payment_error"
    default_field: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: Any,
        *,
        code: str | None = None,
        field: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code or self.default_code
        self.field = field or self.default_field
        self.params = dict(params or {})
        self._message = message
        super().__init__(message)

    @property
    def message(self) -> str:
        """Return the message in the active language."""
        text = str(self._message)
        return text % self.params if self.params else text

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, code={self.code!r})"


class AmountError(PaymentError):
    """The refusal of an amount; nothing has been reserved."""

    default_code = "invalid_amount"
    default_field = "amount"


class CurrencyError(PaymentError):
    """The refusal of a currency code."""

    default_code = "unknown_currency"
    default_field = "currency_code"


class InputError(PaymentError):
    """The refusal of a value other than an amount or a currency."""

    default_code = "invalid_input"


class NotFoundError(PaymentError):
    """A row or a provider that doesn't exist."""

    default_code = "not_found"


class TransitionError(PaymentError):
    """The refusal of a step that the state graph forbids."""

    default_code = "invalid_transition"


class NotSupportedError(PaymentError):
    """The refusal of something that the provider declares it can't do."""

    default_code = "not_supported"


class OpenTransactionError(PaymentError):
    """The refusal to call a provider while a database transaction is open."""

    default_code = "open_transaction"


class _OperationError(PaymentError):
    """An error with the id of the operation concerned."""

    def __init__(
        self,
        message: Any,
        *,
        operation_id: str | None = None,
        code: str | None = None,
        field: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field, params=params)
        self.operation_id = operation_id


class OperationInProgressError(_OperationError):
    """Another operation in progress on the target; it may have ended in `retry_after` seconds."""

    default_code = "operation_in_progress"
    retryable = True

    def __init__(self, message: Any, *, retry_after: int = 2, **values: Any) -> None:
        super().__init__(message, **values)
        self.retry_after = retry_after


class LimitError(PaymentError):
    """The refusal of too many attempts; the next one is allowed in `retry_after` seconds."""

    default_code = "too_many_requests"
    retryable = True

    def __init__(self, message: Any, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class IdempotencyError(PaymentError):
    """The refusal of an idempotency key that already stands for another request."""

    default_code = "idempotency_mismatch"


class ProviderError(_OperationError):
    """A provider's failure to do what was requested."""

    default_code = "provider_error"


class DeclinedError(ProviderError):
    """A provider's definite refusal; what was reserved is released."""

    default_code = "declined"


class ProviderUnavailableError(ProviderError):
    """A call that certainly didn't reach the provider; what was reserved is released."""

    default_code = "provider_unavailable"
    retryable = True


class OutcomeUnknownError(ProviderError):
    """A call whose outcome isn't known; what was reserved stays reserved until it is."""

    default_code = "outcome_unknown"


class WebhookVerificationError(PaymentError):
    """The refusal of an event whose signature, age or form doesn't prove its origin."""

    default_code = "webhook_not_verified"
