"""Delivering PayPal's events, to the provider and to the shop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from payments.exceptions import WebhookVerificationError
from payments.providers import WebhookRequest, WebhookResult
from tests.fakes import Json
from tests.paypal.conftest import authorized, provider_for
from tests.paypal.fake import FakePayPal
from tests.paypal.fake.signing import body_of, signed_headers


def parsed(fake: FakePayPal, event: Mapping[str, Any], **options: Any) -> WebhookResult:
    """Return what the provider makes of an event that is properly signed."""
    body = body_of(dict(event))
    request = WebhookRequest(body=body, headers=signed_headers(body, url=fake.url))
    return provider_for(fake, **options).parse_webhook(request)


def authorization(fake: FakePayPal) -> Json:
    """Return the event about an authorization."""
    authorized(fake)
    return fake.events("PAYMENT.AUTHORIZATION.CREATED")[-1]


def is_refused(fake: FakePayPal, body: bytes, headers: Mapping[str, str], **options: Any) -> bool:
    """Return whether the provider refuses a delivery."""
    with pytest.raises(WebhookVerificationError):
        provider_for(fake, **options).parse_webhook(WebhookRequest(body=body, headers=headers))
    return True


def deliver(fake: FakePayPal, event: Json) -> Any:
    """Deliver an event to the shop, properly signed, and return the answer."""
    body = body_of(event)
    return Client().post(
        "/payments/webhooks/paypal/",
        body,
        content_type="application/json",
        headers=signed_headers(body, url=fake.url),
    )
