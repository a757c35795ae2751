"""What a provider is asked, one frozen dataclass per verb, with all that it may know.

Amounts are exact decimals in major units; `currency_code` is ISO 4217 in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PaymentContext:
    """Who pays, and where a browser goes afterwards. The server sets it, never the payer.

    `account_reference` is the customer's account at the provider, where their payment methods are saved.
    """

    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)
    description: str | None = None
    return_url: str | None = None
    account_reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProviderRequest:
    """What every request has.

    `idempotency_key` goes to the provider as its idempotency key and stays the same when this very operation is sent
    again; `operation_id` goes along as the merchant's reference, so that what the provider tells can be matched.
    `provider_data` and `data` are the session's two halves as they were stored last.
    """

    operation_id: str
    idempotency_key: str
    collection_id: str
    session_id: str
    amount: Decimal
    currency_code: str
    provider_reference: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    provider_data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class InputRequest(ProviderRequest):
    """A request with what the payer's browser sent, in `input`: only keys that are declared in `input_keys`.

    `refuses_saved` says that the sender isn't known to be the customer from whose account the session is paid. To them,
    what a customer has saved isn't there, whatever its id, and nothing of theirs is saved.
    """

    input: Mapping[str, Any] = field(default_factory=dict, repr=False)
    refuses_saved: bool = False


@dataclass(frozen=True, kw_only=True)
class InitiateRequest(InputRequest):
    """A request for a session at the provider."""

    context: PaymentContext = PaymentContext()


@dataclass(frozen=True, kw_only=True)
class UpdateRequest(InputRequest):
    """A request that an unauthorized session be for `amount` from now on."""


@dataclass(frozen=True, kw_only=True)
class AuthorizeRequest(InputRequest):
    """A request to hold the amount; `input` may carry a code or a token that the payer's browser sent.

    `saved_method` is the id of a saved payment method to charge while the customer is away, and can't be asked.
    """

    saved_method: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class CaptureRequest(ProviderRequest):
    """A request to take `amount` of what is held."""

    payment_id: str
    capture_id: str
    is_final: bool = False


@dataclass(frozen=True, kw_only=True)
class RefundRequest(ProviderRequest):
    """A request to give back `amount` of what was taken."""

    payment_id: str
    refund_id: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class CancelRequest(ProviderRequest):
    """A request to abandon an unauthorized session, or to release `amount`, all that is still held."""

    payment_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RetrieveRequest:
    """A request for what the provider knows of a session; it moves nothing, so it needs no key."""

    session_id: str
    amount: Decimal
    currency_code: str
    provider_reference: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """What arrived at the webhook address: the bytes as they were sent and the headers in lower case."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
