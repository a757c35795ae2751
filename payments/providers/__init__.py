"""Payment providers: the interface, the requests and results it exchanges, and the ones that come along.

A provider never sees a model; see `payments.providers.base`.
"""

from __future__ import annotations

from payments.providers.base import BaseProvider, NoOptions
from payments.providers.calls import call_provider
from payments.providers.facts import Failure, MovementFact, NextAction, SessionFact, decode_fact, encode_fact
from payments.providers.registry import configured_providers, get_provider
from payments.providers.requests import (
    AuthorizeRequest,
    CancelRequest,
    CaptureRequest,
    InitiateRequest,
    PaymentContext,
    ProviderRequest,
    RefundRequest,
    RetrieveRequest,
    UpdateRequest,
    WebhookRequest,
)
from payments.providers.results import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    InitiateResult,
    MovementResult,
    ProviderResult,
    RefundResult,
    RetrieveResult,
    SessionResult,
    UpdateResult,
    WebhookResult,
)

__all__ = [
    "AuthorizeRequest",
    "AuthorizeResult",
    "BaseProvider",
    "CancelRequest",
    "CancelResult",
    "CaptureRequest",
    "CaptureResult",
    "Failure",
    "InitiateRequest",
    "InitiateResult",
    "MovementFact",
    "MovementResult",
    "NextAction",
    "NoOptions",
    "PaymentContext",
    "ProviderRequest",
    "ProviderResult",
    "RefundRequest",
    "RefundResult",
    "RetrieveRequest",
    "RetrieveResult",
    "SessionFact",
    "SessionResult",
    "UpdateRequest",
    "UpdateResult",
    "WebhookRequest",
    "WebhookResult",
    "call_provider",
    "configured_providers",
    "decode_fact",
    "encode_fact",
    "get_provider",
]
