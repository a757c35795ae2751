"""Actions outlive whatever goes wrong afterwards: no request's transaction holds what a provider was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from payments.models import Refund
from payments.services import capture_payment
from tests.admin.acting import act, confirm, open_form, told
from tests.admin.scenes import make_authorized, make_collection
from tests.admin.test_bulk_actions import choose, chosen, run
from tests.threads import times

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def atomic_requests() -> Any:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def _operator(name: str = "olivia") -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser(name))
    return client


@pytest.mark.usefixtures("atomic_requests")
def test_actions_work_where_requests_are_atomic() -> None:
    operator = _operator()
    payment = make_authorized(make_collection("60.00"))
    assert "20.00 EUR was captured" in told(act(operator, payment, "capture", amount="20.00"))
    versions = chosen(choose(operator, [payment], "capture"))
    assert "40.00 EUR was captured" in run(operator, type(payment), "capture", versions)


def test_double_click_makes_one_refund_when_both_requests_run_at_once() -> None:
    payment = capture_payment(make_authorized(make_collection("60.00")))
    operator = _operator()
    sent = open_form(operator, payment, "refund")

    def click() -> str:
        client = Client()
        client.cookies = operator.cookies
        return told(confirm(client, payment, "refund", sent, amount="10.00"))

    outcomes = times(4, click)
    assert Refund.objects.count() == 1
    assert outcomes.errors == []
    assert sum(answer.startswith("10.00 EUR was refunded") for answer in outcomes.values) == 1
