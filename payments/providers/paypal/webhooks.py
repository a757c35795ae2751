"""PayPal's events: proven with the certificates that PayPal signs them with, and then only taken as hints.

An event that isn't about a session of ours, on an account that others use too, changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from urllib3.exceptions import HTTPError

from payments.exceptions import ProviderUnavailableError, WebhookVerificationError
from payments.providers.base import EndpointReport, leads_to
from payments.providers.paypal.client import NO_DISPUTES, PayPalApi
from payments.providers.paypal.errors import Json
from payments.providers.paypal.options import LIVE_HOSTS, SANDBOX_HOSTS, PayPalOptions
from payments.providers.paypal.orders import link_of, time_of
from payments.providers.paypal.references import session_of
from payments.providers.requests import WebhookRequest
from payments.providers.results import WebhookResult

Event = Mapping[str, Any]
T = TypeVar("T")

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

ALL_EVENTS: Final = "*"

MAX_KEPT: Final = 16
MAX_SIZE: Final = 64 * 1024
MAX_FETCHES: Final = 6
PERIOD: Final = 60.0
"""A process fetches `MAX_FETCHES` certificates in so many seconds; PayPal signs with one for long."""

PATIENCE: Final = 5.0
"""How long a certificate may take to arrive, in seconds."""

ABSENT_FOR: Final = 150.0
"""How long it is remembered that there is no certificate at an address, in seconds."""

_CERTIFICATE_PATH: Final = re.compile(r"/v1/notifications/certs/CERT-[0-9A-Za-z-]{1,100}")
_ABSENT: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
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

_kept: dict[str, x509.Certificate] = {}
_absent: dict[str, float] = {}
_begun: deque[float] = deque(maxlen=MAX_FETCHES)
_lock = threading.Lock()
_fetching = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What an event is about: our session, PayPal's order, and the captures that were refunded or are disputed."""

    session_id: str | None = None
    order_id: str | None = None
    capture_ids: tuple[str, ...] = ()


def webhook_result(request: WebhookRequest, options: PayPalOptions) -> WebhookResult:
    """Return a proven event.

    None states a fact: the signature proves no more than a checksum of the body, for which anybody who has seen one
    delivery can make up another body. So each event says of which session there is news, and the services ask PayPal.
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


def endpoint_reports(options: PayPalOptions, *, path: str) -> list[EndpointReport]:
    """Return a report of each webhook whose address has this path.

    Raises RefusedError, ProviderUnavailableError and whatever a call to PayPal raises.
    """
    api = PayPalApi(options)
    webhooks = [row for row in api.webhooks() if leads_to(row["url"], path)]
    problems = [] if not webhooks or api.may_read_disputes() else [NO_DISPUTES]
    return [_report(row, options, problems) for row in webhooks]


def _check_time(header: str, tolerance: float) -> None:
    try:
        age = (datetime.now(UTC) - time_of(header)).total_seconds()
    except (ValueError, OverflowError) as error:
        raise WebhookVerificationError("The transmission time is missing or malformed.") from error
    if age > tolerance or age < -min(AHEAD, tolerance):
        raise WebhookVerificationError("The delivery is too old, or from the future.", code="webhook_too_old")


def _check_signature(request: WebhookRequest, options: PayPalOptions) -> None:
    """Make sure that PayPal has signed this body for one of our webhooks.

    PayPal could be asked (`verify-webhook-signature`). The signature is checked here instead, so that PayPal isn't
    asked while it waits for an answer, and events can be received while its API is down. No certificate is fetched for
    what can't be a signature, nor where no webhook is expected.
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
    """Return what PayPal signs (https://developer.paypal.com/api/rest/webhooks/rest/, November 2026)."""
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


