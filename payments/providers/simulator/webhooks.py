"""Proving that an event comes from the simulator.

Its header is `Simulator-Signature: t=<unix>,v1=<hex>`, with the HMAC-SHA256 of `<t>.<body>`; several `v1` may stand
there while a secret is being replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from payments.exceptions import AmountError, CurrencyError, WebhookVerificationError
from payments.providers.requests import WebhookRequest
from payments.providers.simulator.client import SimulatorOptions

_MALFORMED: Final = (
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    OSError,  # a time that the platform can't represent
    RecursionError,
    AmountError,
    CurrencyError,
)


def verified_event(request: WebhookRequest, options: SimulatorOptions) -> Mapping[str, Any]:
    """Return a proven event; raise WebhookVerificationError for any other."""
    timestamp, signatures = _read_header(request.headers.get("simulator-signature", ""))
    if abs(time.time() - timestamp) > options.webhook_tolerance:
        raise WebhookVerificationError(
            "The signature is too old, or from the future.", code="webhook_too_old"
        )
    message = f"{timestamp}.".encode() + request.body
    expected = [_sign(secret, message) for secret in options.webhook_secrets]
    # Every pair is compared, so that the time taken doesn't tell which secret or signature was near.
    matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(matches):
        raise WebhookVerificationError("The signature doesn't fit.")
    return _decode(request.body)


@contextmanager
def refusing_malformed_events() -> Iterator[None]:
    """Raise WebhookVerificationError where something in an event isn't there, or isn't what it must be."""
    try:
        yield
    except _MALFORMED as error:
        raise WebhookVerificationError("The event is malformed.", code="webhook_malformed") from error


def _read_header(header: str) -> tuple[int, list[bytes]]:
    pairs = [part.partition("=") for part in header.split(",")]
    times = [value for name, _sep, value in pairs if name.strip() == "t"]
    signatures = [
        value.strip().encode(errors="replace") for name, _sep, value in pairs if name.strip() == "v1"
    ]
    if len(times) != 1 or not signatures or not (times[0].isascii() and times[0].isdigit()):
        raise WebhookVerificationError("The Simulator-Signature header is missing or malformed.")
    return int(times[0][:18]), signatures


def _sign(secret: str, message: bytes) -> bytes:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().encode()


def _decode(body: bytes) -> Mapping[str, Any]:
    with refusing_malformed_events():
        event = json.loads(body)
        return {
            "id": str(event["id"]),
            "type": str(event["type"]),
            "created": float(event["created"]),
            "intent": dict(event["data"]["object"]),
        }
