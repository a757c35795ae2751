"""Texts that are code somewhere else: kept as they were sent, and shown as nothing but text."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model

from payments import services
from payments.models import PaymentCollection, RefundReason
from payments.providers import AuthorizeResult, Failure, InitiateResult
from payments.states import Outcome, SessionStatus
from payments.testing import Script
from payments.testing.factories import PaymentOperationFactory
from tests.api.client import ROOT, Visitor
from tests.api.evidence import admin_texts
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

SCRIPT: Final = "<script>steal('x')</script>"
TEXT: Final = (
    "'; DROP TABLE payments_payment; --"  # SQL
    "{{ 7*7 }}{% debug %}${7*7}<%= 7*7 %>"  # templates
    f"{SCRIPT}\"><img src=x onerror=steal('x')>"  # markup
    "\u202egnp.exe\u2066"  # from right to left
    "%s %(name)s {0} {name} %n"  # formats
    "\r\nSet-Cookie: steal=1\r\n\r\nb"  # headers
)
RAW: Final = ("<script>steal", "<img src=x")


@pytest.fixture
def payable(db: None) -> Order:
    """Return an order whose number and customer are hostile, which a shop's own forms may let through."""
    user: Any = get_user_model().objects.create_user(
        SCRIPT,
        email="\"<script>steal('x')</script>\"@evil.example",
        first_name=TEXT[:150],
    )
    return Order.objects.create(number=SCRIPT, total="100.00", currency_code="eur", customer=user)


def fill(boss: Visitor, payable: Order, script: Script, text: str) -> dict[str, bool]:
    """Put a text wherever one may be put; return where it came back as it was."""
    reference = f"{text}'"
    script.next("initiate", InitiateResult(outcome=Outcome.SUCCEEDED, provider_reference=reference))
    metadata = {text: [text, {text: text}]}
    reason = boss.post(
        "staff/refund-reasons/", {"label": text, "description": text, "metadata": metadata}
    ).body
    body = {
        "amount": "100.00",
        "currency_code": "eur",
        "payable": {"type": "shop.order", "id": str(payable.pk)},
        "customer_id": str(payable.customer_id),
        "metadata": metadata,
    }
    made = boss.post("staff/payment-collections/", body).body
    collection = PaymentCollection.objects.get(pk=made["id"])
    session = services.create_payment_session(collection, provider_id="scripted", amount="60.00")
    payment = services.authorize_payment_session(session, data={"token": text}).payment
    assert payment is not None
    services.capture_payment(payment)
    refunded = boss.post(
        f"staff/payments/{payment.pk}/refund/", {"refund_reason_id": reason["id"], "note": text}
    ).body
    declined = services.create_payment_session(collection, provider_id="scripted", amount="10.00")
    script.next(
        "authorize",
        AuthorizeResult(
            outcome=Outcome.DECLINED, failure=Failure(code="declined", message=text, detail=text)
        ),
    )
    services.authorize_payment_session(declined)
    shown = boss.get(f"staff/payment-sessions/{declined.pk}/").body
    operation = PaymentOperationFactory.create(session=declined, attention=True)
    resolved = boss.post(
        f"staff/operations/{operation.pk}/resolve/", {"has_happened": False, "reason": text, "evidence": text}
    ).body
    return {
        "label": reason["label"] == RefundReason.objects.get(pk=reason["id"]).label == text,
        "description": reason["description"] == text,
        "metadata of a reason": reason["metadata"] == metadata,
        "metadata": made["metadata"] == PaymentCollection.objects.get(pk=made["id"]).metadata == metadata,
        "note": refunded["refunds"][0]["note"] == text,
        "reason": refunded["refunds"][0]["refund_reason"]["label"] == text,
        "resolution": resolved["resolution"]["reason"] == text,
        "evidence": resolved["resolution"]["evidence"] == text,
        "decline": shown["error"]["message"] == text,
        "reference": session.provider_reference == reference,
    }


@pytest.mark.shows(
    "SQL, templates, markup, formulas, control characters in every text that can be stored, and in the shop's own rows",
    "Kept to the letter, and shown as text: in the admin, on the API's pages, in the overview's CSV",
)
def test_texts_that_are_code_elsewhere_are_kept_and_shown_as_text(
    boss: Visitor, payable: Order, script: Script
) -> None:
    kept = fill(boss, payable, script, TEXT)
    assert kept == dict.fromkeys(kept, True)

    pages = [*admin_texts(boss.client), *api_pages(boss)]
    assert len(pages) > 40
    for page in pages:
        assert not [raw for raw in RAW if raw in page]
    assert sum("&lt;script&gt;steal" in page for page in pages) > 10
    assert sum("{% debug %}" in page for page in pages) > 5


def api_pages(boss: Visitor) -> list[str]:
    """Return the pages that a browser gets of every list, and of every row that is in it."""
    lists = ("payment-collections", "payment-sessions", "payments", "refund-reasons", "operations")
    addresses = [f"{name}/" for name in lists]
    addresses += [
        f"{name}/{row['id']}/" for name in lists for row in boss.get(f"staff/{name}/?limit=2").body["results"]
    ]
    pages = []
    for address in addresses:
        response = boss.client.get(f"{ROOT}/staff/{address}", headers={"Accept": "text/html"})
        assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")
        pages.append(response.content.decode())
    return pages


EVIL: Final = f"&#{'1' * 5000};"


@pytest.mark.shows(
    "A text that is made to break what looks for card data, as a value, key, query, header or path",
    "Judged like any other, never a 500",
)
def test_no_text_breaks_what_looks_for_card_data(payable: Order) -> None:
    visitor = Visitor()
    opening = "storefront/payment-collections/"
    answers = [
        visitor.post(opening, {"reference": EVIL}),
        visitor.post(opening, {EVIL: 1}),
        visitor.get("storefront/payment-providers/", x=EVIL),
        visitor.get(f"{opening}{quote(EVIL, safe='')}/"),
        Visitor(secret=EVIL).get("storefront/payment-providers/"),
    ]
    assert [answer.status for answer in answers] == [400, 400, 200, 404, 200]


@pytest.mark.shows("A provider refuses with such a text", "Declined, as it says")
def test_a_refusal_stays_one_whatever_its_words(
    payable: Order, script: Script, collection: PaymentCollection
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    words = Failure(code=EVIL, message=EVIL, detail=EVIL)
    script.next(
        "authorize", AuthorizeResult(outcome=Outcome.DECLINED, failure=words, provider_log={EVIL: EVIL})
    )
    assert services.authorize_payment_session(session).status == SessionStatus.ERROR
