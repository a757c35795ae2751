"""One order, split over two providers, from checkout to refund, over HTTP."""

from __future__ import annotations

import pytest

from payments.models import RefundReason
from payments.providers import AuthorizeResult, NextAction
from payments.states import Outcome
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder

pytestmark = pytest.mark.django_db(transaction=True)

CHALLENGE = AuthorizeResult(
    outcome=Outcome.SUCCEEDED,
    next_action=NextAction(type="challenge", url="https://bank.example/3ds"),
    data={"client_token": "tok", "private_key": "never shown"},
    provider_data={"vault": "never shown"},
)


def test_an_order_is_split_challenged_authorized_captured_in_parts_and_refunded(
    boss: Visitor, make_order: MakeOrder, script: Script
) -> None:
    make_order("A-1", total="100.00", currency_code="eur")

    opened = Visitor().post("storefront/payment-collections/", {"reference": "A-1"})
    assert (opened.status, opened.body["status"], opened.body["amount"]) == (201, "not_paid", "100.00")
    collection_path = f"storefront/payment-collections/{opened.body['id']}/"
    guest = Visitor(secret=opened.body["client_secret"])

    card = guest.post(f"{collection_path}payment-sessions/", {"provider_id": "scripted", "amount": "60.00"})
    assert (card.status, card.body["status"], card.body["amount"]) == (201, "pending", "60.00")
    cash = guest.post(f"{collection_path}payment-sessions/", {"provider_id": "system"})
    assert (cash.status, cash.body["amount"], cash.body["data"]) == (201, "40.00", {})
    assert guest.get(collection_path).body["status"] == "awaiting"

    card_path = f"storefront/payment-sessions/{card.body['id']}/"
    script.next("authorize", CHALLENGE)
    challenged = guest.post(f"{card_path}authorize/", {"data": {"token": "4242"}})
    assert (challenged.status, challenged.body["status"]) == (200, "requires_more")
    assert challenged.body["next_action"] == {"type": "challenge", "url": "https://bank.example/3ds"}
    assert challenged.body["data"] == {"client_token": "tok"}
    assert b"never shown" not in challenged.raw
    authorized = guest.post(f"{card_path}authorize/", {"data": {"code": "123456"}})
    assert (authorized.status, authorized.body["status"]) == (200, "authorized")
    assert guest.get(collection_path).body["status"] == "partially_authorized"
    assert guest.post(f"storefront/payment-sessions/{cash.body['id']}/authorize/").status == 200
    assert guest.get(collection_path).body["status"] == "authorized"

    payment_id = boss.get(f"staff/payment-sessions/{card.body['id']}/").body["payment_id"]
    payment_path = f"staff/payments/{payment_id}/"
    first = boss.post(f"{payment_path}capture/", {"amount": "25.00"})
    assert (first.status, first.body["status"]) == (200, "partially_captured")
    second = boss.post(f"{payment_path}capture/", {"amount": 35})
    assert (second.status, second.body["status"]) == (200, "captured")
    assert [capture["amount"] for capture in second.body["captures"]] == ["25.00", "35.00"]
    third = boss.post(f"{payment_path}capture/", {"amount": "0.01"})
    assert third.error == (400, "invalid_request", "nothing_left", [("amount", "nothing_left")])

    reason = boss.post("staff/refund-reasons/", {"label": "Damaged"})
    refunded = boss.post(
        f"{payment_path}refund/",
        {"amount": "15.00", "refund_reason_id": reason.body["id"], "note": "a dent"},
    )
    assert (refunded.status, refunded.body["status"]) == (200, "partially_refunded")
    (refund,) = refunded.body["refunds"]
    assert (refund["amount"], refund["note"]) == ("15.00", "a dent")
    assert refund["refund_reason"] == {"id": RefundReason.objects.get().pk, "label": "Damaged"}

    at_last = guest.get(collection_path).body
    assert at_last["status"] == "partially_captured"
    assert (at_last["authorized_amount"], at_last["captured_amount"], at_last["refunded_amount"]) == (
        "100.00",
        "60.00",
        "15.00",
    )
    assert [session["status"] for session in at_last["payment_sessions"]] == ["authorized", "authorized"]


def test_amounts_have_the_precision_of_their_currency(make_order: MakeOrder) -> None:
    make_order("J-1", total="1000", currency_code="jpy")
    make_order("K-1", total="1.234", currency_code="kwd")

    yen = Visitor().post("storefront/payment-collections/", {"reference": "J-1"})
    dinars = Visitor().post("storefront/payment-collections/", {"reference": "K-1"})

    assert (yen.body["amount"], yen.body["currency_code"]) == ("1000", "jpy")
    assert (dinars.body["amount"], dinars.body["currency_code"]) == ("1.234", "kwd")
