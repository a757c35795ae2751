"""Books whose answer couldn't be recorded aren't believed by the next step of the same verb."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from payments import services
from payments.exceptions import PaymentError
from payments.models import PaymentCollection, PaymentOperation
from payments.providers import CancelResult
from payments.services.ledger import books
from payments.states import OperationStatus, Outcome
from payments.testing import Script
from tests.services.facts import AUTHORIZED, tell

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.shows(
    "A payer pays while their session is replaced, and the database fails as the cancelation is recorded",
    "The payment stays, nobody is asked to pay again, and nothing is written over what the bank has told",
)
def test_payment_outlives_a_replacement_that_could_not_be_recorded(
    collection: PaymentCollection, card: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = services.create_payment_session(collection, provider_id="card")
    keep = books.keep

    def fail_once(*_args: Any, **_options: Any) -> None:
        monkeypatch.setattr(books, "keep", keep)
        raise OperationalError("database is locked")

    def cancel_too_late(_request: object) -> CancelResult:
        tell(session, AUTHORIZED)
        monkeypatch.setattr(books, "keep", fail_once)
        return CancelResult(outcome=Outcome.SUCCEEDED)

    card.next("cancel", cancel_too_late)
    with pytest.raises(PaymentError):
        services.create_payment_session(collection, provider_id="card")

    assert len(card.requests("initiate")) == 1
    session.refresh_from_db()
    assert session.status == "authorized"
    cancelation = PaymentOperation.objects.get(kind="cancel")
    assert cancelation.status != OperationStatus.SUCCEEDED
    collection.refresh_from_db()
    assert collection.status == "authorized"
    assert collection.authorized_amount == 100
