"""An action on a page takes few statements more than the service that it uses."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.models import Payment
from payments.services import capture_payment
from tests.admin.acting import confirm, open_form
from tests.admin.scenes import make_authorized, make_collection

pytestmark = pytest.mark.django_db

_FRAME = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET ")
DJANGO = 2  # the session, and its user
ROW = 1
GUARD = 3  # take the version, hold it in the claim, keep the result
RESULT = 3  # the row as it is now, the call that was made, the admin's log


def statements(captured: CaptureQueriesContext) -> list[str]:
    return [each["sql"] for each in captured.captured_queries if not each["sql"].startswith(_FRAME)]


@pytest.fixture
def payment() -> Payment:
    ContentType.objects.get_for_model(Payment)
    return make_authorized(make_collection("60.00"))


def test_captured_payment_takes_nine_statements_around_the_capture(
    payment: Payment, operator: Client
) -> None:
    other = make_authorized(make_collection("60.00"))
    with CaptureQueriesContext(connection) as captured:
        capture_payment(other)
    service = len(statements(captured))
    sent = open_form(operator, payment, "capture")
    with CaptureQueriesContext(connection) as captured:
        confirm(operator, payment, "capture", sent)
    made = statements(captured)
    assert len(made) <= service + DJANGO + ROW + GUARD + RESULT, "\n".join(made)


def test_second_click_reads_the_first_result_and_nothing_else(payment: Payment, operator: Client) -> None:
    sent: Any = open_form(operator, payment, "capture")
    confirm(operator, payment, "capture", sent)
    with CaptureQueriesContext(connection) as captured:
        confirm(operator, payment, "capture", sent)
    made = statements(captured)
    assert len(made) <= DJANGO + ROW + 2, "\n".join(made)