def is_signed(message: bytes, signature: bytes, certificate: x509.Certificate) -> bool:
    """Return whether a signature (SHA256withRSA) over a message is the certificate's."""
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def certificate_at(url: str, options: PayPalOptions) -> x509.Certificate:
    """Return the certificate at an address that an event names.

    That address is as untrustworthy as the event, so it is only followed over https to one of PayPal's hosts of the
    right mode, to where these certificates are; there it is TLS that vouches for the certificate. With another
    `base_url`, as in tests, it has to be there instead.

    Raises WebhookVerificationError where there can't be one of PayPal's that is in force, and ProviderUnavailableError
    where it can't be fetched right now.
    """
    _check_address(url, options)
    certificate = _kept.get(url)
    if certificate is None or not _is_in_force(certificate):
        certificate = _fetched(url, options)
    if not _is_in_force(certificate):
        raise WebhookVerificationError("The certificate isn't in force.")
    _keep(_kept, url, certificate)
    return certificate


def _is_in_force(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def _check_address(url: str, options: PayPalOptions) -> None:
    allowed = {f"https://{host}" for host in (LIVE_HOSTS if options.livemode else SANDBOX_HOSTS)}
    if options.is_elsewhere:
        allowed = {options.url}
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise WebhookVerificationError("The certificate's address is malformed.") from error
    origin, path = f"{parts.scheme}://{parts.netloc}", _CERTIFICATE_PATH.fullmatch(parts.path)
    if origin not in allowed or path is None or url != origin + parts.path:
        raise WebhookVerificationError("The certificate isn't at PayPal's.")


def _fetched(url: str, options: PayPalOptions) -> x509.Certificate:
    """Fetch a certificate: one at a time, and few a minute, since anybody can make up a delivery that names one.

    A delivery that has to wait is neither proven nor disproven, so that PayPal has to send it again.
    """
    if _absent.get(url, 0.0) > monotonic():
        raise WebhookVerificationError("There is no such certificate.")
    if not _fetching.acquire(blocking=False):
        raise ProviderUnavailableError("Another of PayPal's certificates is being fetched.")
    try:
        _check_budget()
        status, content = _read(url, options)
    finally:
        _fetching.release()
    if status in _ABSENT:
        _keep(_absent, url, monotonic() + ABSENT_FOR)
        raise WebhookVerificationError("There is no such certificate.")
    if status != HTTPStatus.OK:
        raise ProviderUnavailableError("PayPal's certificate can't be fetched.")
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise ProviderUnavailableError("PayPal's certificate can't be read.") from error


def _check_budget() -> None:
    now = monotonic()
    if len(_begun) == MAX_FETCHES and now - _begun[0] < PERIOD:
        raise ProviderUnavailableError("Too many of PayPal's certificates were asked for.")
    _begun.append(now)


def _read(url: str, options: PayPalOptions) -> tuple[int, bytes]:
    """Return the status and the body of an answer, whose rest is left unread where it is too long or takes too long.

    The body is read byte by byte: a timeout is for each wait, and a server may answer a byte before each runs out.
    """
    patience = min(options.timeout, PATIENCE)
    deadline, content = monotonic() + patience, bytearray()
    try:
        with (
            requests.Session() as http,
            http.get(url, timeout=patience, allow_redirects=False, stream=True) as answer,
        ):
            for byte in answer.raw.stream(1, decode_content=False):
                content += byte
                if len(content) > MAX_SIZE or monotonic() > deadline:
                    raise ProviderUnavailableError("PayPal's certificate is too long, or takes too long.")
            return answer.status_code, bytes(content)
    except (requests.RequestException, HTTPError) as error:
        raise ProviderUnavailableError("PayPal's certificate can't be fetched.") from error


def _keep(kept: dict[str, T], url: str, value: T) -> None:
    with _lock:
        if len(kept) >= MAX_KEPT:
            kept.pop(next(iter(kept)))
        kept[url] = value


def _report(webhook: Json, options: PayPalOptions, problems: Sequence[str]) -> EndpointReport:
    sent = {row["name"] for row in webhook["event_types"]}
    if webhook["id"] not in options.webhook_ids:
        problems = [f'its id is not in the options: "webhook_ids": ["{webhook["id"]}"]', *problems]
    return EndpointReport(
        url=webhook["url"],
        missing=[] if ALL_EVENTS in sent else [name for name in EVENTS if name not in sent],
        problems=problems,
    )
