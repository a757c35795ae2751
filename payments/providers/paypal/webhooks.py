"""PayPal's events: proven first, and then only taken as hints.

PayPal signs `<transmission id>|<time>|<webhook id>|<CRC32 of the body>`
(https://developer.paypal.com/api/rest/webhooks/rest/, November 2026). There are two ways to prove an event. PayPal can
be asked (`verify-webhook-signature`), with the body embedded byte for byte. Or the signature is checked here, with the
certificate that PayPal publishes, which is what this room does: nobody is asked while PayPal waits for an answer, and
events can be received while PayPal's API is down.

Neither proves more than a checksum of the body, for which whoever has seen one delivery can make up another body. So
no event states a fact: each one says of which session there is news, and the services then ask PayPal. What isn't
ours, on an account that others use too, is named by nothing of ours, and changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from payments.exceptions import WebhookVerificationError
from payments.providers.paypal.certificates import certificate_at, is_signed
from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.orders import link_of, time_of
from payments.providers.paypal.references import session_of
from payments.providers.requests import WebhookRequest
from payments.providers.results import WebhookResult

Event = Mapping[str, Any]

EVENTS: Final = (
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "CUSTOMER.DISPUTE.CREATED",
    "CUSTOMER.DISPUTE.RESOLVED",
    "CUSTOMER.DISPUTE.UPDATED",
    "PAYMENT.AUTHORIZATION.CREATED",
    "PAYMENT.AUTHORIZATION.VOIDED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.REFUND.FAILED",
    "PAYMENT.REFUND.PENDING",
)
"""What a webhook has to be sent."""

AHEAD: Final = 300.0
"""How far a delivery's time may be in the future, in seconds: clocks differ."""

_CAPTURE: Final = re.compile(r"/v2/payments/captures/([0-9A-Za-z-]+)/?$")
_ALGORITHM: Final = "SHA256withRSA"
_LENGTHS: Final = (256, 384, 512)
"""How many bytes a signature has, by the length of its key: 2048, 3072 or 4096 bits."""

