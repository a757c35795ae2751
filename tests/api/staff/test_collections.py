"""Collections and sessions in the hands of an operator."""

from __future__ import annotations

from typing import Any

import pytest

from payments import services
from payments.models import Payment, PaymentCollection, PaymentEvent
from payments.providers import CancelResult, RetrieveResult, SessionFact
from payments.states import Outcome, SessionStatus
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder, MakeStaff

pytestmark = pytest.mark.django_db

PATH = "staff/payment-collections/"

COLLECTION_KEYS = {
    "id",
    "status",
    "currency_code",
    "amount",
    "authorized_amount",
    "captured_amount",
    "refunded_amount",
    "charged_back_amount",
    "payable",
    "customer_id",
    "description",
    "metadata",
    "payment_sessions",
    "payments",
    "completed_at",
    "canceled_at",
    "created_at",
    "updated_at",
}
SESSION_KEYS = {
    "metadata",
    "id",
    "payment_collection_id",
    "payment_id",
    "provider_id",
    "provider_reference",
    "status",
    "amount",
    "currency_code",
    "authorized_amount",
    "is_automatic",
    "is_split",
    "data",
    "provider_data",
    "context",
    "in_progress",
    "next_action",
    "error",
    "installment",
    "due_at",
    "expires_at",
    "initiated_at",
    "authorized_at",
    "canceled_at",
    "created_at",
    "updated_at",
}


@pytest.mark.database_independent
def test_an_operator_sees_these_keys(boss: Visitor, payment: Payment) -> None:
    shown = boss.get(f"{PATH}{payment.collection_id}/").body

    assert set(shown) == COLLECTION_KEYS
    assert set(shown["payment_sessions"][0]) == SESSION_KEYS
    assert shown["payment_sessions"][0]["payment_id"] == shown["payments"][0]["id"] == payment.pk
    assert shown == boss.get(PATH).body["results"][0]


def test_a_collection_is_created_for_an_order_and_a_customer(
    boss: Visitor, shopper: Any, make_order: MakeOrder
) -> None:
    order = make_order()

    created = boss.post(
        PATH,
        {
            "amount": "99.90",
            "currency_code": "EUR",
            "payable": {"type": "shop.order", "id": str(order.pk)},
            "customer_id": shopper.pk,
            "description": "Order 1001",
            "metadata": {"channel": "phone"},
        },
    )

    assert created.status == 201
    assert created.body["payable"] == {"type": "shop.order", "id": str(order.pk)}
    assert (created.body["amount"], created.body["currency_code"]) == ("99.90", "eur")
    collection = PaymentCollection.objects.for_payable(order).get()
    assert (collection.customer, collection.metadata) == (shopper, {"channel": "phone"})
    assert (collection.description, created.body["description"]) == ("Order 1001", "Order 1001")


def test_a_collection_may_stand_alone(boss: Visitor) -> None:
    created = boss.post(PATH, {"amount": 5, "currency_code": "jpy", "payable": None, "customer_id": None})

    assert (created.status, created.body["amount"]) == (201, "5")
    assert (created.body["payable"], created.body["customer_id"]) == (None, None)


@pytest.mark.parametrize(
    ("values", "field", "code"),
    [
        ({"payable": {"type": "shop.order", "id": "404"}}, "payable", "unknown_payable"),
        ({"payable": {"type": "shop.order", "id": "one"}}, "payable", "unknown_payable"),
        ({"payable": {"type": "shop.order", "id": "9" * 40}}, "payable", "unknown_payable"),
        ({"payable": {"type": "shop.parcel", "id": "1"}}, "payable", "unknown_payable"),
        ({"payable": {"type": "nonsense", "id": "1"}}, "payable", "unknown_payable"),
        ({"payable": {"type": "shop.order"}}, "payable.id", "required"),
        ({"payable": {"type": "shop.order", "id": "1", "x": 1}}, "payable.x", "unknown_field"),
        ({"payable": "shop.order:1"}, "payable", "not_an_object"),
        ({"customer_id": 404}, "customer_id", "unknown_customer"),
        ({"customer_id": "sam"}, "customer_id", "unknown_customer"),
        ({"customer_id": "9" * 40}, "customer_id", "unknown_customer"),
        ({"metadata": []}, "metadata", "not_an_object"),
        ({"status": "completed"}, "status", "unknown_field"),
    ],
)
def test_a_collection_for_what_is_not_there_is_refused(
    boss: Visitor, values: dict[str, Any], field: str, code: str
) -> None:
    refused = boss.post(PATH, {"amount": "1", "currency_code": "eur"} | values)

    assert refused.error == (400, "invalid_request", code, [(field, code)])
    assert not PaymentCollection.objects.exists()


def test_a_new_amount_moves_the_session_that_covers_the_rest(
    boss: Visitor, collection: PaymentCollection
) -> None:
    services.create_payment_session(collection, provider_id="scripted")

    changed = boss.patch(f"{PATH}{collection.pk}/", {"amount": "80.00"})

    assert (changed.status, changed.body["amount"]) == (200, "80.00")
    assert changed.body["payment_sessions"][0]["amount"] == "80.00"


def test_an_amount_below_what_is_held_is_refused(boss: Visitor, payment: Payment) -> None:
    refused = boss.patch(f"{PATH}{payment.collection_id}/", {"amount": "99.99"})

    assert refused.error == (400, "invalid_request", "below_authorized", [("amount", "below_authorized")])


