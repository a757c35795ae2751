"""How the fake signs its events, as https://developer.paypal.com/api/rest/webhooks/rest/ has it."""

from __future__ import annotations

import base64
import json
import secrets
import time
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.fakes import Json

WEBHOOK_ID: Final = "5WH12345AB678901C"

KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(*, days: int = 30, key: rsa.RSAPrivateKey = KEY) -> bytes:
    """Return a certificate that is in force for some days, in PEM; for less than none it has expired."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.com")])
    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=60))
        .not_valid_after(today + timedelta(days=days))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def signed_headers(
    body: bytes,
    *,
    url: str,
    timestamp: float | None = None,
    webhook_id: str = WEBHOOK_ID,
    certificate_name: str = "CERT-good",
    key: rsa.RSAPrivateKey = KEY,
) -> dict[str, str]:
    """Return the headers that prove a body; `url` is where the certificate is."""
    moment = datetime.fromtimestamp(time.time() if timestamp is None else timestamp, tz=UTC)
    transmission, stamp = secrets.token_hex(16), moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"{transmission}|{stamp}|{webhook_id}|{zlib.crc32(body)}".encode()
    return {
        "paypal-transmission-id": transmission,
        "paypal-transmission-time": stamp,
        "paypal-transmission-sig": base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode(),
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": f"{url}/v1/notifications/certs/{certificate_name}",
    }


def body_of(event: Json) -> bytes:
    """Return an event as it is delivered."""
    return json.dumps(event).encode()
