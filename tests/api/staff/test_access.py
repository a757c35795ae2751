"""Operators only, and each action only with its own permission."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from payments import services
from payments.models import Payment, PaymentCollection, PaymentOperation, RefundReason, WebhookEvent
from payments.testing import scripted_provider
from payments.testing.factories import WebhookEventFactory
from tests.api.client import Visitor
from tests.api.conftest import MakeStaff
from tests.api.evidence import Snapshot
from tests.api.pairs import daily
from tests.api.routes import STAFF
from tests.shop.models import Order

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

ROUTES = [
    ("GET", "payment-collections/", "view_paymentcollection"),
    ("POST", "payment-collections/", "add_paymentcollection"),
    ("GET", "payment-collections/{collection}/", "view_paymentcollection"),
    ("PATCH", "payment-collections/{collection}/", "change_paymentcollection"),
    ("POST", "payment-collections/{collection}/cancel/", "cancel_collection"),
    ("POST", "payment-collections/{collection}/mark-as-paid/", "mark_as_paid"),
    ("GET", "payment-sessions/", "view_paymentsession"),
    ("GET", "payment-sessions/{session}/", "view_paymentsession"),
    ("POST", "payment-sessions/{session}/authorize/", "authorize_session"),
    ("POST", "payment-sessions/{session}/cancel/", "cancel_session"),
    ("POST", "payment-sessions/{session}/sync/", "sync_session"),
    ("GET", "payments/", "view_payment"),
    ("GET", "payments/{payment}/", "view_payment"),
    ("POST", "payments/{payment}/capture/", "capture_payment"),
    ("POST", "payments/{payment}/refund/", "refund_payment"),
    ("POST", "payments/{payment}/cancel/", "cancel_payment"),
    ("POST", "payments/{payment}/sync/", "sync_session"),
    ("GET", "refund-reasons/", "view_refundreason"),
    ("POST", "refund-reasons/", "add_refundreason"),
    ("GET", "refund-reasons/{reason}/", "view_refundreason"),
    ("PUT", "refund-reasons/{reason}/", "change_refundreason"),
    ("PATCH", "refund-reasons/{reason}/", "change_refundreason"),
    ("DELETE", "refund-reasons/{reason}/", "delete_refundreason"),
    ("GET", "payment-providers/", "view_paymentprovider"),
    ("POST", "payment-providers/system/enable/", "change_paymentprovider"),
    ("POST", "payment-providers/system/disable/", "change_paymentprovider"),
    ("GET", "operations/", "view_paymentoperation"),
    ("GET", "operations/{operation}/", "view_paymentoperation"),
    ("POST", "operations/{operation}/check/", "sync_session"),
    ("POST", "operations/{operation}/resolve/", "resolve_operation"),
    ("POST", "operations/{operation}/correct/", "resolve_operation"),
    ("GET", "webhook-events/", "view_webhookevent"),
    ("GET", "webhook-events/{event}/", "view_webhookevent"),
    ("POST", "webhook-events/{event}/replay/", "replay_webhook"),
]
TO_VIEW = {
    "payment-collections": "view_paymentcollection",
    "payment-sessions": "view_paymentsession",
    "payments": "view_payment",
    "operations": "view_paymentoperation",
    "webhook-events": "view_webhookevent",
}
"""What else an action needs, which answers with the row; who may change it may view it, as in the admin."""

PERMISSIONS = sorted({permission for _method, _route, permission in ROUTES} | {"view_provider_data"})


def test_every_address_for_operators_is_among_those_tried() -> None:
    known = {(route.method, route.path.removeprefix("staff/")) for route in STAFF}

    assert known == {(method, path) for method, path, _permission in ROUTES}


@pytest.fixture(scope="module")
def lasting(module_db: Any) -> Payment:
    """Return a payment of 100.00 euros that is there for every test of this module, as is a reason."""
    with module_db.unblock(), scripted_provider():
        RefundReason.objects.create(label="Damaged")
        order = Order.objects.create(number="A-1", total="100.00", currency_code="eur")
        collection = services.create_payment_collection(
            amount=order.total, currency_code=order.currency_code, payable=order
        )
        session = services.create_payment_session(collection, provider_id="scripted")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        return payment


@pytest.fixture
def payment(lasting: Payment, db: None) -> Payment:
    return Payment.objects.get(pk=lasting.pk)


@pytest.fixture
def address(payment: Payment) -> Any:
    """Return a function that fills in a route."""
    reason = RefundReason.objects.get()
    keys = {
        "collection": payment.collection_id,
        "session": payment.session_id,
        "payment": payment.pk,
        "reason": reason.pk,
        "operation": payment.session.operations.get(kind="authorize").pk,
        "event": WebhookEventFactory.create(session=payment.session).pk,
    }
    return lambda route: "staff/" + route.format(**keys)


@pytest.mark.parametrize(("method", "route", "permission"), daily(ROUTES, step=3))
def test_a_request_needs_its_own_permission_and_that_to_view_its_answer(
    address: Any, make_staff: MakeStaff, method: str, route: str, permission: str
) -> None:
    others = [codename for codename in PERMISSIONS if codename != permission]

    path, clerk = address(route), make_staff(*others)
    before = Snapshot()

    refused = clerk.send(method, path, {})
    changes = before.changes
    needed = {permission, *_to_view(route, permission)}
    allowed = make_staff(*needed).send(method, path, {})

    for hidden in needed - {permission}:
        unseeing = make_staff(*(codename for codename in PERMISSIONS if codename != hidden))
        assert f"payments.{hidden}" in unseeing.send(method, path, {}).body["message"]
    assert changes == set()
    assert refused.error == (403, "permission_error", "permission_denied", [])
    assert f"payments.{permission}" in refused.body["message"]
    assert allowed.status in (200, 204, 400, 409)


def _to_view(route: str, permission: str) -> list[str]:
    is_action = not permission.startswith(("view_", "add_", "change_", "delete_"))
    return [TO_VIEW[route.partition("/")[0]]] if is_action else []


def test_nobody_and_customers_are_kept_out(address: Any, shopper: Any) -> None:
    nobody, somebody = Visitor(), Visitor(user=shopper)
    for method, route, _permission in ROUTES:
        anonymous = nobody.send(method, address(route), {})
        customer = somebody.send(method, address(route), {})

        assert anonymous.error == (401, "authentication_error", "not_authenticated", []), route
        assert anonymous.headers["WWW-Authenticate"] == 'Session realm="payments"'
        assert customer.error == (403, "permission_error", "permission_denied", []), route


def test_a_customer_with_a_permission_is_no_operator(address: Any, make_staff: MakeStaff) -> None:
    operator = make_staff("view_payment")
    get_user_model().objects.update(is_staff=False)

    assert operator.get(address("payments/")).status == 403


def test_provider_data_is_only_for_whom_it_is_permitted(
    payment: Payment, address: Any, make_staff: MakeStaff
) -> None:
    payment.provider_data = {"vault": "PRIVATE"}
    payment.save_fields("provider_data")
    readers = (
        "view_paymentcollection",
        "view_paymentsession",
        "view_payment",
        "view_paymentoperation",
        "view_webhookevent",
    )
    PaymentOperation.objects.update(input={"token": "PRIVATE"})
    WebhookEvent.objects.update(fact={"provider_data": "PRIVATE"})
    routes = [
        "payment-collections/",
        "payment-collections/{collection}/",
        "payment-sessions/",
        "payment-sessions/{session}/",
        "payments/",
        "payments/{payment}/",
        "operations/",
        "operations/{operation}/",
        "webhook-events/",
        "webhook-events/{event}/",
    ]
    without, trusted = make_staff(*readers), make_staff(*readers, "view_provider_data")

    for route in routes:
        hidden, shown = without.get(address(route)), trusted.get(address(route))
        assert b"provider_data" not in hidden.raw
        assert b"secret_payses" not in hidden.raw
        assert b"PRIVATE" not in hidden.raw
        assert b"provider_data" in shown.raw or b"PRIVATE" in shown.raw
    assert trusted.get(address("payments/{payment}/")).body["provider_data"] == {"vault": "PRIVATE"}


def test_what_is_not_there_is_not_found(boss: Visitor) -> None:
    routes = [route for _method, route, _permission in ROUTES if "{" in route or "system" in route]
    for route in routes:
        path = "staff/" + route.format(
            collection="0", session="a%00b", payment="💰", reason="x" * 99, operation="%20", event="-"
        )
        path = path.replace("/system/", "/nobody/")
        method = next(method for method, known, _permission in ROUTES if known == route)

        assert boss.send(method, path, {}).error == (404, "not_found", "not_found", [])


def test_a_browser_gets_a_page(boss: Visitor, payment: Payment) -> None:
    for path in (
        "payments/",
        f"payments/{payment.pk}/",
        f"payments/{payment.pk}/capture/",
        "refund-reasons/",
    ):
        response = boss.client.get(f"/payments/staff/{path}", headers={"Accept": "text/html"})

        assert response.headers["Content-Type"].startswith("text/html")
        assert response.status_code in (200, 405)


def test_the_configured_classes_recognize_operators_and_customers(
    settings: Any, payment: Payment, shopper: Any
) -> None:
    settings.PAYMENTS = {
        **settings.PAYMENTS,
        "STAFF_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
        "STOREFRONT_AUTHENTICATION_CLASSES": [],
    }
    boss = get_user_model().objects.create_superuser("boss", password="opensesame")
    visitor = Visitor(user=boss)
    payment.collection.customer = shopper
    payment.collection.save_fields("customer")

    by_session = visitor.get("staff/payments/")
    visitor.headers = {"Authorization": "Basic Ym9zczpvcGVuc2VzYW1l"}
    by_password = visitor.get("staff/payments/")
    visitor.headers = {"Authorization": "Basic Ym9zczp3cm9uZw=="}
    by_wrong_password = visitor.get("staff/payments/")
    customer = Visitor(user=shopper).get(f"storefront/payment-collections/{payment.collection_id}/")

    assert by_session.status == 401
    assert by_session.headers["WWW-Authenticate"].startswith("Basic")
    assert by_password.status == 200
    assert by_wrong_password.error == (401, "authentication_error", "authentication_failed", [])
    assert customer.status == 404


def test_a_search_goes_by_what_the_operator_may_view(payment: Payment, shopper: Any) -> None:
    """What isn't shown must not be read off letter by letter by what is found."""
    PaymentCollection.objects.update(customer=shopper)
    services.capture_payment(payment)
    session = payment.session
    ways = {
        "view_payment": [payment.pk, payment.provider_reference],
        "view_paymentsession": [session.pk, session.provider_reference],
        "view_paymentoperation": [session.operations.get(kind="authorize").pk],
        "view_payment view_capture": [payment.captures.get().pk],
        "view_user": [shopper.email, shopper.email[:5], "@"],
    }
    for needed, texts in ways.items():
        for text in texts:
            assert (needed, text, _found(text)) == (needed, text, 0)
            assert (needed, text, _found(text, *needed.split())) == (needed, text, 1)
    assert _found(payment.collection_id) == 1


def _found(text: str, *codenames: str) -> int:
    users = get_user_model().objects
    clerk = users.create_user(f"operator{users.count()}", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_paymentcollection", *codenames]))
    return len(Visitor(user=clerk).get("staff/payment-collections/", q=text).body["results"])
