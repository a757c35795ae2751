"""Sessions of payers who have done their part at the provider's own place, and don't come back to the shop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db.models import QuerySet

from payments import services
from payments.exceptions import ProviderUnavailableError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import AuthorizeResult, Failure, RetrieveResult, SessionFact
from payments.services.background import inbox
from payments.states import EventSource, OperationStatus, Outcome, SessionStatus, WebhookEventStatus
from payments.testing import Script
from tests.reliability.clocks import moving_clock
from tests.webhooks.deliveries import deliver, hint, only_event

pytestmark = pytest.mark.django_db(transaction=True)

APPROVED = SessionFact(currency_code="eur", status=SessionStatus.PENDING, awaits_authorization=True)
HELD = AuthorizeResult(outcome=Outcome.SUCCEEDED, amount=Decimal("100.00"), currency_code="eur")


def told(script: Script, session: PaymentSession, *answers: Any, **event: Any) -> None:
    """Have the provider tell of an approval, and answer so when it is asked to authorize."""
    script.next("parse_webhook", hint(session, **event))
    script.next("retrieve", *[RetrieveResult(outcome=Outcome.SUCCEEDED, fact=APPROVED)] * 3)
    script.next("authorize", *answers)
    assert deliver(b"{}", provider_id="scripted").status == 200


def test_an_approved_session_is_authorized_by_the_worker(
    script: Script, scripted_session: PaymentSession
) -> None:
    told(script, scripted_session, HELD)
    assert not script.requests("authorize")
    services.process_due_events()
    scripted_session.refresh_from_db()
    assert scripted_session.status == SessionStatus.AUTHORIZED
    assert only_event().status == WebhookEventStatus.APPLIED
    assert PaymentEvent.objects.get(type="session.authorized").source == EventSource.WEBHOOK


def test_one_that_carries_its_fact_is_left_to_the_worker_too(
    script: Script, scripted_session: PaymentSession
) -> None:
    told(script, scripted_session, HELD, fact=APPROVED)
    assert not script.requests("authorize"), (
        "Nobody is asked anything while the provider waits for its answer."
    )
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        services.process_due_events()
    assert len(script.requests("authorize")) == 1


def test_a_declined_one_is_in_error_and_the_event_applied(
    script: Script, scripted_session: PaymentSession
) -> None:
    told(script, scripted_session, AuthorizeResult(outcome=Outcome.DECLINED, failure=Failure(code="no")))
    services.process_due_events()
    scripted_session.refresh_from_db()
    assert (scripted_session.status, scripted_session.error_code) == (SessionStatus.ERROR, "no")
    assert only_event().status == WebhookEventStatus.APPLIED


def test_an_unknown_outcome_is_left_to_the_reconciler(
    script: Script, scripted_session: PaymentSession
) -> None:
    told(script, scripted_session, TimeoutError())
    services.process_due_events()
    assert PaymentOperation.objects.get(kind="authorize").status == OperationStatus.UNKNOWN
    assert only_event().status == WebhookEventStatus.APPLIED


def test_one_whose_provider_is_away_is_tried_again(script: Script, scripted_session: PaymentSession) -> None:
    told(script, scripted_session, ProviderUnavailableError("away"), HELD)
    with moving_clock() as clock:
        services.process_due_events()
        assert only_event().status == WebhookEventStatus.DEFERRED
        clock.advance(inbox.PAUSES[1])
        services.process_due_events()
    scripted_session.refresh_from_db()
    assert scripted_session.status == SessionStatus.AUTHORIZED
    assert only_event().status == WebhookEventStatus.APPLIED


def test_a_canceled_session_stays_canceled(script: Script, scripted_session: PaymentSession) -> None:
    services.cancel_payment_session(scripted_session)
    told(script, scripted_session)
    services.process_due_events()
    assert not script.requests("authorize")
    assert only_event().status == WebhookEventStatus.APPLIED


def test_more_than_is_due_is_not_authorized(script: Script, scripted_session: PaymentSession) -> None:
    told(script, scripted_session)
    services.update_payment_collection(scripted_session.collection, amount="40.00")
    QuerySet(PaymentSession).filter(pk=scripted_session.pk).update(amount=Decimal("100.00"), is_split=True)
    services.process_due_events()
    assert not script.requests("authorize")
    assert only_event().status == WebhookEventStatus.APPLIED


def test_the_payer_who_comes_back_at_the_same_time_pays_once(
    script: Script, scripted_session: PaymentSession
) -> None:
    def comes_back(_request: object) -> RetrieveResult:
        services.authorize_payment_session(scripted_session)
        return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=APPROVED)

    script.next("parse_webhook", hint(scripted_session))
    script.next("retrieve", comes_back)
    script.next("authorize", HELD)
    deliver(b"{}", provider_id="scripted")
    services.process_due_events()
    scripted_session.refresh_from_db()
    assert scripted_session.status == SessionStatus.AUTHORIZED
    assert len(script.requests("authorize")) == 1
