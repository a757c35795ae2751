"""`payments.urls` wherever a project includes it, and behind what it puts in front of all its addresses."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import include, path, re_path
from django.urls.base import set_script_prefix

from payments import services
from payments.addresses import address_of
from payments.checks import check_urls
from payments.exceptions import OutcomeUnknownError
from payments.models import PaymentCollection, WebhookEvent
from payments.providers.base import leads_to
from payments.services import open_payment_collection
from payments.services.payables import ResolvedPayable
from payments.simulator.webhooks import sign
from payments.testing import Script, running_simulator
from payments.webhooks import receive
from tests.api.pairs import daily
from tests.shop.models import Order
from tests.webhooks.deliveries import SECRET, bodies, deliver

PAYMENTS = path("pay/", include("payments.urls"))


def urlconf(patterns: list[Any]) -> ModuleType:
    """Return a URLconf with these addresses."""
    module = ModuleType("urls")
    module.urlpatterns = patterns  # type: ignore[attr-defined]
    return module


def below(*patterns: Any, prefix: str = "", namespace: str = "outer") -> Any:
    """Return addresses below a namespace."""
    return path(prefix, include((list(patterns), namespace)))


URLCONFS: dict[str, tuple[list[Any], str]] = {
    "plain": ([PAYMENTS], "/pay/"),
    "below a namespace": ([below(PAYMENTS, prefix="api/")], "/api/pay/"),
    "below two namespaces": (
        [below(below(PAYMENTS, prefix="v1/", namespace="v1"), prefix="api/")],
        "/api/v1/pay/",
    ),
    "under another name": (
        [path("pay/", include("payments.urls", namespace="checkout"))],
        "/pay/",
    ),
    "with another app_name": (
        [path("pay/", include(("payments.urls", "checkout")))],
        "/pay/",
    ),
    "several times": (
        [
            path("first/", include("payments.urls", namespace="first")),
            below(PAYMENTS, prefix="api/"),
            path("last/", include("payments.urls", namespace="last")),
        ],
        "/api/pay/",
    ),
    "beside one with arguments": (
        [path("t/<slug:tenant>/", include("payments.urls", namespace="tenants")), PAYMENTS],
        "/pay/",
    ),
    "in i18n_patterns": (i18n_patterns(PAYMENTS), "/de/pay/"),
}


@pytest.fixture(params=daily(((each,) for each in URLCONFS.values()), step=3), ids=list(URLCONFS))
def root(request: pytest.FixtureRequest, settings: Any) -> str:
    """Have a project include the app in its own way, and return the address below which it did."""
    patterns, root = request.param
    settings.ROOT_URLCONF = urlconf([path("admin/", admin.site.urls), *patterns])
    return str(root)


def client_of(order: Order) -> tuple[Client, PaymentCollection]:
    """Return an operator, who is the order's customer too, and the order's collection."""
    user = get_user_model().objects.create_superuser("boss")
    client = Client(headers={"Accept-Language": "de"})
    client.force_login(user)
    collection, _is_new = open_payment_collection(
        ResolvedPayable(payable=order, amount="100.00", currency_code="eur", customer=user)
    )
    return client, collection


@pytest.fixture
def order(db: None) -> Order:
    """Return an order over 100.00 euros."""
    return Order.objects.create(number="A-1", total="100.00", currency_code="eur")


@pytest.mark.shows(
    "`payments.urls` is included below another namespace, or several times, and an outcome is unknown",
    "The payer and the operator get their 202 with an address that tells more, below the one that they asked",
)
@pytest.mark.django_db
@pytest.mark.database_independent
def test_unknown_outcome_tells_where_to_look(root: str, order: Order, script: Script) -> None:
    client, collection = client_of(order)
    session = services.create_payment_session(collection, provider_id="scripted")
    script.next("authorize", OutcomeUnknownError("lost"))
    script.next("capture", OutcomeUnknownError("lost"))

    told = client.post(
        f"{root}storefront/payment-sessions/{session.pk}/authorize/", content_type="application/json"
    )
    assert (told.status_code, told.headers["Location"]) == (
        202,
        f"{root}storefront/payment-sessions/{session.pk}/",
    )
    assert client.get(told.headers["Location"]).json()["id"] == session.pk

    other = services.create_payment_collection(amount="100.00", currency_code="eur")
    paid = services.authorize_payment_session(
        services.create_payment_session(other, provider_id="scripted")
    ).payment
    assert paid is not None
    told = client.post(f"{root}staff/payments/{paid.pk}/capture/", content_type="application/json")
    assert told.status_code == 202
    assert told.headers["Location"] == f"{root}staff/operations/{told.json()['operation_id']}/"
    assert client.get(told.headers["Location"]).status_code == 200


@pytest.mark.database_independent
def test_script_name_is_a_part_of_each_address(settings: Any) -> None:
    settings.ROOT_URLCONF = urlconf([below(PAYMENTS, prefix="api/")])
    set_script_prefix("/shop/")
    try:
        assert address_of("webhook", "stripe") == "/shop/api/pay/webhooks/stripe/"
    finally:
        set_script_prefix("/")


@pytest.mark.database_independent
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([PAYMENTS], []),
        ([below(PAYMENTS)], []),
        (i18n_patterns(PAYMENTS), []),
        ([path("", include("payments.urls", namespace="checkout"))], []),
        ([path("other/", include("django.contrib.auth.urls"))], ["payments.W016"]),
        ([path("t/<slug:tenant>/pay/", include("payments.urls"))], ["payments.E023"]),
        ([re_path(r"^t/(?P<tenant>\w+)/", include("payments.urls"))], ["payments.E023"]),
        ([re_path(r"^(de|en)/", include("payments.urls"))], ["payments.E023"]),
        ([path("<slug:tenant>/", include(([PAYMENTS], "tenants")))], ["payments.E023"]),
        ([path("pay/", include("payments.urls"), {"tenant": "a"})], ["payments.E023"]),
        ([PAYMENTS, path("<slug:t>/", include("payments.urls", namespace="t"))], ["payments.E023"]),
    ],
)
def test_check_knows_where_the_app_is_included(
    settings: Any, patterns: list[Any], expected: list[str]
) -> None:
    settings.ROOT_URLCONF = urlconf(patterns)

    messages = check_urls()

    assert [message.id for message in messages] == expected
    assert all(message.hint for message in messages)


# Webhooks

WITHOUT_LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"


@pytest.mark.shows(
    "A project's `LoginRequiredMiddleware` stands before all addresses, and an event of a provider arrives",
    "It is received: nobody sends a provider to a log-in page",
)
@pytest.mark.django_db(transaction=True)
def test_events_arrive_where_all_else_needs_a_login(settings: Any, collection: PaymentCollection) -> None:
    settings.MIDDLEWARE = [*django_settings.MIDDLEWARE, WITHOUT_LOGIN]
    with running_simulator(webhook_secret=SECRET) as simulator:
        session = services.create_payment_session(collection, provider_id="simulator")
        simulator.authorize(str(session.provider_reference))
        body = bodies(simulator, session)[-1]

        assert deliver(body).status == 200
        assert deliver(body).is_duplicate
        assert deliver(b"{}", provider_id="nobody").status == 404
    session.refresh_from_db()
    assert session.status == "authorized"


@pytest.mark.database_independent
@pytest.mark.django_db
def test_payers_and_monitoring_need_no_login_of_the_projects(settings: Any) -> None:
    settings.MIDDLEWARE = [*django_settings.MIDDLEWARE, WITHOUT_LOGIN]

    assert Client().get("/payments/health/").status_code == 200
    assert Client().get("/payments/storefront/payment-providers/").status_code == 200
    assert Client().get("/payments/staff/payments/").status_code == 401
    assert Client().get("/payments/metrics/").status_code == 401


@pytest.mark.parametrize("appends_slashes", [True, False])
@pytest.mark.parametrize("slash", ["/", ""])
@pytest.mark.django_db(transaction=True)
@pytest.mark.database_independent
def test_event_arrives_with_a_slash_or_without(
    settings: Any, collection: PaymentCollection, slash: str, appends_slashes: bool
) -> None:
    settings.APPEND_SLASH = appends_slashes
    with running_simulator(webhook_secret=SECRET) as simulator:
        session = services.create_payment_session(collection, provider_id="simulator")
        simulator.authorize(str(session.provider_reference))
        body = bodies(simulator, session)[-1]
        answer = Client(enforce_csrf_checks=True).generic(
            "POST",
            f"/payments/webhooks/simulator{slash}",
            body,
            "application/json",
            headers={"Simulator-Signature": sign([SECRET], body, json.loads(body)["created"])},
        )

    assert (answer.status_code, WebhookEvent.objects.count()) == (200, 1)


@pytest.mark.database_independent
def test_webhooks_are_exempt_from_csrf_and_login() -> None:
    assert receive.csrf_exempt  # type: ignore[attr-defined]
    assert receive.login_required is False  # type: ignore[attr-defined]


@pytest.mark.database_independent
@pytest.mark.parametrize(
    ("url", "leads"),
    [
        ("https://shop.example/pay/webhooks/stripe/", True),
        ("https://shop.example/pay/webhooks/stripe", True),
        ("https://shop.example/pay/webhooks/stripes/", False),
        ("https://shop.example/", False),
    ],
)
def test_endpoint_is_the_same_with_a_slash_or_without(url: str, leads: bool) -> None:
    assert leads_to(url, "/pay/webhooks/stripe/") is leads
