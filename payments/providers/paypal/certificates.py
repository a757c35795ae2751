"""The certificates that PayPal signs its events with: fetched from PayPal's own hosts only, and kept.

An event names the address of its certificate, so that address is as untrustworthy as the event. It is only followed
over https to one of PayPal's hosts of the right mode and to the place where these certificates are; there it is TLS
that vouches for the certificate. With another `base_url`, as in tests, it has to be there instead.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Final, TypeVar
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from urllib3.exceptions import HTTPError

from payments.exceptions import ProviderUnavailableError, WebhookVerificationError
from payments.providers.paypal.options import LIVE_HOSTS, SANDBOX_HOSTS, PayPalOptions

T = TypeVar("T")

MAX_KEPT: Final = 16
MAX_SIZE: Final = 64 * 1024
MAX_FETCHES: Final = 6
PERIOD: Final = 60.0
"""How many certificates a process fetches within so many seconds; PayPal signs with one for long."""

PATIENCE: Final = 5.0
"""How long a certificate may take to arrive, in seconds."""

ABSENT_FOR: Final = 150.0
"""How long it is remembered that there is no certificate at an address, in seconds."""

_PATH: Final = re.compile(r"/v1/notifications/certs/CERT-[0-9A-Za-z-]{1,100}")
_ABSENT: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})

_kept: dict[str, x509.Certificate] = {}
_absent: dict[str, float] = {}
_begun: deque[float] = deque(maxlen=MAX_FETCHES)
_lock = threading.Lock()
_fetching = threading.Lock()


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
        raise WebhookVerificationError("The certificate's address is none.") from error
    origin, path = f"{parts.scheme}://{parts.netloc}", _PATH.fullmatch(parts.path)
    if origin not in allowed or path is None or url != origin + parts.path:
        raise WebhookVerificationError("The certificate isn't at PayPal's.")


def _fetched(url: str, options: PayPalOptions) -> x509.Certificate:
    """Fetch a certificate: one at a time, and few a minute, since anybody can make up a delivery that asks for one.

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
