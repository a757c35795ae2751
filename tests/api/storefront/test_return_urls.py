"""Where a payer may be sent back to."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from payments.api.storefront.access import check_return_url
from payments.exceptions import InputError
from payments.models import PaymentCollection, PaymentSession
from tests.api.client import Visitor

pytestmark = pytest.mark.database_independent


@pytest.fixture(autouse=True)
def _origins(settings: Any) -> None:
    settings.PAYMENTS = {
        **settings.PAYMENTS,
        "RETURN_URL_ORIGINS": ["https://app.example", "https://dev.example:8443"],
    }


@pytest.mark.parametrize(
    "url",
    [
        "http://testserver/thanks",
        "http://testserver:80/thanks?order=A-1#top",
        "HTTP://TestServer/thanks",
        "http://testserver",
        "https://app.example/pay/done?mail=a@b.example",
        "https://app.example:443/",
        "https://dev.example:8443/",
    ],
)
def test_the_shop_itself_and_the_configured_origins_are_allowed(url: str) -> None:
    assert check_return_url(url, RequestFactory().get("/")) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://testserver/",
        "http://testserver:8000/",
        "http://testserver:0/",
        "http://app.example/",
        "https://dev.example/",
        "https://app.example.evil.example/",
        "https://evil.example/https://app.example/",
        "https://app.example@evil.example/",
        "https://user:password@app.example/",
        "https://evil.example\\@app.example/",
        "https://app.example\\.evil.example/",
        "https:\\\\app.example/",
        "https://app.exam\tple/",
        " https://app.example/",
        "https://app.example/ ",
        "https://app.example/\n",
        "//app.example/",
        "/thanks",
        "thanks",
        "",
        "https://",
        "https:///app.example",
        "https://app.example:port/",
        "https://app.example:99999/",
        "https://[::1/",
        "javascript:alert(1)",
        "data:text/html,hello",
        "ftp://app.example/",
        "https://ａpp.example/",
        "https://app.example。evil.example/",
        "https://аpp.example/",  # Cyrillic
        "https://xn--pp-6kc.example/",
        "https://app.example\u200b/",
        "https://app.example\u00ad/",
        "https://app.example./",
        "https://app.example:443@evil.example/",
        "https://app.example:443:8443/",
        "https://app.example:4_43/",
        "https://app.example:٤٤٣/",
        "https://app.example%2eevil.example/",
        "https://app.example%00.evil.example/",
        "https://app.example;.evil.example/",
        "https://app.example,evil.example/",
        "https://sub.app.example/",
        "https://[app.example]/",
        "https:/app.example/",
        "https:app.example/",
        "http:testserver",
        "///app.example/",
        "/\\app.example/",
        "https://app.example/\r\nSet-Cookie: a=1",
        "https://app.example/\u2028",
        "blob:https://app.example/",
        "view-source:https://app.example/",
        "vbscript:x",
        "JaVaScRiPt:alert(1)//https://app.example/",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(InputError) as refusal:
        check_return_url(url, RequestFactory().get("/"))

    assert (refusal.value.code, refusal.value.field) == ("return_url_not_allowed", "return_url")


@pytest.mark.django_db
def test_a_session_with_a_strangers_return_url_is_not_created(
    guest: Visitor, collection: PaymentCollection
) -> None:
    refused = guest.post(
        f"storefront/payment-collections/{collection.pk}/payment-sessions/",
        {"provider_id": "scripted", "return_url": "https://evil.example/"},
    )

    assert refused.error == (
        400,
        "invalid_request",
        "return_url_not_allowed",
        [("return_url", "return_url_not_allowed")],
    )
    assert not PaymentSession.objects.exists()
