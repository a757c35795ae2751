"""Bad input gets an error that names the field and the rule, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from payments import services
from payments.models import Payment, PaymentCollection, PaymentProvider, PaymentSession
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder

pytestmark = pytest.mark.django_db

RowCounts = Callable[[], list[int]]

BAD_AMOUNTS = [
    ('"0"', "not_positive"),
    ("0", "not_positive"),
    ('"-5"', "not_positive"),
    ("-5", "not_positive"),
    ('"NaN"', "not_finite"),
    ('"Infinity"', "not_finite"),
    ('"1e400"', "too_large"),
    ("1e400", "float_not_allowed"),
    ("1" + "0" * 400, "too_large"),
    ('"100000000000000"', "too_large"),
    ('"0.001"', "too_many_decimals"),
    ('"10,00"', "invalid"),
    ('" 10.00"', "invalid"),
    ('"1 000"', "invalid"),
    ('"١٠"', "invalid"),
    ('""', "invalid"),
    ("10.00", "float_not_allowed"),
    ("true", "invalid"),
    ("null", "null"),
    ("[10]", "invalid"),
    ('{"value": 10}', "invalid"),
]
"""An amount as it stands in the JSON document, and the rule that it breaks."""


@pytest.mark.database_independent
def test_no_amount_that_can_not_be_is_taken_anywhere(
    guest: Visitor, boss: Visitor, captured: Payment, row_counts: RowCounts
) -> None:
    collection = captured.collection
    before = row_counts()
    for amount, code in BAD_AMOUNTS:
        create_session = f'{{"provider_id": "scripted", "amount": {amount}}}'
        create_collection = f'{{"currency_code": "eur", "amount": {amount}}}'
        alone = f'{{"amount": {amount}}}'

        answers = [
            guest.post(f"storefront/payment-collections/{collection.pk}/payment-sessions/", create_session),
            guest.patch(f"storefront/payment-sessions/{captured.session_id}/", alone),
            boss.post("staff/payment-collections/", create_collection),
            boss.patch(f"staff/payment-collections/{collection.pk}/", alone),
            boss.post(f"staff/payments/{captured.pk}/capture/", alone),
            boss.post(f"staff/payments/{captured.pk}/refund/", alone),
        ]

        for answer in answers:
            assert answer.error == (400, "invalid_request", code, [("amount", code)]), amount
            assert "Decimal" not in answer.body["message"]  # which JSON doesn't have
    assert row_counts() == before


@pytest.mark.parametrize(
    ("total", "currency_code", "amount"), [("1000", "jpy", "10.5"), ("5", "kwd", "1.2345")]
)
@pytest.mark.database_independent
def test_an_amount_with_more_decimals_than_its_currency_is_refused(
    make_order: MakeOrder, row_counts: RowCounts, total: str, currency_code: str, amount: str
) -> None:
    make_order(total=total, currency_code=currency_code)
    opened = Visitor().post("storefront/payment-collections/", {"reference": "A-1"}).body
    before = row_counts()

    refused = Visitor(secret=opened["client_secret"]).post(
        f"storefront/payment-collections/{opened['id']}/payment-sessions/",
        {"provider_id": "system", "amount": amount},
    )

    assert refused.error == (400, "invalid_request", "too_many_decimals", [("amount", "too_many_decimals")])
    assert currency_code.upper() in refused.body["message"]
    assert row_counts() == before


@pytest.mark.parametrize("currency_code", ["xxy", "euro", "", "€", 978, "e\u0000r"])
@pytest.mark.database_independent
def test_an_unknown_currency_is_refused(boss: Visitor, row_counts: RowCounts, currency_code: Any) -> None:
    refused = boss.post("staff/payment-collections/", {"amount": "1", "currency_code": currency_code})

    status, kind, _code, ((field, _rule),) = refused.error
    assert (status, kind, field) == (400, "invalid_request", "currency_code")
    assert sum(row_counts()) == 0


@pytest.mark.parametrize("provider_id", ["nobody", "Scripted", "../system"])
@pytest.mark.database_independent
def test_an_unknown_provider_is_refused(
    guest: Visitor, collection: PaymentCollection, row_counts: RowCounts, provider_id: str
) -> None:
    before = row_counts()

    refused = guest.post(
        f"storefront/payment-collections/{collection.pk}/payment-sessions/",
        {"provider_id": provider_id},
    )

    assert refused.error == (
        400,
        "invalid_request",
        "unknown_provider",
        [("provider_id", "unknown_provider")],
    )
    assert row_counts() == before
    assert not PaymentProvider.objects.filter(pk=provider_id).exists()


@pytest.mark.database_independent
def test_a_disabled_provider_is_refused(
    guest: Visitor, collection: PaymentCollection, row_counts: RowCounts
) -> None:
    services.disable_provider(services.list_providers()[0])
    before = row_counts()

    refused = guest.post(
        f"storefront/payment-collections/{collection.pk}/payment-sessions/", {"provider_id": "system"}
    )

    assert refused.error == (
        400,
        "invalid_request",
        "provider_disabled",
        [("provider_id", "provider_disabled")],
    )
    assert row_counts() == before


def test_an_unknown_collection_is_not_found(guest: Visitor, boss: Visitor, row_counts: RowCounts) -> None:
    before = row_counts()

    answers = [
        guest.post("storefront/payment-collections/pay_col_0/payment-sessions/", {"provider_id": "system"}),
        boss.patch("staff/payment-collections/pay_col_0/", {"amount": "1"}),
        boss.post("staff/payment-collections/pay_col_0/cancel/"),
    ]

    assert [answer.error for answer in answers] == [(404, "not_found", "not_found", [])] * 3
    assert row_counts() == before


def test_a_split_that_exceeds_what_is_left_is_refused(
    guest: Visitor, collection: PaymentCollection, row_counts: RowCounts, script: Script
) -> None:
    services.create_payment_session(collection, provider_id="scripted", amount="60.00")
    before, calls = row_counts(), len(script.calls)

    refused = guest.post(
        f"storefront/payment-collections/{collection.pk}/payment-sessions/",
        {"provider_id": "scripted", "amount": "40.01"},
    )

    assert refused.error == (400, "invalid_request", "exceeds_remaining", [("amount", "exceeds_remaining")])
    assert "40.00 EUR" in refused.body["message"]
    assert row_counts() == before
    assert len(script.calls) == calls


def test_a_capture_beyond_what_is_held_is_refused(
    boss: Visitor, payment: Payment, row_counts: RowCounts
) -> None:
    before = row_counts()

    refused = boss.post(f"staff/payments/{payment.pk}/capture/", {"amount": "100.01"})

    assert refused.error == (400, "invalid_request", "exceeds_remaining", [("amount", "exceeds_remaining")])
    assert row_counts() == before


def test_a_refund_beyond_what_was_taken_is_refused(
    boss: Visitor, payment: Payment, row_counts: RowCounts
) -> None:
    services.capture_payment(payment, amount="30.00")
    before = row_counts()

    refused = boss.post(f"staff/payments/{payment.pk}/refund/", {"amount": "30.01"})

    assert refused.error == (400, "invalid_request", "exceeds_remaining", [("amount", "exceeds_remaining")])
    assert row_counts() == before


@pytest.mark.database_independent
def test_a_refund_for_an_unknown_reason_is_refused(
    boss: Visitor, captured: Payment, row_counts: RowCounts
) -> None:
    before = row_counts()

    refused = boss.post(f"staff/payments/{captured.pk}/refund/", {"refund_reason_id": "refr_0"})

    assert refused.error == (
        400,
        "invalid_request",
        "unknown_refund_reason",
        [("refund_reason_id", "unknown_refund_reason")],
    )
    assert row_counts() == before


def test_a_transition_that_the_state_graph_forbids_is_a_conflict(
    guest: Visitor, boss: Visitor, captured: Payment, row_counts: RowCounts
) -> None:
    collection = captured.collection
    extra = services.create_payment_collection(amount="10", currency_code="eur")
    canceled = services.create_payment_session(extra, provider_id="scripted")
    services.cancel_payment_collection(extra)
    before = row_counts()

    answers = [
        guest.post(f"storefront/payment-sessions/{captured.session_id}/cancel/"),
        boss.post(f"staff/payment-sessions/{canceled.pk}/authorize/"),
        boss.post(f"staff/payment-collections/{collection.pk}/cancel/"),
        boss.patch(f"staff/payment-collections/{extra.pk}/", {"amount": "20.00"}),
        boss.post(f"staff/payments/{captured.pk}/cancel/"),
    ]

    assert [answer.error[:2] for answer in answers] == [(409, "conflict")] * 5
    assert PaymentSession.objects.get(pk=canceled.pk).status == "canceled"
    assert row_counts() == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{", "invalid_json"),
        ("NaN", "invalid_json"),
        ('{"reference": NaN}', "invalid_json"),
        ('{"reference": "A-1", "reference": "A-2"}', "invalid_json"),
        ("[" * 50_000, "invalid_json"),
        ('{"reference": ' + "1" * 5000 + "}", "invalid_json"),
        ("[]", "not_an_object"),
        ('"A-1"', "not_an_object"),
        ("null", "not_an_object"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(db: None, body: str, expected: str) -> None:
    refused = Visitor().post("storefront/payment-collections/", body)

    assert refused.error == (400, "invalid_request", expected, [])


def test_a_body_that_is_too_large_is_refused(db: None) -> None:
    refused = Visitor().post("storefront/payment-collections/", {"reference": "A" * 70_000})

    assert refused.error == (413, "invalid_request", "body_too_large", [])


def test_a_body_that_is_no_utf_8_is_refused(db: None) -> None:
    visitor = Visitor()
    response = visitor.client.generic(
        "POST", "/payments/storefront/payment-collections/", b"\xff\xfe", content_type="application/json"
    )

    assert (response.status_code, response.json()["code"]) == (400, "invalid_json")


def test_a_form_is_not_read(db: None) -> None:
    response = Visitor().client.post("/payments/storefront/payment-collections/", {"reference": "A-1"})

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_method_that_is_not_there_is_refused_in_the_same_shape(db: None, method: str) -> None:
    refused = Visitor().send(method, "storefront/payment-collections/")

    assert refused.error == (405, "invalid_request", "method_not_allowed", [])
    assert refused.headers["Allow"] == "POST, OPTIONS"


def test_options_names_the_methods_and_nothing_more(db: None) -> None:
    answer = Visitor().send("OPTIONS", "storefront/payment-collections/")

    assert (answer.status, answer.raw, answer.headers["Allow"]) == (204, b"", "POST, OPTIONS")


def test_an_answer_in_another_format_than_json_is_refused(db: None) -> None:
    response = Visitor().client.get(
        "/payments/storefront/payment-providers/", headers={"Accept": "application/xml"}
    )

    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
