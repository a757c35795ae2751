"""What is mailed to ADMINS when something breaks: Django's whole technical report, and no secret of a payer's in it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from payments import services
from payments.api.storefront.access import client_secret
from payments.models import Payment
from payments.simulator.webhooks import sign
from payments.testing import configured_provider
from tests.api.client import ROOT, Visitor
from tests.api.routes import STAFF, STOREFRONT, Route, filled, keys_of

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

TOKEN = "tok_of_the_payers_card"

SPOTS = (
    "payments.api.views.check_no_card_data",
    "payments.api.idempotency.begin_request",
    "payments.services.idempotency.IdempotencyRecord.save",
    "payments.api.storefront.access._signer",
    "payments.api.storefront.payables._resolver",
    "payments.api.serializers.find_row",
    "payments.services.reading.database_alias",
    "payments.services.sessions.perform",
    "payments.services.ledger.claims.claim_operation",
    "payments.services.ledger.protocol.call_for",
    "payments.services.account_holders.call_provider",
    "payments.api.serializers.OutputSerializer.to_representation",
    "payments.api.storefront.providers.list_offered_providers",
)
"""Places at which something breaks, from the door to the provider; each of them is on the way of some requests."""


class BrokenError(Exception):
    """Something that nobody has thought of."""


class Mails(AdminEmailHandler):
    """Keep the reports that would be mailed."""

    def __init__(self) -> None:
        super().__init__(include_html=True)
        self.setLevel(logging.ERROR)
        self.reports: list[str] = []

    def send_mail(self, subject: Any, message: Any, *args: Any, **kwargs: Any) -> None:
        """Keep the report, the plain and the whole one."""
        self.reports.append(f"{subject}\n{message}\n{kwargs['html_message']}")


@pytest.fixture
def mails(settings: Any) -> Iterator[Mails]:
    """Return what is mailed."""
    handler = Mails()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@contextmanager
def broken(spot: str) -> Iterator[None]:
    """Have a place raise what nobody has thought of."""

    def break_down(*_args: Any, **_kwargs: Any) -> Any:
        raise BrokenError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spot, break_down)
        yield


@pytest.mark.shows(
    "A storefront view that breaks anywhere, and a report of that",
    "holds no client secret and no payer's token",
)
@pytest.mark.parametrize(
    "route",
    [
        pytest.param(
            route, marks=[] if {"data", "reference"} & {*(route.body or ())} else pytest.mark.thorough
        )
        for route in STOREFRONT
    ],
    ids=str,
)
def test_no_report_of_a_storefront_view_holds_a_secret(
    owner: Visitor, payment: Payment, mails: Mails, route: Route
) -> None:
    secret, keys = client_secret(payment.collection_id), keys_of(payment)
    client = owner.client if "saved-payment-methods" in route.path else Client()
    client.raise_request_exception = False
    body = filled(route.body, keys)
    if body is not None and "data" in body:
        collection = services.update_payment_collection(payment.collection, amount="200.00")
        session = services.create_payment_session(collection, provider_id="scripted", by_payer=True)
        keys["session"] = session.pk
        name = "code" if route.method == "PATCH" else "token"
        body["data"] = {name: TOKEN}
    for spot in SPOTS:
        with broken(spot):
            client.generic(
                route.method,
                f"{ROOT}/{filled(route.path, keys)}",
                json.dumps(body),
                content_type="application/json",
                headers={"Payment-Client-Secret": secret, "Idempotency-Key": spot},
            )
    assert len(mails.reports) >= 2, "Each route passes some of these places."
    for report in mails.reports:
        assert "BrokenError" in report
        assert TOKEN not in report
        assert secret not in report


@pytest.mark.parametrize("route", [route for route in STAFF if "authorize" in route.path], ids=str)
def test_no_report_of_a_staff_view_holds_a_token_of_its_asker(
    owner: Visitor, payment: Payment, mails: Mails, route: Route
) -> None:
    owner.client.raise_request_exception = False
    with broken("payments.services.reading.database_alias"):
        path = f"{ROOT}/{filled(route.path, keys_of(payment))}"
        owner.client.post(
            path, {}, content_type="application/json", headers={"Authorization": f"Bearer {TOKEN}"}
        )
    (report,) = mails.reports
    assert TOKEN not in report


@pytest.mark.parametrize(
    "spot",
    [
        "payments.webhooks.receive_webhook",
        "payments.services.background.inbox.get_provider",
        "payments.services.background.inbox.is_refused",
    ],
)
def test_no_report_of_a_webhook_holds_its_secret_or_its_body(mails: Mails, spot: str) -> None:
    secret, body = "whsec_of_ours", json.dumps({"card": TOKEN}).encode()
    options = {"BACKEND": "payments.providers.simulator.SimulatorProvider"}
    entry = options | {"OPTIONS": {"api_key": "sk_of_ours", "webhook_secrets": [secret]}}
    with configured_provider("card", entry), broken(spot):
        Client(raise_request_exception=False).post(
            f"{ROOT}/webhooks/card/",
            body,
            content_type="application/json",
            headers={"Simulator-Signature": sign([secret], body, int(time.time()))},
        )
    report = "\n".join(mails.reports)
    assert "BrokenError" in report
    assert TOKEN not in report
    assert secret not in report
    assert "sk_of_ours" not in report


VERBS: dict[str, Callable[..., Any]] = {
    "create": lambda payment, data: services.create_payment_session(
        payment.collection, provider_id="scripted", data=data
    ),
    "authorize": lambda payment, data: services.authorize_payment_session(payment.session, data=data),
    "update": lambda payment, data: services.update_payment_session(payment.session, data=data),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("spot", ["sessions.perform", "sessions.check_input"])
def test_no_report_of_a_shops_own_view_holds_what_it_hands_to_a_verb(
    payment: Payment, verb: str, spot: str
) -> None:
    with broken(f"payments.services.{spot}"), pytest.raises(BrokenError) as caught:
        VERBS[verb](payment, {"token": TOKEN})
    inside = caught.value.__traceback__
    assert inside is not None
    assert inside.tb_next is not None
    beyond = inside.tb_next.tb_next  # what the test itself holds is its own matter
    assert TOKEN not in ExceptionReporter(None, BrokenError, caught.value, beyond).get_traceback_html()