@pytest.mark.parametrize("field", ["status", "currency_code", "customer_id", "payable", "metadata"])
@pytest.mark.database_independent
def test_only_the_amount_can_be_changed(boss: Visitor, collection: PaymentCollection, field: str) -> None:
    refused = boss.patch(f"{PATH}{collection.pk}/", {"amount": "80.00", field: "x"})

    assert refused.error == (400, "invalid_request", "unknown_field", [(field, "unknown_field")])


def test_canceling_releases_what_is_held(boss: Visitor, payment: Payment) -> None:
    canceled = boss.post(f"{PATH}{payment.collection_id}/cancel/")

    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    assert canceled.body["payments"][0]["status"] == "canceled"


@pytest.mark.database_independent
def test_a_cancelation_whose_outcome_is_unknown_names_its_operation(
    boss: Visitor, payment: Payment, script: Script
) -> None:
    script.next("cancel", CancelResult(outcome=Outcome.UNKNOWN))

    accepted = boss.post(f"{PATH}{payment.collection_id}/cancel/")

    assert accepted.status == 202
    assert set(accepted.body) == COLLECTION_KEYS | {"operation_id"}
    assert accepted.body["operation_id"] == script.requests("cancel")[0].operation_id


def test_marking_as_paid_completes_the_collection(boss: Visitor, collection: PaymentCollection) -> None:
    paid = boss.post(f"{PATH}{collection.pk}/mark-as-paid/")
    again = boss.post(f"{PATH}{collection.pk}/mark-as-paid/")

    assert (paid.status, paid.body["status"], paid.body["captured_amount"]) == (200, "completed", "100.00")
    assert again.error[:3] == (400, "invalid_request", "nothing_left")


@pytest.mark.database_independent
def test_an_action_takes_no_values(boss: Visitor, payment: Payment) -> None:
    paths = [
        f"{PATH}{payment.collection_id}/cancel/",
        f"staff/payment-sessions/{payment.session_id}/authorize/",
        f"staff/payment-sessions/{payment.session_id}/cancel/",
        f"staff/payment-sessions/{payment.session_id}/sync/",
        f"staff/payments/{payment.pk}/cancel/",
        f"staff/payments/{payment.pk}/sync/",
        "staff/payment-providers/system/enable/",
        "staff/payment-providers/system/disable/",
    ]
    for path in paths:
        refused = boss.post(path, {"amount": "1.00"})

        assert refused.error == (400, "invalid_request", "unknown_field", [("amount", "unknown_field")])


def test_an_operator_authorizes_and_cancels_a_session(
    make_staff: MakeStaff, collection: PaymentCollection
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    path = f"staff/payment-sessions/{session.pk}/"
    operator = make_staff("view_paymentsession", "authorize_session", "cancel_session")

    authorized = operator.post(f"{path}authorize/")
    canceled = operator.post(f"{path}cancel/")

    assert (authorized.status, authorized.body["status"]) == (200, "authorized")
    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    sources = PaymentEvent.objects.filter(actor__isnull=False).values_list("source", "actor__username")
    assert set(sources) == {("staff", operator.user.get_username())}


@pytest.mark.database_independent
def test_an_authorization_whose_outcome_is_unknown_names_its_operation(
    boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    script.next("authorize", TimeoutError())

    accepted = boss.post(f"staff/payment-sessions/{session.pk}/authorize/")

    assert (accepted.status, accepted.body["status"]) == (202, "pending")
    assert accepted.body["operation_id"] == script.requests("authorize")[0].operation_id


@pytest.mark.database_independent
def test_a_sync_records_what_the_provider_reports(
    boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=session.amount)
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))

    synced = boss.post(f"staff/payment-sessions/{session.pk}/sync/")

    assert (synced.status, synced.body["status"]) == (200, "authorized")


@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.NOT_SENT, "provider_unavailable"), (Outcome.UNKNOWN, "outcome_unknown")]
)
@pytest.mark.database_independent
def test_a_sync_that_learns_nothing_may_be_tried_again(
    boss: Visitor, payment: Payment, script: Script, outcome: Outcome, code: str
) -> None:
    script.next("retrieve", RetrieveResult(outcome=outcome))

    refused = boss.post(f"staff/payments/{payment.pk}/sync/")

    assert refused.error == (503, "provider_error", code, [])
    assert refused.headers["Retry-After"] == "5"


def test_a_provider_that_can_not_be_asked_says_so(boss: Visitor, collection: PaymentCollection) -> None:
    session = services.create_payment_session(collection, provider_id="system")

    refused = boss.post(f"staff/payment-sessions/{session.pk}/sync/")

    assert refused.error == (400, "invalid_request", "not_supported", [])


def test_a_part_is_marked_as_paid_with_when_and_under_which_reference(
    boss: Visitor, collection: PaymentCollection
) -> None:
    body = {
        "amount": "20.00",
        "received_at": "2026-01-05T09:30:00+01:00",
        "reference": "RF18 5390",
        "note": "By transfer.",
    }

    paid = boss.post(f"{PATH}{collection.pk}/mark-as-paid/", body)

    assert (paid.status, paid.body["status"], paid.body["captured_amount"]) == (
        200,
        "partially_captured",
        "20.00",
    )
    (capture,) = paid.body["payments"][0]["captures"]
    assert (capture["received_at"], capture["reference"], capture["note"]) == (
        "2026-01-05T08:30:00.000000Z",
        "RF18 5390",
        "By transfer.",
    )