_FAMILIES: Final = (
    "CHECKOUT.",
    "CUSTOMER.DISPUTE.",
    "PAYMENT.AUTHORIZATION.",
    "PAYMENT.CAPTURE.",
    "PAYMENT.REFUND.",
)
_UNREADABLE: Final = (LookupError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Say what an event is about: our session, PayPal's order, and the captures that were refunded or are disputed."""

    session_id: str | None = None
    order_id: str | None = None
    capture_ids: tuple[str, ...] = ()


def webhook_result(request: WebhookRequest, options: PayPalOptions) -> WebhookResult:
    """Return a proven event.

    Raises WebhookVerificationError for any other, and ProviderUnavailableError where PayPal's certificate can't be
    fetched right now: the event has to be sent again.
    """
    _check_time(request.headers.get("paypal-transmission-time", ""), options.webhook_tolerance)
    event = _decoded(request.body)
    _check_signature(request, options)
    subject = _subject(event)
    capture_id, *others = subject.capture_ids or (None,)
    return WebhookResult(
        event_id=event["id"],
        event_type=event["event_type"],
        session_id=subject.session_id,
        provider_reference=subject.order_id,
        capture_reference=capture_id,
        other_captures=tuple(filter(None, others)),
        occurred_at=event["create_time"],
        payload={"resource_type": event.get("resource_type"), "about": _about(event)},
    )


def _check_time(header: str, tolerance: float) -> None:
    try:
        age = (datetime.now(UTC) - time_of(header)).total_seconds()
    except (ValueError, OverflowError) as error:
        raise WebhookVerificationError("The transmission time is missing or malformed.") from error
    if age > tolerance or age < -min(AHEAD, tolerance):
        raise WebhookVerificationError("The delivery is too old, or from the future.", code="webhook_too_old")


def _check_signature(request: WebhookRequest, options: PayPalOptions) -> None:
    """Make sure that PayPal has signed this body for one of our webhooks.

    A certificate is fetched for nothing that can't be a signature, and for nobody who expects none.
    """
    headers = request.headers
    if not options.webhook_ids:
        raise WebhookVerificationError("No webhook ids are configured.")
    try:
        signature = base64.b64decode(headers.get("paypal-transmission-sig", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookVerificationError("The signature is malformed.") from error
    if headers.get("paypal-auth-algo") != _ALGORITHM or len(signature) not in _LENGTHS:
        raise WebhookVerificationError("The signature is of an unknown kind.")
    certificate = certificate_at(headers.get("paypal-cert-url", ""), options)
    messages = (_message(request, webhook_id) for webhook_id in options.webhook_ids)
    if not any(is_signed(message, signature, certificate) for message in messages):
        raise WebhookVerificationError("The signature doesn't fit.")


def _message(request: WebhookRequest, webhook_id: str) -> bytes:
    """Return what PayPal signs."""
    parts = (
        request.headers.get("paypal-transmission-id", ""),
        request.headers.get("paypal-transmission-time", ""),
        webhook_id,
        str(zlib.crc32(request.body)),
    )
    return "|".join(parts).encode()


def _decoded(body: bytes) -> Event:
    """Return an event that has all that every event has."""
    try:
        event = json.loads(body.decode("utf-8"))
        if not (isinstance(event["id"], str) and isinstance(event["event_type"], str) and event["id"]):
            raise TypeError
        return {**event, "create_time": time_of(event["create_time"])}
    except (*_UNREADABLE, RecursionError) as error:
        raise WebhookVerificationError("The event is malformed.", code="webhook_malformed") from error


def _subject(event: Event) -> Subject:
    """Return what an event is about; nothing where it isn't about a session of ours."""
    resource = event.get("resource")
    if not event["event_type"].startswith(_FAMILIES) or not isinstance(resource, Mapping):
        return Subject()
    try:
        if "disputed_transactions" in resource:
            return _disputed(resource["disputed_transactions"])
        custom_id, order_id = _custom_id(resource), _order_id(resource)
    except _UNREADABLE:
        return Subject()
    session_id, capture_ids = session_of(custom_id), _capture_ids(resource)
    if custom_id and session_id is None:
        # Another program's; but that may have refunded a capture of ours.
        return Subject(capture_ids=capture_ids)
    return Subject(session_id=session_id, order_id=order_id, capture_ids=capture_ids)


def _disputed(transactions: Sequence[Mapping[str, Any]]) -> Subject:
    """Return what a dispute is about: perhaps several payments at once, of which any may be ours."""
    sessions = (session_of(row.get("custom")) for row in transactions)
    captures = (row.get("seller_transaction_id") for row in transactions)
    return Subject(
        session_id=next(filter(None, sessions), None),
        capture_ids=tuple(str(capture_id) for capture_id in captures if capture_id),
    )


def _custom_id(resource: Mapping[str, Any]) -> Any:
    """Return what we may have written on an order, an authorization, a capture or a refund."""
    if "purchase_units" in resource:
        return resource["purchase_units"][0].get("custom_id")
    return resource.get("custom_id")


def _order_id(resource: Mapping[str, Any]) -> str | None:
    if "purchase_units" in resource:
        # An approval that was reversed has its order's id under another name.
        return str(resource["id"] if "id" in resource else resource["order_id"])
    related = (resource.get("supplementary_data") or {}).get("related_ids") or {}
    order_id = related.get("order_id")
    return None if order_id is None else str(order_id)


def _capture_ids(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the capture that was refunded or reversed.

    A refund made in PayPal's dashboard, or a reversal, may carry nothing but a link to its capture that leads to its
    payment: so do the samples of both that PayPal's webhook simulator sends (November 2026).
    """
    try:
        match = _CAPTURE.search(link_of(resource, "up") or "")
    except _UNREADABLE:
        return ()
    return () if match is None else (match[1],)


def _about(event: Event) -> dict[str, Any]:
    """Return what of an event's resource may be kept and shown."""
    resource = event.get("resource")
    if not isinstance(resource, Mapping):
        return {}
    return {name: resource.get(name) for name in ("id", "dispute_id", "status") if name in resource}
