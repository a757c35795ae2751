"""The certificates that PayPal signs its events with: fetched from PayPal's own hosts only, and kept.

An event names the address of its certificate, so that address is as untrustworthy as the event. It is only followed
over https to one of PayPal's hosts of the right mode and to the place where these certificates are; there it is TLS
that vouches for the certificate. With another `base_url`, as in tests, it has to be there instead.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from payments.exceptions import ProviderUnavailableError, WebhookVerificationError
from payments.providers.paypal.options import LIVE_HOSTS, SANDBOX_HOSTS, PayPalOptions

MAX_KEPT: Final = 16
MAX_SIZE: Final = 64 * 1024

_PATH: Final = re.compile(r"/v1/notifications/certs/CERT-[0-9A-Za-z-]{1,100}")
_ABSENT: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})

_kept: dict[str, x509.Certificate] = {}
_lock = threading.Lock()


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
    _keep(url, certificate)
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
    try:
        with requests.Session() as http:
            answer = http.get(url, timeout=options.timeout, allow_redirects=False)
    except requests.RequestException as error:
        raise ProviderUnavailableError("PayPal's certificate can't be fetched.") from error
    if answer.status_code in _ABSENT:
        raise WebhookVerificationError("There is no such certificate.")
    if answer.status_code != HTTPStatus.OK or len(answer.content) > MAX_SIZE:
        raise ProviderUnavailableError("PayPal's certificate can't be fetched.")
    try:
        return x509.load_pem_x509_certificate(answer.content)
    except ValueError as error:
        raise ProviderUnavailableError("PayPal's certificate can't be read.") from error


def _keep(url: str, certificate: x509.Certificate) -> None:
    with _lock:
        if len(_kept) >= MAX_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[url] = certificate
