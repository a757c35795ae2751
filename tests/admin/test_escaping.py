"""Whatever users and providers write is shown as text."""

from __future__ import annotations

import pytest
from django.db.models import Model
from django.test import Client

from payments.exceptions import DeclinedError
from payments.models import (
    AccountHolder,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    RefundReason,
    WebhookEvent,
)
from payments.providers import AuthorizeResult, NextAction
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_session,
    refund_payment,
)
from payments.states import Outcome
from tests.admin.answers import answering
from tests.admin.pages import INSPECTED, html, listing, page
from tests.admin.scenes import make_authorized, make_collection, make_customer

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def hostile() -> PaymentCollection:
    customer = make_customer("eve")
    type(customer)._default_manager.filter(pk=customer.pk).update(username=EVIL, email=f"{EVIL}@x.example")
    customer.refresh_from_db()
    collection = make_collection(number=EVIL[:32], customer=customer, metadata={EVIL: EVIL})
    payment = capture_payment(make_authorized(collection, amount="50.00"), actor=customer)
    refund_payment(payment, reason=RefundReason.objects.create(label=EVIL), note=EVIL, actor=customer)
    declined = create_payment_session(collection, provider_id="card", amount="20.00")
    with answering(DeclinedError(EVIL, code=EVIL)):
        authorize_payment_session(declined)
    waiting = create_payment_session(collection, provider_id="card", amount="30.00")
    action = NextAction(type="redirect", url="https://bank.example/")
    with answering(AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action)):
        authorize_payment_session(waiting)
    _write_evil_columns(collection)
    return collection


def _write_evil_columns(collection: PaymentCollection) -> None:
    document = {EVIL: [EVIL]}
    sessions = PaymentSession.objects.filter(collection=collection)
    sessions.update(data=document, context=document)
    sessions.filter(status="requires_more").update(next_action={"type": EVIL, "url": f"javascript:{EVIL}"})
    PaymentOperation.objects.update(provider_log=document, detail=EVIL, lease_owner=EVIL)
    PaymentEvent(
        type=EVIL,
        collection=collection,
        source="system",
        from_status="<b>",
        to_status="<b>",
        actor_label=EVIL,
        data={"code": EVIL, "expected": EVIL, "reported": EVIL, "old_amount": EVIL, "kind": EVIL},
    ).save(force_insert=True)
    WebhookEvent.objects.create(
        provider_id="card", event_id=EVIL, type=EVIL, payload=document, detail=EVIL, session=None
    )
    AccountHolder.objects.create(
        provider_id="card", customer=None, provider_reference=EVIL, provider_data=document
    )


@pytest.mark.thorough
def test_no_page_and_no_list_runs_what_somebody_wrote(hostile: PaymentCollection, operator: Client) -> None:
    seen = 0
    models: list[type[Model]] = [*INSPECTED, RefundReason]
    for model in models:
        rows = list(model._default_manager.all())
        assert rows
        for url in [listing(model), *(page(row) for row in rows)]:
            shown = html(operator, url)
            assert "<script>alert" not in shown, url
            assert 'href="javascript:' not in shown, url
            seen += shown.count("&lt;script&gt;alert")
    assert seen > 50


def test_searching_for_markup_shows_it_as_text(hostile: PaymentCollection, operator: Client) -> None:
    response = operator.get(listing(PaymentCollection), {"q": EVIL})
    assert "<script>alert" not in response.content.decode()
    assert [row.pk for row in response.context["cl"].result_list] == [hostile.pk]
