"""The other pages: sessions, payments, operations, events, webhook events, account holders."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet, TextChoices
from django.test import Client

from payments import models, states
from payments.admin.timelines import SENTENCES
from payments.admin.widgets import status_badge
from payments.providers import AuthorizeResult, NextAction
from payments.services import authorize_payment_session, create_payment_session
from payments.signals import SIGNALS
from payments.states import Outcome
from tests.admin.answers import answering
from tests.admin.pages import html, listed, listing, page, panel, text
from tests.admin.scenes import (
    make_attention,
    make_collection,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def eventful(collection: models.PaymentCollection) -> models.PaymentCollection:
    return collection


@pytest.mark.database_independent
def test_session_that_waits_for_its_payer_says_what_for(operator: Client) -> None:
    session = create_payment_session(make_collection(), provider_id="card")
    action = NextAction(type="redirect", url="https://bank.example/3ds")
    with answering(AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action)):
        authorize_payment_session(session)
    words = text(html(operator, page(session)))
    assert "Waiting for the customer (3-D Secure)" in words
    assert "Next action redirect https://bank.example/3ds" in words


def test_payment_page_shows_its_movements_and_what_is_held(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    payment = eventful.payments.get(provider="card")
    shown = html(operator, page(payment))
    parts = (
        "Received (net) 45.00 EUR; Refunded 15.00 EUR; Authorized, not captured 0.00 EUR; Released 0.00 EUR"
    )
    assert f"Of 60.00 EUR: {parts}" in shown
    assert panel(shown, "payments").count("Capture") >= 3
    assert "Money refunded" in panel(shown, "history")


@pytest.mark.database_independent
def test_payment_that_was_charged_back_says_so(eventful: models.PaymentCollection, operator: Client) -> None:
    payment = eventful.payments.get(provider="card")
    QuerySet(models.Payment).filter(pk=payment.pk).update(charged_back_amount="20.00")
    shown = html(operator, page(payment))
    assert "The payer's bank took 20.00 EUR back." in text(shown)
    assert "Received (net) 25.00 EUR; Refunded 15.00 EUR; Charged back 20.00 EUR" in shown
    assert "Charged back 20.00 EUR" in panel(html(operator, page(eventful)), "payments")
    QuerySet(models.Payment).filter(pk=payment.pk).update(reinstated_amount="20.00")
    assert "The payer's bank took" not in text(html(operator, page(payment)))
    assert "Reinstated 20.00 EUR" in panel(html(operator, page(eventful)), "payments")


def test_operation_that_needs_attention_stands_out_and_is_found_by_filter(operator: Client) -> None:
    operation = make_attention()
    url = listing(models.PaymentOperation, "?status__exact=attention")
    assert listed(operator, url) == [operation.pk]
    assert "payments-badge payments-alert" in html(operator, url)
    shown = html(operator, page(operation))
    assert "This operation needs a person to decide what happened." in text(shown)
    assert '"amount": 5400' in panel(shown, "provider-log")
    assert "Lease owner" in text(shown)
    assert operation.pk in text(shown)


@pytest.mark.database_independent
def test_operation_of_unknown_outcome_says_that_it_keeps_its_reservation(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    operation = eventful.operations.get(status="unknown")
    assert "the amount stays reserved" in text(html(operator, page(operation)))


@pytest.mark.database_independent
def test_capture_and_refund_pages_tell_amount_reason_and_error(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    failed = models.Capture.objects.get(status="failed")
    assert "35.00 EUR × Failed" in text(html(operator, page(failed)))
    assert "Try again later." in text(html(operator, page(failed)))
    refund = models.Refund.objects.get(status="succeeded")
    words = text(html(operator, page(refund)))
    assert "Reason Damaged in transit Note The cup is broken." in words


def test_event_list_tells_changes_across_collections_and_narrows_down(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    make_collection()
    assert len(listed(operator, listing(models.PaymentEvent, "?type=collection.created"))) == 2
    here = listing(models.PaymentEvent, f"?type=collection.created&collection__id__exact={eventful.pk}")
    assert len(listed(operator, here)) == 1
    refund = models.Refund.objects.get(status="succeeded")
    events = listed(operator, listing(models.PaymentEvent, f"?q={refund.pk}"))
    assert events == sorted(events, reverse=True)
    assert len(events) == refund.events.count() > 0


def test_webhook_event_is_shown_with_its_payload_and_linked_to_its_session(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    event = models.WebhookEvent.objects.get()
    shown = html(operator, page(event))
    assert '"amount": 6000' in panel(shown, "payload")
    assert event.session is not None
    assert f'href="{page(event.session)}"' in shown
    assert "payment.captured" in panel(html(operator, page(event.session)), "webhooks")
    assert listed(operator, listing(models.WebhookEvent, "?q=evt_77")) == [event.pk]


def test_account_holder_is_shown_as_the_provider_knows_them(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    shown = html(operator, page(models.AccountHolder.objects.get()))
    assert "cus_42" in text(shown)


def test_search_works_on_every_list_by_the_ids_around_a_row(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    payment = eventful.payments.get(provider="card")
    refund = models.Refund.objects.get(status="succeeded")
    assert listed(operator, listing(models.PaymentSession, f"?q={payment.pk}")) == [payment.session_id]
    assert listed(operator, listing(models.Payment, f"?q={refund.pk}")) == [payment.pk]
    assert listed(operator, listing(models.Payment, f"?q={payment.provider_reference}")) == [payment.pk]
    assert listed(operator, listing(models.Refund, f"?q={refund.pk}")) == [refund.pk]
    assert set(listed(operator, listing(models.Capture, f"?q={eventful.pk}"))) == set(
        models.Capture.objects.values_list("pk", flat=True)
    )
    operation = refund.operations.get()
    assert listed(operator, listing(models.PaymentOperation, f"?q={refund.pk}")) == [operation.pk]
    assert listed(operator, listing(models.PaymentOperation, "?q=anna"))


@pytest.mark.parametrize(
    "choices",
    [
        states.CollectionStatus,
        states.SessionStatus,
        states.PaymentStatus,
        states.MovementStatus,
        states.OperationStatus,
        states.WebhookEventStatus,
    ],
)
@pytest.mark.database_independent
def test_every_status_has_a_badge_that_reads_without_colour(choices: type[TextChoices]) -> None:
    for status in choices:
        words = text(status_badge(status.value, choices)).split()
        assert words[0] in {"✓", "●", "…", "←", "×", "!", "–"}
        assert " ".join(words[1:]) == str(status.label)


def test_unknown_status_is_shown_as_it_is() -> None:
    assert "brand_new" in status_badge("brand_new", states.SessionStatus)


def test_every_event_that_a_signal_tells_has_a_sentence() -> None:
    assert set(SIGNALS) <= set(SENTENCES)


def test_every_event_of_an_eventful_collection_has_a_sentence(eventful: models.PaymentCollection) -> None:
    assert set(eventful.events.values_list("type", flat=True)) <= set(SENTENCES)
