"""Mass assignment: whatever a body names that isn't its to say is refused, and never reaches a row or a provider."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from django.apps import apps

from payments.models import Payment, PaymentCollection, PaymentSession
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.evidence import Snapshot
from tests.api.routes import ROUTES, Route, filled, keys_of

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

CHANGING = [route for route in ROUTES if route.method in ("POST", "PUT", "PATCH")]
MARK: Final = "wanted-by-a-stranger"

# What payment services and other shops' APIs take, and have been tricked with.
DANGEROUS: Final = frozenset(
    {
        "account",
        "account_holder",
        "admin",
        "application_fee_amount",
        "automatic_payment_methods",
        "cancel_url",
        "capture_method",
        "client_secret",
        "confirm",
        "confirmation_method",
        "currency",
        "customer",
        "is_staff",
        "is_superuser",
        "mandate_data",
        "off_session",
        "on_behalf_of",
        "payment_method",
        "payment_method_options",
        "permissions",
        "price",
        "saved_method",
        "session_id",
        "setup_future_usage",
        "source",
        "statement_descriptor",
        "success_url",
        "total",
        "transfer_data",
        "user",
        "user_id",
        "webhook_url",
    }
)
OPTIONAL: Final = {
    "PATCH staff/refund-reasons/{reason}/": {"label", "metadata"},
    "POST staff/operations/{operation}/resolve/": {"amount"},
    "POST staff/operations/{operation}/correct/": {"provider_reference"},
}
"""What a body may say, and doesn't in the routes."""


def names_of_columns() -> set[str]:
    """Return the names of all fields of all models of the app, as Python and as the database has them."""
    fields = [
        field for model in apps.get_app_config("payments").get_models() for field in model._meta.get_fields()
    ]
    return {field.name for field in fields} | {getattr(field, "attname", field.name) for field in fields}


def foreign_names(route: Route) -> list[str]:
    """Return the names that a body sent to an address has no business with."""
    assert route.body is not None
    return sorted((names_of_columns() | DANGEROUS) - set(route.body) - OPTIONAL.get(str(route), set()))


@pytest.mark.shows(
    "At every address: each column of each table, and what payment services are tricked with, beside a valid body",
    "400 that names every one of them; nothing is stored, and no provider is asked",
)
def test_a_body_says_nothing_but_what_is_its_to_say(owner: Visitor, payment: Payment, script: Script) -> None:
    keys = keys_of(payment)
    before, calls = Snapshot(), len(script.calls)
    assert len(names_of_columns()) > 100

    for route in CHANGING:
        path, body, names = filled(route.path, keys), filled(route.body, keys), foreign_names(route)
        refused = owner.send(route.method, path, dict.fromkeys(names, MARK) | body)
        alone = owner.send(route.method, path, body | {names[0]: None})

        assert refused.error == (
            400,
            "invalid_request",
            "invalid_input",
            [(name, "unknown_field") for name in names],
        ), route
        assert alone.error == (400, "invalid_request", "unknown_field", [(names[0], "unknown_field")]), route

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "The same inside `data`, which goes to the provider, at every address that takes it",
    "400; only what the provider has declared is taken, nothing is stored, and no provider is asked",
)
def test_data_says_nothing_but_what_the_provider_has_declared(
    owner: Visitor, payment: Payment, collection: PaymentCollection, script: Script
) -> None:
    open_session = PaymentSession.objects.create(
        collection=collection, provider_id="scripted", amount="1.00", is_split=True
    )
    keys = keys_of(payment) | {"session": open_session.pk}
    taking = [route for route in CHANGING if "data" in (route.body or {})]
    names = sorted((names_of_columns() | DANGEROUS) - {"token", "code"})
    before, calls = Snapshot(), len(script.calls)
    assert len(taking) == 3

    for route in taking:
        path, body = filled(route.path, keys), filled(route.body, keys)
        for data in (dict.fromkeys(names, MARK) | body["data"], {name: {name: [MARK]} for name in names}):
            refused = owner.send(route.method, path, body | {"data": data})
            assert refused.error[:3] == (400, "invalid_request", "unknown_data_key"), route
            assert ", ".join(names) in refused.body["message"]

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "The same as query parameters of every address that changes something",
    "Nothing of it is read: what happens is what the body says, and no row and no provider hears of the rest",
)
def test_the_address_says_nothing_beside_the_body(owner: Visitor, payment: Payment, script: Script) -> None:
    keys = keys_of(payment)
    query = urlencode(dict.fromkeys(sorted(names_of_columns() | DANGEROUS), MARK) | {"amount": "99.00"})
    before = Snapshot()

    for route in sorted(CHANGING, key=lambda route: not route.path.endswith("/capture/")):
        answer = owner.send(route.method, f"{filled(route.path, keys)}?{query}", filled(route.body, keys))
        assert answer.status < 500
        assert MARK not in answer.raw.decode()

    assert before.changes
    assert not [text for text in before.changes if MARK in text]
    assert MARK not in repr(script.calls)
    assert [request.amount for request in script.requests("capture")] == [1]


def test_what_a_body_may_hold_of_any_kind_changes_nothing_else(boss: Visitor) -> None:
    named = dict.fromkeys(names_of_columns() | DANGEROUS, MARK)
    created = boss.post(
        "staff/payment-collections/", {"amount": "1.00", "currency_code": "eur", "metadata": named}
    )

    assert created.status == 201
    assert created.body["metadata"] == named
    row: Any = PaymentCollection.objects.get()
    assert json.dumps(created.body | {"metadata": {}}).count(MARK) == 0
    assert (row.status, row.captured_amount, row.customer_id, row.payable_id) == ("not_paid", 0, None, None)
