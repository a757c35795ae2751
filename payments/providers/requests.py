"""What a provider is asked, one frozen dataclass per verb.

A request holds all that a provider may know: no row, no form and no `HttpRequest` gets through here. Amounts are exact
decimals in major units; `currency_code` is ISO 4217 in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PaymentContext:
    """Tell who pays, and where a browser goes afterwards. Set by the server, never by the payer.

    `account_reference` is the customer's account at the provider, where their payment methods are saved.
    """

    customer_id: str | None = None
    email: str | None = field(default=None, repr=False)
    description: str | None = None
    return_url: str | None = None
    account_reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProviderRequest:
    """Hold what every request has.

    `idempotency_key` goes to the provider as its idempotency key and stays the same when this very operation is sent
    again; `operation_id` goes along as the merchant's reference, so that the provider's report can be matched.
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
    """Carry what the payer's browser sent, in `input`: only keys that the provider declared in `input_keys`.

    `refuses_saved` says that whoever sent it isn't known to be the customer from whose account the session is paid: to
    them, what a customer has saved is nothing that is there, whatever its id, and nothing of theirs is saved.
    """

    input: Mapping[str, Any] = field(default_factory=dict, repr=False)
    refuses_saved: bool = False


@dataclass(frozen=True, kw_only=True)
class InitiateRequest(InputRequest):
    """Ask for a session at the provider."""

    context: PaymentContext = PaymentContext()


@dataclass(frozen=True, kw_only=True)
class UpdateRequest(InputRequest):
    """Ask that an unauthorized session be for `amount` from now on."""


@dataclass(frozen=True, kw_only=True)
class AuthorizeRequest(InputRequest):
    """Ask that the amount be held; `input` may carry a code or a token that the payer's browser sent.

    `saved_method` is the id of a saved payment method to charge while the customer is away: nobody can be asked.
    """

    saved_method: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class CaptureRequest(ProviderRequest):
    """Ask that `amount` of what is held be taken."""

    payment_id: str
    capture_id: str
    is_final: bool = False


@dataclass(frozen=True, kw_only=True)
class RefundRequest(ProviderRequest):
    """Ask that `amount` of what was taken be given back."""

    payment_id: str
    refund_id: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class CancelRequest(ProviderRequest):
    """Ask that an unauthorized session be abandoned, or that `amount`, all that is still held, be released."""

    payment_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RetrieveRequest:
    """Ask what the provider knows of a session; it moves nothing, so it needs no key."""

    session_id: str
    amount: Decimal
    currency_code: str
    provider_reference: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """Hold what arrived at the webhook address: the bytes as they were sent and the headers in lower case."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
