"""The errors that `payments` raises, as one short tree.

    PaymentError
    ├── AmountError                  an amount that can't be: malformed, out of range, more than is left
    ├── CurrencyError                a currency that ISO 4217 doesn't know
    ├── InputError                   any other value that a caller may not send
    ├── NotFoundError                a provider, collection or other row that isn't there
    ├── TransitionError              the state graph forbids what was asked
    ├── OperationInProgressError     the same target is being worked on right now
    ├── LimitError                   a payer has tried something too often
    ├── IdempotencyError             a key that was used before, for something else
    ├── NotSupportedError            the provider can't do what was asked
    ├── OpenTransactionError         a verb that calls a provider was used inside a transaction
    ├── ProviderError
    │   ├── DeclinedError            the provider refused, for good
    │   ├── ProviderUnavailableError nothing was sent; trying again is safe
    │   └── OutcomeUnknownError      something was sent, and nobody knows yet what became of it
    └── WebhookVerificationError     an event whose sender can't be proven

Every error has a stable `code` for programs, a message for people, and tells whether the call may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class PaymentError(Exception):
    """What went wrong with a payment, for a program (`code`) and for a person (`message`).

    `message` may be a lazy translation with `%(name)s` places that `params` fill; `field` names the argument
    that is to blame, or is None when no single one is. `retryable` tells whether the very same call is safe, and may
    succeed, when it is made again later.
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
    """A row or a provider that was named and isn't there."""

    default_code = "not_found"


class TransitionError(PaymentError):
    """The refusal of what the state graph forbids."""

    default_code = "invalid_transition"


class NotSupportedError(PaymentError):
    """The refusal of what the provider declares it can't do."""

    default_code = "not_supported"


class OpenTransactionError(PaymentError):
    """The refusal to call a provider while a database transaction is open."""

    default_code = "open_transaction"


class _OperationError(PaymentError):
    """An error with the id of the operation that it is about."""

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
    """Another operation that holds the target; `retry_after` says in how many seconds it may have ended."""

    default_code = "operation_in_progress"
    retryable = True

    def __init__(self, message: Any, *, retry_after: int = 2, **values: Any) -> None:
        super().__init__(message, **values)
        self.retry_after = retry_after


class LimitError(PaymentError):
    """The refusal of what was tried too often; `retry_after` says in how many seconds it may be tried again."""

    default_code = "too_many_requests"
    retryable = True

    def __init__(self, message: Any, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class IdempotencyError(PaymentError):
    """The refusal of an idempotency key that already stands for another request."""

    default_code = "idempotency_mismatch"


class ProviderError(_OperationError):
    """What a provider didn't do, and why."""

    default_code = "provider_error"


class DeclinedError(ProviderError):
    """A provider's definite refusal; whatever was reserved is free again."""

    default_code = "declined"


class ProviderUnavailableError(ProviderError):
    """A call of which nothing reached the provider; whatever was reserved is free again."""

    default_code = "provider_unavailable"
    retryable = True


class OutcomeUnknownError(ProviderError):
    """A call on which the provider may or may not have acted; the reservation stays until that is known."""

    default_code = "outcome_unknown"


class WebhookVerificationError(PaymentError):
    """The refusal of an event whose signature, age or form doesn't prove where it comes from."""

    default_code = "webhook_not_verified"
